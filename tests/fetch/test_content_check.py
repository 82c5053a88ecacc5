"""Whole, cut, damaged and false files; astropy and gzip are the oracles."""

from __future__ import annotations

import gzip
import io
import itertools
import random
import zlib
from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import example, given, settings
from hypothesis import strategies as st

from daxa.errors import DataError
from daxa.fetch.content_check import ExpectedContent, check_file, contents
from daxa.fetch.structure import BLOCK, FitsWalk
from daxa.missions import find_mission
from tests.fetch.conftest import events_file, pack

PACKED = events_file()
PLAIN = gzip.decompress(PACKED)


def verdict(tmp_path, content: bytes, name: str) -> str:
    """The code of the error, or the remarks joined."""
    path = tmp_path / "file"
    path.write_bytes(content)
    try:
        return "; ".join(check_file(path, name))
    except DataError as error:
        assert name in error.message
        return error.code


@pytest.mark.parametrize("name", ["a_evt2.fits.gz", "a.FTZ", "a.evt.gz", "hk.hk.gz"])
def test_good_packed_files(tmp_path, name):
    assert verdict(tmp_path, PACKED, name) == ""


def test_good_plain_file(tmp_path):
    assert verdict(tmp_path, PLAIN, "a.fits") == ""


@pytest.mark.parametrize("keep", [1, 9, 10, 11, 500, len(PACKED) // 2, len(PACKED) - 8, len(PACKED) - 1])
def test_every_cut_of_a_packed_file_is_seen(tmp_path, keep):
    assert verdict(tmp_path, PACKED[:keep], "a.FTZ") == "data.truncated"


@settings(max_examples=60)
@given(st.integers(0, len(PACKED) - 1), st.integers(1, 255))
@example(279, 1)
def test_every_changed_byte_of_packed_data_is_noticed(tmp_path_factory, at, flip):
    corrupted = bytearray(PACKED)
    corrupted[at] ^= flip
    code = verdict(tmp_path_factory.mktemp("flip"), bytes(corrupted), "a.FTZ")
    if code == "":
        # Some bits say nothing of the data: the time in the header, or unused ones in the deflate stream.
        assert zlib.decompress(bytes(corrupted), wbits=31) == PLAIN
    else:
        assert code in ("data.damaged", "data.truncated")


@pytest.mark.parametrize(
    ("content", "name", "code"),
    [
        (b"", "a.fits", "data.empty"),
        (b"<!DOCTYPE HTML><html><title>503</title></html>", "a.fits.gz", "data.html"),
        (b"\xef\xbb\xbf\n  <HTML><body>login</body></HTML>", "a.FTZ", "data.html"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "a.fits", "data.html"),
        (b"\n\n<title>Sorry</title>", "summary.txt", "data.html"),
        (b"\x85\x02\x0c\x03", "a.evt.gz.gpg", "data.proprietary"),
        (b"plain text that is no FITS file", "a.fits", "data.not-fits"),
        (b"x" * BLOCK * 2, "a.fits", "data.not-fits"),
        (pack(b"plain text"), "a.evt.gz", "data.not-fits"),
        (pack(b""), "a.FTZ", "data.not-fits"),
        (PLAIN, "a.FTZ", "data.damaged"),
        (PACKED, "a.fits", "data.not-fits"),
        (b"\x1f\x8b rest", "a.fits.Z", "data.damaged"),
        (pack(PLAIN[:-BLOCK]), "a.FTZ", "data.truncated"),
        (pack(PLAIN[:1000]), "a.FTZ", "data.truncated"),
        (pack(PLAIN + b"junk" * BLOCK), "a.FTZ", "data.damaged"),
        (PACKED + b"junk", "a.FTZ", "data.damaged"),
    ],
)
def test_what_is_not_data_has_a_name(tmp_path, content, name, code):
    assert verdict(tmp_path, content, name) == code


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"<html>an index</html>", "INDEX.HTM"),
        (b"a text file", "MANIFEST.1234"),
        (pack(b"a text file"), "attorb.txt.gz"),
        (b"\x1f\x9d\x90 lzw", "rp_bas.fits.Z"),
        (PACKED + bytes(512), "a.FTZ"),
        (pack(PLAIN[:5000]) + pack(PLAIN[5000:]), "a.FTZ"),
    ],
)
def test_what_is_in_order(tmp_path, content, name):
    assert verdict(tmp_path, content, name) == ""


def test_missing_fill_and_blank_blocks_are_remarks(tmp_path):
    rows = fits.BinTableHDU.from_columns([fits.Column("A", "J", array=np.arange(10))])
    out = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), rows]).writeto(out)
    whole = out.getvalue()
    assert len(whole) == 3 * BLOCK, "two headers and a block of data, of which 40 bytes are used"
    assert "not padded" in verdict(tmp_path, whole[: 2 * BLOCK + 40], "a.fits")
    assert verdict(tmp_path, whole[: 2 * BLOCK + 39], "a.fits") == "data.truncated"
    assert "blank blocks" in verdict(tmp_path, whole + bytes(BLOCK * 3), "a.fits")


