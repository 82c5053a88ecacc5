"""Small files of an archive: bounded, plain, and never torn."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from daxa.archive.upstream import collect_provenance, note_provenance
from daxa.errors import DataError
from daxa.files import open_plain, parse_json, parse_toml, read_plain, refuse_links, replace_file
from daxa.parquet import read_parquet


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 50_000,
        "a = " + "{b=" * 50_000,
        ".".join("a" * 50_000) + " = 1",
        "[" + " . ".join(['"a"'] * 50_000) + "]",
        "\n".join("[" + ".".join("a" * depth) + "]" for depth in range(1, 130)),
    ],
)
def test_deep_toml_is_an_error_of_its_own(text):
    with pytest.raises(DataError) as caught:
        parse_toml(text.encode(), Path("daxa.toml"))
    assert "daxa.toml" in caught.value.message


@pytest.mark.parametrize(
    "text", ["a = " + "9" * 9999, "a = ", '"' * 100_000, "a" * 100_000, "a = 2001-99-99", "\ud800"]
)
def test_what_is_not_toml_is_a_value_error(text):
    with pytest.raises(ValueError, match=r"."):
        parse_toml(text.encode("utf-8", "surrogatepass"), Path("daxa.toml"))


def test_long_but_honest_toml_is_read():
    ids = ", ".join(f'"{number:010d}"' for number in range(50_000))
    assert len(parse_toml(f"obsid = [{ids}]".encode(), Path("daxa.toml"))["obsid"]) == 50_000
    words = "one. two. three. " * 200
    assert parse_toml(f'[a.b.c."d.e"]\ntitle = "{words}"'.encode(), Path("x"))["a"]["b"]["c"]["d.e"]["title"] == words


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b'{"a":' * 100_000, b"9" * 9999, b"\xff"])
def test_what_is_not_json_is_a_separate_error(content):
    with pytest.raises(DataError):
        parse_json(content, Path("note.json"))


def test_size_is_limited_also_where_the_file_grows(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"1" * 100)
    assert read_plain(path, limit=100) == b"1" * 100
    with pytest.raises(DataError, match="larger"):
        read_plain(path, limit=99)
    with open_plain(path, limit=100), pytest.raises(DataError):
        path.write_bytes(b"1" * 101)
        read_plain(path, limit=100)


def test_a_link_on_the_way_is_refused(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "link").symlink_to("b")
    refuse_links(tmp_path, tmp_path / "a" / "b" / "new" / "file")
    for path in ("a/link", "a/link/file", "a/link/deep/file"):
        with pytest.raises(DataError, match="link"):
            refuse_links(tmp_path, tmp_path / path)


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    events = []
    monkeypatch.setattr(os, "fsync", lambda handle: events.append("fsync"))
    replace = Path.replace
    monkeypatch.setattr(Path, "replace", lambda path, target: events.append("rename") or replace(path, target))
    replace_file(tmp_path / "new" / "x.json", b"1")
    assert events == ["fsync", "rename"]
    (tmp_path / "outside").write_bytes(b"mine")
    (tmp_path / "new" / "x.json.part").symlink_to(tmp_path / "outside")
    replace_file(tmp_path / "new" / "x.json", b"2")
    assert (tmp_path / "new" / "x.json").read_bytes() == b"2"
    assert (tmp_path / "outside").read_bytes() == b"mine"


TORN = {
    "empty": b"",
    "zeros": bytes(50),
    "cut": b'[{"path": "x", "url": "https',
    "no list": b"7",
    "other keys": b'[{"path": "x"}]',
    "other values": b'[{"path": "x", "url": 7, "size": "a", "sha256": [], "retrieved": 2}]',
    "every value": b'[{"path":"x","url":"","size":"a","sha256":"","etag":"","last_modified":"","retrieved":""}]',
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("content", TORN.values(), ids=TORN)
def test_a_torn_note_of_arrivals_heals(tmp_path, content):
    from daxa.fetch.observation import FileProvenance

    notes, path = tmp_path / "arrivals", tmp_path / "upstream" / "xmm.parquet"
    note_provenance(
        notes, "0404910601", [FileProvenance("a.FTZ", "https://x", 7, "0" * 64, retrieved="2026-01-01T00:00:00Z")]
    )
    (notes / "0093640901.json").write_bytes(content)
    collect_provenance(path, notes)
    assert read_parquet(path)["obs_id"].to_pylist() == ["0404910601"]
    assert not list(notes.iterdir())
