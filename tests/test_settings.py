"""The user's own file of settings: what cannot be used is named, with a remedy."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from daxa import settings
from daxa.errors import ConfigError
from daxa.files import TOML_LIMIT
from daxa.settings import load_settings, user_table

DEEP = 5000


def test_a_line_of_the_file_is_used(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text("workers = 3\n")
    assert load_settings(environ={}, user_file=path).workers == 3
    assert load_settings(environ={"DAXA_WORKERS": "2"}, user_file=path).workers == 2
    assert load_settings(environ={}, user_file=tmp_path / "none.toml").workers > 0


def test_tables_are_read_by_whom_they_concern_and_from_the_users_file_alone(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text('executor = "DASK"\n[backends.sas]\ninit = "x"\n[cluster]\nkind = "slurm"\n')
    assert load_settings(environ={}, user_file=path).executor == "dask"
    assert load_settings({"executor": "dask", "cluster": {}}, environ={}, user_file=None).executor == "local"
    assert user_table("cluster", environ={}, user_file=path) == {"kind": "slurm"}
    assert user_table("cluster", environ={"DAXA_CONFIG": str(path)}) == {"kind": "slurm"}
    assert user_table("cluster", environ={"DAXA_CLUSTER": "x"}, user_file=tmp_path / "none.toml") == {}
    for content, why in (("cluster = 1", "not a table"), ("[cluster", "cannot be read")):
        path.write_text(content)
        with pytest.raises(ConfigError, match=why):
            user_table("cluster", environ={}, user_file=path)
    path.write_text('executor = "slurm"\n')
    with pytest.raises(ConfigError, match="cannot be used for the setting executor"):
        load_settings(environ={}, user_file=path)


@pytest.mark.parametrize(
    "content",
    [
        f"workers = {'[' * DEEP}{']' * DEEP}".encode(),
        f"{'{a=' * DEEP}1{'}' * DEEP}".encode(),
        ("workers" + ".a" * DEEP + " = 1").encode(),
        b"workers = ",
        b"workers = 1\xff",
        b"#" * (TOML_LIMIT + 1),
    ],
    ids=["lists", "tables", "keys", "no TOML", "no UTF-8", "large"],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path, content):
    path = tmp_path / "config.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_settings(environ={}, user_file=path)
    assert str(path) in caught.value.message
    assert caught.value.remedy == "correct the file or remove it"


@pytest.mark.parametrize("found", ["nothing", "ours", "readable by others", "a link"])
def test_a_stand_in_for_the_home_is_this_users_alone(tmp_path, monkeypatch, found):
    for name in ("HOME", settings._STAND_IN):
        monkeypatch.setenv(name, "")
    monkeypatch.setattr(settings, "has_home", lambda: False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    place = tmp_path / f"daxa-home-{os.getuid()}"
    if found == "a link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        place.symlink_to("elsewhere")
    elif found != "nothing":
        place.mkdir(mode=0o700)
        place.chmod(0o755 if found == "readable by others" else 0o700)
    settings.provide_home()
    home = Path(os.environ["HOME"])
    assert (home == place) == (found in ("nothing", "ours"))
    assert home.parent == tmp_path
    assert home.lstat().st_mode & 0o777 == 0o700
