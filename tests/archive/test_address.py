"""The storage of an archive: what is written for DVC, and how DVC reads it."""

from __future__ import annotations

import os

import pytest

from daxa.archive import dvc, git
from daxa.archive.address import SCHEMES, config_value, storage_address
from daxa.archive.template import render
from daxa.errors import ConfigError


def understood(root, address: str) -> str:
    """The address as DVC reads it from the file that we write."""
    (root / ".dvc").mkdir(parents=True, exist_ok=True)
    (root / ".dvc" / "config").write_text(render("a907", [], remote=address)[".dvc/config"])
    said = dvc.run_dvc(root, "config", "--list")
    assert said.code == 0, said.output
    return dict(line.split("=", 1) for line in said.stdout.splitlines() if "=" in line)["remote.storage.url"]


@pytest.mark.parametrize("odd", ["a b", "x,y#z", "100%d", "it's;[ok]={}", 'say "x"', "ünïcode\\back"])
def test_dvc_finds_the_directory_whatever_its_name(tmp_path, monkeypatch, odd, identity):
    root = tmp_path / odd / "a907"
    root.mkdir(parents=True)
    git.initialise(root)
    monkeypatch.chdir(root.parent)
    address = storage_address(f"storage {odd}", root)
    assert address == f"../../storage {odd}"
    assert understood(root, address) == str(root.parent / f"storage {odd}")


def test_directories_beside_the_archive_move_with_it_and_others_stay(tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    root = tmp_path / "work" / "a907"
    for given, written in {
        "storage": "../../storage",
        "../shared": "../../../shared",
        str(tmp_path / "work" / "storage"): "../../storage",
        f"file://{tmp_path}/work/storage": "../../storage",
        str(tmp_path / "elsewhere"): str(tmp_path / "elsewhere"),
        "~/storage": str(tmp_path / "home" / "storage"),
        "s3://bucket/a907": "s3://bucket/a907",
        "": "",
    }.items():
        assert storage_address(given, root) == written


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_scheme_that_we_offer_is_one_of_dvc(tmp_path, scheme, monkeypatch):
    from dvc.config_schema import REMOTE_SCHEMAS

    assert scheme in REMOTE_SCHEMAS
    assert storage_address(f"{scheme}://host/path", tmp_path / "a907") == f"{scheme}://host/path"
    assert set(REMOTE_SCHEMAS) - {""} == set(SCHEMES)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("foo://x y", "DVC does not know foo://"),
        ("s3://bucket/a b", "not a complete address"),
        ("s3:bucket/x", "neither a directory"),
        ("git@host.org:a907.git", "neither a directory"),
        ("host.org:/data", "neither a directory"),
        ("s3://", "not a complete address"),
        ("://x", "kind of storage"),
        ("https://user:secret@host/x", "password"),
        ('s3://bucket"/x', "not a complete address"),
        ("ssh://h/x\ny", "line break"),
        ("stor\nage", "line break"),
        ("stor\u202eage", "cannot be seen"),
        ("stor%(x)sage", "%("),
        ("both\"and'", "quotes"),
        ("~nobody-of-that-name/x", "home"),
        ("file://host/x", "not a directory on this machine"),
    ],
)
def test_what_dvc_could_not_use_is_refused_in_words(tmp_path, given, said):
    with pytest.raises(ConfigError) as caught:
        storage_address(given, tmp_path / "a907")
    assert caught.value.code == "config.remote"
    assert said in caught.value.message
    assert "secret" not in caught.value.message
    if "foo" in given:
        assert all(f"{scheme}://" in caught.value.remedy for scheme in SCHEMES)


def test_values_that_no_file_can_hold_never_reach_one():
    for value in ("a\nb", "a%(b)s", "\"'", os.fsdecode(b"\xff")):
        with pytest.raises(ConfigError):
            config_value(value)
