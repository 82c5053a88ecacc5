"""Two files compared: the verdict is that of digests, the words are those of a person who looked."""

from __future__ import annotations

import gzip
import io
import os
import socket
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from daxa.errors import DataError
from daxa.run.comparison import Comparison, compare_files
from daxa.run.equality import file_digests


def observation(rows: int = 200, seed: int = 1) -> fits.HDUList:
    rng = np.random.default_rng(seed)
    columns = [
        fits.Column("TIME", "D", "s", array=np.arange(rows) * 2.5),
        fits.Column("PI", "J", array=rng.integers(300, 8000, rows)),
        fits.Column("NAME", "8A", array=[f"e{at}" for at in range(rows)]),
    ]
    table = fits.BinTableHDU.from_columns(columns, name="EVENTS")
    table.header["EXPOSURE"] = (12.5, "s / live time")
    image = fits.ImageHDU(rng.poisson(4.0, (30, 40)).astype("i4"), name="COUNTS")
    image.header["BUNIT"] = "count"
    return fits.HDUList([fits.PrimaryHDU(), table, image])


def written(path: Path, hdus: fits.HDUList) -> Path:
    hdus.writeto(path, overwrite=True)
    return path


@pytest.fixture
def compared(tmp_path):
    def compare(change, *, randomised: bool = False, packed: bool = False) -> Comparison:
        first = written(tmp_path / "first.fits", observation())
        other = observation()
        second = written(tmp_path / "second.fits", change(other) or other)
        if packed:
            second = tmp_path / "second.fits.gz"
            second.write_bytes(gzip.compress((tmp_path / "second.fits").read_bytes(), mtime=1))
        found = compare_files(first, second, randomised=randomised)
        sciences = [file_digests(path).science for path in (first, second)]
        assert found.same == (sciences[0] == sciences[1])
        return found

    return compare


def test_a_copy_is_identical_in_bytes(compared):
    found = compared(lambda hdus: None)
    assert (found.verdict, found.differences, found.packing) == ("identical bytes", (), False)


def test_a_packed_copy_is_compared_unpacked(compared):
    found = compared(lambda hdus: None, packed=True)
    assert (found.verdict, found.packing) == ("identical science", True)


def test_volatile_cards_are_set_aside_and_named(compared):
    def change(hdus):
        hdus[1].header["DATE"] = "2026-01-01"
        hdus[0].header["CREATOR"] = "evselect"

    found = compared(change, packed=True)
    assert (found.verdict, found.set_aside, found.packing) == ("identical science", ("CREATOR", "DATE"), False)


def _pixels(hdus):
    hdus[2].data.flat[:12] += np.arange(1, 13, dtype="i4") % 3 + 1


def _with_rows(hdus, data):
    columns = [fits.Column(one.name, one.format, one.unit, array=data[one.name]) for one in hdus[1].columns]
    hdus[1] = fits.BinTableHDU.from_columns(columns, hdus[1].header)


def _more_rows(hdus):
    data = np.array(hdus[1].data)
    _with_rows(hdus, np.concatenate([data, data[:5]]))


def _fewer_and_other_rows(hdus):
    data = np.array(hdus[1].data)[:-3]
    data["PI"][7] += 1
    _with_rows(hdus, data)


def _column(hdus):
    hdus[1].data["PI"][3:7] += 20


def _text(hdus):
    hdus[1].data["NAME"][5] = "other"


def _order(hdus):
    hdus[1].data = hdus[1].data[::-1]


def _exposure(hdus):
    hdus[1].header["EXPOSURE"] = 13.0


def _comment(hdus):
    hdus[1].header.comments["EXPOSURE"] = "s / real time"


def _absent_card(hdus):
    del hdus[1].header["EXPOSURE"]


def _new_card(hdus):
    hdus[2].header["FILTER"] = "x" * 150


def _no_hdu(hdus):
    del hdus[2]


def _new_column(hdus):
    wide = hdus[1].columns + fits.ColDefs([fits.Column("X", "E", array=np.zeros(len(hdus[1].data)))])
    hdus[1] = fits.BinTableHDU.from_columns(wide, hdus[1].header)


def _format(hdus):
    first, _, last = hdus[1].columns
    columns = [first, fits.Column("PI", "I", array=hdus[1].data["PI"]), last]
    hdus[1] = fits.BinTableHDU.from_columns(columns, hdus[1].header)