@pytest.mark.parametrize(
    "axes", [[], [7], [3, 5, 2], [0], [100, 0, 3], [1000, 3]], ids=lambda axes: "x".join(map(str, axes)) or "none"
)
@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "i8", "f4", "f8"])
def test_sizes_and_sums_of_images_agree_with_astropy(tmp_path, axes, dtype):
    data = np.arange(int(np.prod(axes)), dtype=dtype).reshape(axes) if axes and all(axes) else None
    out = io.BytesIO()
    extension = fits.ImageHDU(np.arange(50, dtype="f8"))
    fits.HDUList([fits.PrimaryHDU(data), extension]).writeto(out, checksum=True)
    assert verdict(tmp_path, out.getvalue(), "a.fits") == ""
    walk = FitsWalk("a.fits")
    for piece in (out.getvalue()[at : at + 997] for at in range(0, len(out.getvalue()), 997)):
        walk.feed(piece)
    walk.finish()
    assert walk.hdus == 2


def test_random_groups_and_heaps(tmp_path):
    groups = fits.GroupData(np.arange(100.0).reshape(5, 1, 1, 20), bitpix=-32, parnames=["U", "V"], pardata=[1, 2])
    fits.GroupsHDU(groups).writeto(tmp_path / "groups.fits", checksum=True)
    assert verdict(tmp_path, (tmp_path / "groups.fits").read_bytes(), "a.fits") == ""
    rows = np.array([np.arange(n, dtype="i4") for n in (3, 1000, 1)], dtype=object)
    out = io.BytesIO()
    heap = fits.BinTableHDU.from_columns([fits.Column("V", "PJ()", array=rows)])
    fits.HDUList([fits.PrimaryHDU(), heap]).writeto(out, checksum=True)
    assert verdict(tmp_path, out.getvalue(), "a.fits") == ""


def test_an_altered_value_is_a_remark_not_an_error(tmp_path):
    corrupted = bytearray(PLAIN)
    corrupted[-BLOCK] ^= 1
    remarks = verdict(tmp_path, bytes(corrupted), "a.fits")
    assert "DATASUM of HDU 6" in remarks
    assert "CHECKSUM of HDU 6" in remarks


def test_empty_checksums_are_not_checksums(tmp_path):
    # Chandra writes them; astropy.io.fits.open(checksum=True) refuses such a file.
    header = fits.PrimaryHDU().header
    header["CHECKSUM"], header["DATASUM"] = "", ""
    assert verdict(tmp_path, header.tostring().encode(), "a.fits") == ""


@pytest.mark.parametrize(
    "cards",
    [
        {"NAXIS": 1, "NAXIS1": -5},
        {"NAXIS": 2, "NAXIS1": 10**15, "NAXIS2": 10**15},
        {"NAXIS": 1},
        {"NAXIS": 1000},
        {"BITPIX": 7, "NAXIS": 1, "NAXIS1": 4},
        {"NAXIS": 1, "NAXIS1": 8, "PCOUNT": -9},
    ],
    ids=str,
)
def test_impossible_headers(tmp_path, cards):
    assert verdict(tmp_path, header({"SIMPLE": "T", "BITPIX": 8} | cards), "a.fits") == "data.damaged"


def test_a_file_of_many_empty_files_is_refused(tmp_path):
    assert verdict(tmp_path, PACKED + pack(b"") * 3000, "a.FTZ") == "data.damaged"
    assert verdict(tmp_path, PACKED + pack(b"") * 500, "a.FTZ") == ""


