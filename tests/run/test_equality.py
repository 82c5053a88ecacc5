from __future__ import annotations

import gzip
import hashlib
import io
import shutil
import warnings
from pathlib import Path

import fitsio
import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from daxa.run.equality import VOLATILE, data_size, file_digests, science_digest


def events(**cards) -> fits.HDUList:
    """A small event list with a variable-length column and an image."""
    primary = fits.PrimaryHDU()
    primary.header["TELESCOP"] = "XMM"
    times = np.linspace(0, 100, 999)
    trace = np.empty(999, dtype=object)
    trace[:] = [np.arange(i % 5, dtype="i2") for i in range(999)]
    columns = [
        fits.Column("TIME", "D", "s", array=times),
        fits.Column("PI", "J", array=np.arange(999)),
        fits.Column("TRACE", "PI()", array=trace),
    ]
    table = fits.BinTableHDU.from_columns(columns, name="EVENTS")
    image = fits.ImageHDU(np.arange(12.0).reshape(3, 4), name="IMAGE")
    for name, value in cards.items():
        table.header[name] = value
    return fits.HDUList([primary, table, image])


def science(hdus: fits.HDUList | bytes) -> str:
    if isinstance(hdus, bytes):
        return science_digest(io.BytesIO(hdus))
    stream = io.BytesIO()
    hdus.writeto(stream)
    return science_digest(io.BytesIO(stream.getvalue()))


VOLATILE_CHANGES = {
    "DATE": {"DATE": "2026-01-01T00:00:00"},
    "CREATOR": {"CREATOR": "evselect-3.62 by somebody"},
    "HISTORY": {"HISTORY": "made in /home/somebody"},
    "COMMENT": {"COMMENT": "free text"},
    "blank": {"": "free text"},
    "SAS call": {"XPROC0": "evselect table=/home/somebody/" + "x" * 200},
    "SAS files": {"XDAL1": "list.fits 2014-01-23T19:16:42.000 Create"},
    "user": {"USER": "somebody"},
}


@pytest.mark.parametrize("cards", VOLATILE_CHANGES.values(), ids=VOLATILE_CHANGES)
def test_volatile_cards_do_not_count(cards):
    assert science(events(**cards)) == science(events())


SCIENCE_CHANGES = {
    "value": {"EXPOSURE": 1.0},
    "time of observation": {"DATE-OBS": "2004-10-19"},
    "long text": {"FILTEXPR": "x" * 200},
    "version of the processing": {"PROCVER": "3.14"},
    "numbered": {"DSVAL1": "TABLE"},
    "a name that begins like a volatile one": {"DATEX": 1},
    "end of a long text": {"FILTEXPR": "x" * 199 + "y"},
}


def test_everything_else_counts():
    digests = [science(events(**cards)) for cards in SCIENCE_CHANGES.values()]
    assert len({*digests, science(events())}) == len(digests) + 1


def test_comments_and_order_of_science_cards_count():
    plain = events(AAA=1, BBB=2)
    commented = events(AAA=(1, "seconds"), BBB=2)
    assert len({science(plain), science(commented), science(events(BBB=2, AAA=1))}) == 3


def test_a_single_value_of_the_data_counts():
    changed = events()
    changed["EVENTS"].data["PI"][500] = -1
    in_heap = events()
    in_heap["EVENTS"].data["TRACE"][4] = np.array([9, 9, 9, 9], dtype="i2")
    in_image = events()
    in_image["IMAGE"].data[1, 1] += 1e-9
    assert len({science(item) for item in (events(), changed, in_heap, in_image)}) == 4


def test_hdus_count():
    assert science(events()[:2]) != science(events())


def test_spacing_of_cards_does_not_count():
    stream = io.BytesIO()
    events(OBJECT="A 907", EXPOSURE=(5.5, "s")).writeto(stream)
    data = stream.getvalue()
    assert b"OBJECT  = 'A 907   '" in data
    squeezed = data.replace(b"OBJECT  = 'A 907   '", b"OBJECT  =   'A 907' ").replace(
        b"EXPOSURE=                  5.5 / s", b"EXPOSURE= 5.5          /         s"
    )
    assert squeezed != data
    assert len(squeezed) == len(data)
    assert science(squeezed) == science(data)


def test_checksums_do_not_count(tmp_path):
    events().writeto(tmp_path / "plain.fits")
    events().writeto(tmp_path / "summed.fits", checksum=True)
    plain, summed = (file_digests(tmp_path / name) for name in ("plain.fits", "summed.fits"))
    assert (plain.sha256 != summed.sha256, plain.science == summed.science) == (True, True)