def _shape(hdus):
    hdus[2].data = hdus[2].data[:, :39].copy()


def _swapped(hdus):
    hdus[1], hdus[2] = hdus[2], hdus[1]


def _blank_pixel(hdus):
    hdus[2].data = hdus[2].data.astype("f4")


SAID = {
    _pixels: ["COUNTS differs in 12 pixels, at most 3 counts"],
    _more_rows: ["EVENTS has 5 rows more"],
    _fewer_and_other_rows: ["EVENTS has 3 rows fewer (1 new, 4 gone)"],
    _column: ["EVENTS differs in PI of 4 rows, by at most 20"],
    _text: ["EVENTS differs in NAME of 1 row"],
    _order: ["EVENTS has its rows in another order"],
    _exposure: ["EVENTS has a different EXPOSURE: 12.5 -> 13.0"],
    _comment: ["EVENTS has other comments of EXPOSURE"],
    _absent_card: ["EVENTS lacks EXPOSURE"],
    _new_card: ["COUNTS has also FILTER"],
    _new_column: ["EVENTS has also the column X", "EVENTS has also TTYPE4, TFORM4"],
    _shape: ["COUNTS has 39 x 30 pixels in place of 40 x 30"],
    _swapped: ["the file has its HDUs in another order"],
    _blank_pixel: ["COUNTS differs only in how its values are written", "COUNTS has a different BITPIX: 32 -> -32"],
}


@pytest.mark.parametrize("change", SAID, ids=lambda change: change.__name__.strip("_"))
def test_a_difference_is_said_as_a_person_would(compared, change):
    found = compared(change)
    assert found.verdict == "different"
    assert [str(one) for one in found.differences] == SAID[change]


def test_a_missing_hdu_and_another_format_are_named(compared):
    assert "COUNTS is in" in str(compared(_no_hdu).differences[0])
    assert "EVENTS has PI in the format I in place of J" in map(str, compared(_format).differences)


def test_noise_is_a_verdict_of_its_own_and_only_where_it_is_declared(compared):
    def other_pixels(hdus):
        hdus[2].data = np.random.default_rng(9).poisson(4.0, hdus[2].data.shape).astype("i4")

    assert compared(other_pixels).verdict == "different"
    found = compared(other_pixels, randomised=True)
    assert found.verdict == "equal within counting noise"
    assert found.differences
    assert not found.same
    assert compared(lambda hdus: None, randomised=True).verdict == "identical bytes"


def test_more_than_noise_is_different(compared):
    def brighter(hdus):
        hdus[2].data += 2

    def longer(hdus):
        _exposure(hdus)
        hdus[2].data[0, 0] += 1

    assert compared(brighter, randomised=True).verdict == "different"
    assert compared(longer, randomised=True).verdict == "different"
    assert compared(_column, randomised=True).verdict == "equal within counting noise"


def test_a_change_that_is_lost_in_the_whole_is_no_noise(tmp_path):
    """A source added to a large image, pixels below zero, and one value of a column that is beyond all others."""

    def verdict(one, two) -> str:
        paths = []
        for name, (pixels, rates) in {"one": one, "two": two}.items():
            image = fits.PrimaryHDU(pixels)
            image.header["BUNIT"] = "count"
            table = fits.BinTableHDU.from_columns([fits.Column("RATE", "D", array=rates)], name="SRCLIST")
            paths.append(written(tmp_path / f"{name}.fits", fits.HDUList([image, table])))
        return compare_files(*paths, randomised=True).verdict

    counts, rates = np.random.default_rng(1).poisson(4.0, (200, 200)).astype("i4"), np.linspace(0.1, 2.0, 50)
    other = counts.copy()
    other[0, 0] += 5
    assert verdict((counts, rates), (other, rates)) == "equal within counting noise"
    other[0, 0] += 400
    assert verdict((counts, rates), (other, rates)) == "different"
    other = counts.copy()
    counts[0, :2], other[0, :2] = (900, -900), (-900, 900)
    assert verdict((counts, rates), (other, rates)) == "different"
    for value, said in ((0.2, "equal within counting noise"), (1e9, "different"), (np.nan, "different")):
        changed = rates.copy()
        changed[0] = value
        assert verdict((counts, rates), (counts, changed)) == said, value


