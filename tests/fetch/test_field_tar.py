"""What is read of the tar file of a field, and where what is taken out of it is written."""

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daxa.errors import DataError, DaxaError
from daxa.fetch.field_index import PackedFile
from daxa.fetch.field_tar import extract_member, list_members
from daxa.fetch.listing import safe_name
from tests.fetch.conftest import sha256
from tests.fetch.tar_blocks import END, header, stored


def test_odd_names_are_passed_over_and_unpacked_tars_are_read(tmp_path):
    content = stored("a b", b"x") + stored(".hidden/c", b"y") + stored("./d/e.fits", b"z") + END
    (tmp_path / "x.tar").write_bytes(content)
    assert list_members(tmp_path / "x.tar", "x.tar") == {"d/e.fits": PackedFile(1, sha256(b"z"))}
    assert extract_member(tmp_path / "x.tar", "x.tar", "d/e.fits", tmp_path / "out", most=1) == 1
    assert (tmp_path / "out").read_bytes() == b"z"
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o600
    with pytest.raises(DataError, match="cannot have more than 0"):
        extract_member(tmp_path / "x.tar", "x.tar", "d/e.fits", tmp_path / "more", most=0)
    (tmp_path / "link").symlink_to(tmp_path / "victim")
    with pytest.raises(DaxaError):
        extract_member(tmp_path / "x.tar", "x.tar", "d/e.fits", tmp_path / "link", most=1)
    assert not (tmp_path / "victim").exists()


def test_what_python_writes_for_others_is_read(tmp_path):
    """The formats of GNU tar, ustar and pax, with folders."""
    for number, form in enumerate((tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT)):
        (tmp_path / "deep" / ("n" * 60)).mkdir(parents=True, exist_ok=True)
        (tmp_path / "deep" / ("n" * 60) / "list.fits").write_bytes(b"q" * 700)
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w:gz", format=form) as tar:
            tar.add(tmp_path / "deep", "./deep")
        path = tmp_path / f"{number}.tar.gz"
        path.write_bytes(out.getvalue())
        assert list_members(path, path.name) == {f"deep/{'n' * 60}/list.fits": PackedFile(700, sha256(b"q" * 700))}


@given(st.lists(st.tuples(st.integers(0, 2047), st.integers(0, 255)), min_size=1, max_size=6), st.integers(0, 4096))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_altered_or_cut_the_reader_refuses_or_stays_inside(tmp_path, changes, cut):
    whole = bytearray(
        stored("a/b.fits", b"x" * 600) + header("c", kind=tarfile.DIRTYPE) + stored("d", b"") + bytes(2048)
    )
    for at, value in changes:
        whole[at] = value
    for at in (0, 1536, 2048):  # The sums, so that more than these is looked at.
        block = whole[at : at + 512]
        block[148:156] = b" " * 8
        whole[at + 148 : at + 156] = b"%06o\0 " % sum(block)
    path = tmp_path / "x.tar"
    path.write_bytes(whole[: len(whole) - cut])
    try:
        found = list_members(path, path.name)
    except DataError:
        return
    assert all(safe_name(part) for name in found for part in name.split("/"))
    assert sum(one.size for one in found.values()) <= len(whole)