def test_compression_and_its_time_do_not_count(tmp_path):
    events().writeto(tmp_path / "a.fits")
    data = (tmp_path / "a.fits").read_bytes()
    (tmp_path / "b.FTZ").write_bytes(gzip.compress(data, 1, mtime=1))
    # gzip allows several members one after the other (RFC 1952, 2.2).
    (tmp_path / "c.fits.gz").write_bytes(gzip.compress(data[:5000], mtime=2) + gzip.compress(data[5000:]))
    found = [file_digests(tmp_path / name) for name in ("a.fits", "b.FTZ", "c.fits.gz")]
    assert len({item.science for item in found}) == 1
    for item in found:
        content = (tmp_path / item.path).read_bytes()
        assert (item.size, item.sha256) == (len(content), hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize("cut", [1, 2879, 2880, 4000, 9000, -1, -2880])
def test_a_cut_file_is_digested_as_bytes(tmp_path, cut):
    events().writeto(tmp_path / "a.fits")
    whole = (tmp_path / "a.fits").read_bytes()
    reference = science(whole)
    (tmp_path / "a.fits").write_bytes(whole[:cut])
    item = file_digests(tmp_path / "a.fits")
    assert item.sha256 == hashlib.sha256(whole[:cut]).hexdigest()
    # What is missing at the very end may be padding, which does not count.
    assert item.science != reference or cut == -1


def test_a_damaged_gzip_file_is_digested_as_bytes(tmp_path):
    events().writeto(tmp_path / "a.fits")
    packed = bytearray(gzip.compress((tmp_path / "a.fits").read_bytes()))
    for content in (packed[:-100], packed[:-8] + b"\0" * 8, packed[:50] + b"junk" * 10 + packed[90:], packed[:3]):
        (tmp_path / "a.fits.gz").write_bytes(content)
        item = file_digests(tmp_path / "a.fits.gz")
        assert item.science == item.sha256 == hashlib.sha256(content).hexdigest()
        assert item.size == len(content)


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b", b"<html>", b"SIMPLE  =", b"SIMPLE  = " + b" " * 9000])
def test_other_files_are_digested_as_bytes(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    item = file_digests(tmp_path / "x", "PPS/x")
    assert (item.path, item.science) == ("PPS/x", hashlib.sha256(content).hexdigest())


def test_bytes_after_the_last_hdu_count_unless_they_are_padding():
    stream = io.BytesIO()
    events().writeto(stream)
    data = stream.getvalue()
    assert science(data + b"\0" * 2880) == science(data)
    assert science(data + b"secret") != science(data)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_no_header_crashes(tail):
    header = b"SIMPLE  =                    T".ljust(80) + b"BITPIX  =                    8".ljust(80)
    science_digest(io.BytesIO((header + tail + b"END".ljust(80)).ljust(2880 * 2)))


@pytest.mark.parametrize(
    "cards", [b"NAXIS   = 99999999999999", b"NAXIS   = -5", b"NAXIS   = 2", b"GCOUNT  = -9", b"NAXIS   = 1" + b"9" * 60]
)
def test_absurd_sizes_are_no_fits(cards):
    lines = [b"SIMPLE  = T", b"BITPIX  = 64", cards, b"NAXIS1  = 999999999", b"NAXIS2  = 999999999", b"END"]
    if b"GCOUNT" in cards:
        lines.insert(2, b"NAXIS   = 1")
    data = b"".join(line.ljust(80) for line in lines).ljust(2880)
    assert science_digest(io.BytesIO(data)) == ""


def test_cfitsio_and_astropy_agree_on_what_is_equal(tmp_path):
    """CFITSIO updates a volatile card in place; the data stay the same bytes."""
    events().writeto(tmp_path / "a.fits")
    shutil.copy(tmp_path / "a.fits", tmp_path / "b.fits")
    with fitsio.FITS(str(tmp_path / "b.fits"), "rw") as file:
        file[1].write_key("CREATOR", "fitsio")
        file[1].write_history("by CFITSIO")
        file[1].write_checksum()
    one, two = (file_digests(tmp_path / name) for name in ("a.fits", "b.fits"))
    assert one.sha256 != two.sha256
    assert one.science == two.science
    with fitsio.FITS(str(tmp_path / "b.fits"), "rw") as file:
        file[1].write_key("EXPOSURE", 5.0)
    assert file_digests(tmp_path / "b.fits").science != one.science


def _real_fits(place: Path) -> list[Path]:
    found = []
    for path in sorted(place.rglob("*")):
        if path.is_file() and path.stat().st_size < 30e6:
            content = path.read_bytes()
            content = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
            if content.startswith(b"SIMPLE  ="):
                found.append(path)
    return found


def test_real_files_are_read_as_astropy_reads_them(real_data):
    """Sizes of data against astropy, for every real FITS file."""
    checked = 0
    for path in _real_fits(real_data):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with fits.open(path, disable_image_compression=True) as hdus:
                for hdu in hdus:
                    header = hdu.header.tostring(endcard=False, padding=False).encode()
                    assert data_size(header) == hdu.size, f"{path} {hdu.name}"
                    checked += 1
    assert checked > 200


def test_real_files_that_tools_rewrote_still_say_the_same(real_data, tmp_path):
    for path in _real_fits(real_data)[:40]:
        item = file_digests(path)
        if path.read_bytes()[:2] == b"\x1f\x8b":
            (tmp_path / "copy").write_bytes(gzip.decompress(path.read_bytes()))
        else:
            shutil.copy(path, tmp_path / "copy")
        (tmp_path / "copy").chmod(0o644)
        if item.science == item.sha256:
            assert "TRUNC" in path.name.upper() or not _whole(path), path
            continue
        with fitsio.FITS(str(tmp_path / "copy"), "rw") as file:
            for hdu in file:
                hdu.write_key("DATE", "2026-11-22T00:00:00")
                hdu.write_history("rewritten by CFITSIO")
        again = file_digests(tmp_path / "copy")
        assert again.science == item.science, path
        assert again.sha256 != item.sha256


def _whole(path: Path) -> bool:
    """Whether astropy finds the file as long as its headers say."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with fits.open(path, disable_image_compression=True) as hdus:
            len(hdus)
    return not any("truncated" in str(item.message).lower() for item in caught)


def test_every_volatile_card_has_a_reason():
    assert all(reason for reason in VOLATILE.values())