def test_files_that_are_not_fits_are_compared_by_bytes(tmp_path):
    one, two = tmp_path / "one.json", tmp_path / "two.json"
    one.write_text('{"counts":12}')
    two.write_text('{"counts":13}')
    assert [str(item) for item in compare_files(one, two).differences] == ["the file differs from byte 12 on"]
    two.write_text('{"counts":12}\n')
    assert "13 bytes in common" in str(compare_files(one, two).differences[0])
    fits.HDUList([fits.PrimaryHDU()]).writeto(two, overwrite=True)
    assert "one.json is not a complete FITS file" in str(compare_files(one, two).differences[0])


def card(text: str) -> bytes:
    return text.ljust(80).encode()


def header(*cards: str) -> bytes:
    content = b"".join(card(one) for one in (*cards, "END"))
    return content.ljust(-(-len(content) // 2880) * 2880)


PRIMARY = header("SIMPLE  =                    T", "BITPIX  =                    8", "NAXIS   =                    0")
TABLE = (
    "XTENSION= 'BINTABLE'",
    "BITPIX  =                    8",
    "NAXIS   =                    2",
    "PCOUNT  =                    0",
    "GCOUNT  =                    1",
)

HOSTILE = {
    "a width that no row has": (*TABLE, "NAXIS1  = 2880", "NAXIS2  = 1", "TFIELDS = 1", "TFORM1  = '999999999D'"),
    "columns without end": (*TABLE, "NAXIS1  = 2880", "NAXIS2  = 1", "TFIELDS = 999999999"),
    "a format that is none": (*TABLE, "NAXIS1  = 2880", "NAXIS2  = 1", "TFIELDS = 1", "TFORM1  = '(('"),
    "no width": (*TABLE, "NAXIS1  = 0", "NAXIS2  = 1", "TFIELDS = 1", "TFORM1  = '1D'"),
    "a number that is none": ("XTENSION= 'IMAGE'", "BITPIX  = -64", "NAXIS   = 1", "NAXIS1  = 360", "BSCALE  = 'x'"),
    "infinite scale": ("XTENSION= 'IMAGE'", "BITPIX  = -64", "NAXIS   = 1", "NAXIS1  = 360", "BSCALE  = 1E400"),
    "control characters": (*TABLE, "NAXIS1  = 2880", "NAXIS2  = 1", "TFIELDS = 0", "EXTNAME = '\x1b[2J'"),
    "more data than the file": (*TABLE, "NAXIS1  = 2880", "NAXIS2  = 999999999999", "TFIELDS = 0"),
}


@pytest.mark.parametrize("cards", HOSTILE.values(), ids=HOSTILE)
def test_no_header_leads_astray(tmp_path, cards):
    paths = [tmp_path / "one.fits", tmp_path / "two.fits"]
    for number, path in enumerate(paths):
        path.write_bytes(PRIMARY + header(*cards) + bytes([number]) * 2880)
    found = compare_files(*paths)
    assert found.verdict == "different"
    assert found.differences
    assert "\x1b" not in "".join(map(str, found.differences))


def test_links_devices_and_bombs_are_refused(tmp_path, monkeypatch):
    good = written(tmp_path / "good.fits", observation())
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("socket")
    for path in (tmp_path / "socket", tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(DataError):
            compare_files(good, path)
    monkeypatch.setattr("daxa.run.comparison._LARGEST", 1 << 20)
    bomb = tmp_path / "bomb.fits.gz"
    bomb.write_bytes(gzip.compress(PRIMARY + bytes(8 << 20)))
    with pytest.raises(DataError, match="more than 1 MiB"):
        compare_files(good, bomb)
    cut = tmp_path / "cut.fits.gz"
    cut.write_bytes(gzip.compress(good.read_bytes())[:-50])
    with pytest.raises(DataError, match="cannot be unpacked"):
        compare_files(good, cut)


def test_a_memory_image_is_not_needed(tmp_path):
    """Files larger than a piece are compared in pieces, with the same words."""
    big = fits.HDUList([fits.PrimaryHDU(np.zeros((1500, 1500), "i2"))])
    big.writeto(tmp_path / "one.fits")
    big[0].data[1499, 1499] = 7
    stream = io.BytesIO()
    big.writeto(stream)
    (tmp_path / "two.fits.gz").write_bytes(gzip.compress(stream.getvalue(), 1))
    found = compare_files(tmp_path / "one.fits", tmp_path / "two.fits.gz")
    assert [str(one) for one in found.differences] == ["image differs in 1 pixel, at most 7"]