def test_a_bomb_is_not_held_in_memory(tmp_path):
    import tracemalloc

    bomb = tmp_path / "bomb.gz"
    bomb.write_bytes(pack(bytes(64 << 20)))
    tracemalloc.start()
    total = sum(len(piece) for piece in contents(bomb, "bomb.gz"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == 64 << 20
    assert peak < 8 << 20


NUSTAR = find_mission("nustar")


def hdus_of(content: bytes) -> list[bytes]:
    """The file in its HDUs."""
    with fits.open(io.BytesIO(content)) as hdus:
        starts = [hdu.fileinfo()["hdrLoc"] for hdu in hdus] + [len(content)]
    return [content[start:end] for start, end in itertools.pairwise(starts)]


def header(cards: dict[str, object]) -> bytes:
    """A block with these cards."""
    text = "".join(f"{name:8}= {value!s:>20}".ljust(80) for name, value in cards.items())
    return (text + "END".ljust(80)).ljust(BLOCK).encode()


def judged(tmp_path, content: bytes, expected: ExpectedContent) -> str:
    (tmp_path / "a.evt.gz").write_bytes(gzip.compress(content, 1, mtime=0))
    try:
        return "; ".join(check_file(tmp_path / "a.evt.gz", "a.evt.gz", expected))
    except DataError as error:
        return error.code


@pytest.mark.parametrize("lost", range(1, 7))
def test_no_hdu_may_be_missing(tmp_path, lost):
    parts = hdus_of(PLAIN)
    assert judged(tmp_path, b"".join(parts), ExpectedContent(tables=NUSTAR.event_tables)) == ""
    del parts[lost]
    assert judged(tmp_path, b"".join(parts), ExpectedContent(tables=NUSTAR.event_tables)) == "data.incomplete"
    assert judged(tmp_path, b"".join(parts), ExpectedContent()) == "", "of other files nothing is known"


def test_good_times_that_the_header_names_are_there(tmp_path, real_data):
    content = (real_data / "chandra/acis_18461_cena_evt2.fits").read_bytes()
    expected = ExpectedContent("18461", find_mission("chandra").event_tables)
    assert judged(tmp_path, content, expected) == ""
    parts = hdus_of(content)
    for lost in range(1, len(parts)):
        assert judged(tmp_path, b"".join(parts[:lost] + parts[lost + 1 :]), expected) == "data.incomplete"


@pytest.mark.parametrize("card", ["'30101031002'", "'30101031002 '", "30101031002", "'030101031002'", "''"])
def test_the_observation_is_the_requested_one(tmp_path, card):
    content = header({"SIMPLE": "T", "BITPIX": 8, "NAXIS": 0, "OBS_ID": card})
    assert judged(tmp_path, content, ExpectedContent("30101031002")) == ""
    assert judged(tmp_path, content, ExpectedContent("30101031004")) == (
        "" if card == "''" else "data.wrong-observation"
    )


def test_what_unpacks_to_more_than_any_file_of_its_size(tmp_path):
    image = header({"SIMPLE": "T", "BITPIX": 8, "NAXIS": 1, "NAXIS1": 300 << 20})
    (tmp_path / "a.fits.gz").write_bytes(pack(image) + pack(bytes(1 << 20)) * 300)
    with pytest.raises(DataError) as caught:
        check_file(tmp_path / "a.fits.gz", "a.fits.gz")
    assert caught.value.code == "data.oversized"


@pytest.mark.parametrize(
    ("mission", "obs_id", "name"),
    [
        ("chandra", "18461", "chandra/acis_18461_cena_evt2.fits"),
        ("chandra", "242", "chandra/acis_00242_sgra_evt2.fits.gz"),
        ("chandra", "13839", "chandra/acis_13839_sgra_evt2.fits.gz"),
        ("ixpe", "01006501", "ixpe/ixpe01006501_det1_evt2_v15.fits.gz"),
        ("nicer", "1034200101", "nicer/ngc300nicer_bary.evt"),
        ("nicer", "1020600110", "nicer/ni1020600110_1e2259.fits.gz"),
        ("nustar", "30101031002", "nustar/nu30101031002A_cut_evt.fits"),
        ("suzaku", "102019010", "suzaku/xis0_102019010_crab_100ev_1.fits"),
        ("xmm", "0201901401", "xmm/0201901401/eclean/mos1_exp1_clean_evts.fits"),
        ("xmm", "0404910601", "xmm/0404910601/eclean/mos2_exp1_clean_evts.fits"),
    ],
)
def test_real_lists_have_what_their_missions_declare(real_data, mission, obs_id, name):
    spec = find_mission(mission)
    expected = ExpectedContent(obs_id, spec.event_tables)
    check_file(real_data / name, name, expected)
    with pytest.raises(DataError) as caught:
        check_file(real_data / name, name, replace(expected, obs_id="1"))
    assert caught.value.code == "data.wrong-observation"


@pytest.mark.parametrize("name", ["acis_06686_kes75_nogti.fits.gz", "acis_6601_cygx3_tgevt.fits"])
def test_lists_whose_good_times_were_taken_away_are_not_archive_files_but_whole(real_data, name):
    path = real_data / "chandra" / name
    check_file(path, name)
    with pytest.raises(DataError) as caught:
        check_file(path, name, ExpectedContent("", find_mission("chandra").event_tables))
    assert caught.value.code == "data.incomplete"


def test_every_real_file_passes_as_what_it_is(real_data):
    suffixes = (".fits", ".gz", ".ftz", ".fit", ".img", ".evt", ".lc", ".pha", ".pi")
    files = [path for path in real_data.rglob("*") if path.name.lower().endswith(suffixes)]
    assert len(files) > 80
    for path in files:
        check_file(path, path.name)


def test_real_files_are_in_order(real_data, tmp_path):
    files = [path for path in real_data.rglob("*") if path.suffix in (".fits", ".gz", ".FTZ", ".img", ".evt", ".lc")]
    assert len(files) > 20
    random.Random(1).shuffle(files)
    for path in files[:40]:
        remarks = check_file(path, path.name)
        with fits.open(path) as hdus:
            stale = any(not _fits_sums(hdu) for hdu in hdus)
        assert stale == any("SUM of HDU" in remark for remark in remarks), path


def _fits_sums(hdu) -> bool:
    """What astropy makes of the sums of one HDU; it cannot take an empty DATASUM."""
    recorded = hdu.header.get("DATASUM", "").strip()
    return True if not recorded.isdigit() else int(recorded) == _datasum(hdu)


def _datasum(hdu) -> int:
    info = hdu.fileinfo()
    raw = info["file"]
    raw.seek(info["datLoc"])
    return fits.PrimaryHDU()._compute_checksum(np.frombuffer(raw.read(info["datSpan"]), dtype="ubyte"))
