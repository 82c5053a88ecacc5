"""Tar files as other programs write them: what describes a file is passed over, what changes its content is refused."""

from __future__ import annotations

import io
import tarfile

import pytest

from daxa.errors import DataError
from daxa.tars import read_members

LONG = f"field/{'d' * 90}/{'n' * 120}.fits"


def refuse(why: str) -> DataError:
    return DataError("damaged", why, remedy="none")


def read(content: bytes, *, foreign: bool = True) -> dict[str, bytes]:
    return {one.file_name: one.read() for one in read_members(io.BytesIO(content), bool, refuse, foreign=foreign)}


def written(form: int, *names: str, **cards: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size, info.mtime, info.uname, info.pax_headers = 3, 1.6e9 + 0.25, "M\u00fcller", cards
            tar.addfile(info, io.BytesIO(b"abc"))
    return out.getvalue()


def block(kind: bytes, content: bytes = b"", name: str = "x", size: int | None = None) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(content) if size is None else size
    return info.tobuf(tarfile.GNU_FORMAT, "ascii", "strict") + content + bytes(-len(content) % 512)


def record(key: str, value: str) -> bytes:
    bare = len(f" {key}={value}\n".encode())
    length = next(n for n in range(bare, bare + 9) if n == bare + len(str(n)))
    return f"{length} {key}={value}\n".encode()


PAX, ALL, NAME, FILE = tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, block(b"0", b"abc", "a.fits")
END = bytes(1024)


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_owners_and_times_of_other_programs_are_read(form):
    content = written(form, "short.fits", LONG, f"{LONG}.gz")
    assert read(content) == dict.fromkeys(("short.fits", LONG, f"{LONG}.gz"), b"abc")
    with pytest.raises(DataError):
        read(content, foreign=False)


def test_what_describes_a_file_is_passed_over_and_names_and_sizes_count():
    cards = {"LIBARCHIVE.creationtime": "1", "SCHILY.xattr.user.x": "y=z", "comment": "by hand", "atime": "3.5"}
    assert read(written(tarfile.PAX_FORMAT, "a", **cards)) == {"a": b"abc"}
    assert read(block(ALL, record("comment", "0" * 40)) + FILE + END) == {"a.fits": b"abc"}
    named = record("path", "b.fits") + record("size", "2") + record("hdrcharset", "BINARY")
    assert read(block(PAX, named) + block(b"0", b"ab", size=7) + FILE + END) == {"b.fits": b"ab", "a.fits": b"abc"}
    assert read(block(b"\0", b"abc", "old") + END) == {"old": b"abc"}
    with pytest.raises(DataError, match="not a plain file"):
        read(block(b"\0", b"abc", "old") + END, foreign=False)


ODD = {
    "sparse": (block(PAX, record("GNU.sparse.major", "1")) + FILE, "GNU.sparse.major"),
    "another sparse one": (block(PAX, record("SCHILY.realsize", "9")) + FILE, "SCHILY.realsize"),
    "a link": (block(PAX, record("linkpath", "/etc/passwd")) + FILE, "linkpath"),
    "an unknown word": (block(PAX, record("rm", "-rf")) + FILE, "'rm'"),
    "unknown letters": (block(PAX, record("hdrcharset", "ISO-IR 8859 1 1998")) + FILE, "unknown letters"),
    "all named alike": (block(ALL, record("path", "b")) + FILE, "all files one name"),
    "all sized alike": (block(ALL, record("size", "1")) + FILE, "all files one name or size"),
    "named twice": (block(NAME, b"b\0") + block(PAX, record("path", "c")) + FILE, "two extended headers"),
    "of no file": (block(NAME, b"b\0") + END, "a header in it is wrong"),
    "a twin": (FILE + block(PAX, record("path", "a.fits")) + block(b"0", b"xyz", "other"), "twice"),
    "a zero in a name": (block(PAX, record("path", "a\0b")) + FILE, "zeros"),
    "an endless name": (block(NAME, b"n" * 1025) + FILE, "1025 bytes"),
    "a negative size": (block(PAX, record("size", "-1")) + FILE, "not a number"),
    "a size in other digits": (block(PAX, record("size", "\u0663")) + FILE, "not a number"),
    "a size beyond all": (block(PAX, record("size", "9" * 40)) + FILE, "not a number"),
    "a size beyond the end": (block(PAX, record("size", "99999")) + FILE, "ends within"),
    "a record too long": (block(PAX, b"99 path=b\n") + FILE, "extended header in it is wrong"),
    "a record too short": (block(PAX, b"3 path=b\n") + FILE, "extended header in it is wrong"),
    "no record": (block(PAX, b"path=b") + FILE, "extended header in it is wrong"),
    "a huge header": (block(PAX, size=1 << 40) + FILE, "has 1099511627776 bytes"),
    "a header that ends early": (block(PAX, size=4096), "ends within"),
    "a long name of a link": (block(tarfile.GNUTYPE_LONGLINK, b"b\0") + FILE, "not a plain file"),
    "another volume": (block(b"M", b"abc") + FILE, "not a plain file"),
}


@pytest.mark.parametrize("name", ODD)
def test_what_would_change_a_content_or_a_name_is_refused(name):
    content, words = ODD[name]
    with pytest.raises(DataError, match=words):
        read(content + END)


def test_a_name_of_control_characters_is_shown_escaped():
    content = block(PAX, b"15 path=a\xff\x1b[2J\n") + block(b"0", b"", "a", size=5000)
    with pytest.raises(DataError) as caught:
        read(content)
    assert caught.value.message == r"it ends within 'a\udcff\x1b[2J'"


def test_headers_and_names_without_end_are_refused(monkeypatch):
    monkeypatch.setattr("daxa.tars._MOST_HEADERS", 5)
    with pytest.raises(DataError, match="more than 5 files"):
        read(block(ALL, record("comment", "x")) * 6 + FILE + END)
    monkeypatch.setattr("daxa.tars._MOST_NAMES", 10)
    with pytest.raises(DataError, match="more than 10 characters"):
        read(FILE + block(b"0", b"abc", "b.fits") + END)
