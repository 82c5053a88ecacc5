"""Remotes are tried before they are kept: writing, reading, the package that they need."""

from __future__ import annotations

import json

import pytest

from daxa.archive import git
from daxa.archive.gate import check_archive
from daxa.cli import main
from daxa.errors import ConfigError, CriteriaError, StorageError
from daxa.publish.sharing import remotes
from daxa.publish.sharing.remotes import EXTRAS, add_remote, require_extra, try_remote


def test_a_directory_is_tried_and_committed(released, monkeypatch, capsys):
    layout = released.layout
    monkeypatch.chdir(layout.root)
    assert main(["remote", "add", "other", "../elsewhere", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["written"], told["read"], told["anonymous"]) == (True, True, None)
    assert (layout.root.parent / "elsewhere" / "files" / "md5").is_dir()
    assert not git.changes(layout.root)
    text = (layout.root / ".dvc" / "config").read_text()
    assert "verify = true" in text
    assert "remote = storage" in text, "the default one stays"
    check_archive(layout, acting=True)


def test_what_does_not_work_leaves_nothing(released, tmp_path):
    layout = released.layout
    config = layout.root / ".dvc" / "config"
    before, head = config.read_bytes(), git.commit_of(layout.root)
    (tmp_path / "file").write_text("no directory")
    with pytest.raises(StorageError, match="nothing can be written"):
        add_remote(layout, "other", str(tmp_path / "file"))
    for name, url in (
        ("-x", "/srv/x"),
        ("other", "ftp://host/x"),
        ("other", "s3://user:secret@host/x"),
        ("storage", "/x"),
    ):
        with pytest.raises(ConfigError) as refused:
            add_remote(layout, name, url)
        assert "secret" not in str(refused.value)
    assert (config.read_bytes(), git.commit_of(layout.root)) == (before, head)
    assert not git.changes(layout.root)


def test_a_remote_that_forgets_is_found_out(released, monkeypatch):
    monkeypatch.setattr(remotes.dvc, "fetch", lambda *arguments: True)
    with pytest.raises(StorageError, match="cannot be read back"):
        try_remote(released.layout)


@pytest.mark.parametrize("scheme", [*EXTRAS, "gs"])
def test_a_missing_package_is_an_error_with_what_to_install(scheme, monkeypatch):
    monkeypatch.setattr(remotes, "find_spec", lambda name: None)
    with pytest.raises(ConfigError) as refused:
        require_extra(f"{scheme}://host/path")
    extra = EXTRAS.get(scheme, (scheme,))[0]
    assert f"[{extra}]" in refused.value.remedy
    require_extra("https://host/path")


def test_extras_are_those_of_the_distribution():
    import tomllib
    from pathlib import Path

    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert {extra for extra, _ in EXTRAS.values()} == set(project["optional-dependencies"]) - {"cluster"}
    for extra, module in EXTRAS.values():
        assert project["optional-dependencies"][extra][0].startswith(module.replace("_", "-"))


def test_misuse_is_explained(released, monkeypatch, capsys):
    monkeypatch.chdir(released.layout.root)
    for arguments in (["add", "other"], ["try", "storage", "/srv/x"]):
        assert main(["remote", *arguments]) == CriteriaError.exit_code
        assert "takes other arguments" in capsys.readouterr().err
