"""Nothing but daxa's own can act in an archive, and what a user writes for ordinary storage is let through."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from daxa.archive import git
from daxa.archive.config import load_config
from daxa.archive.dvcconfig import check_settings, is_address, read_settings
from daxa.archive.layout import Layout
from daxa.archive.template import MissionAnswers, render
from daxa.archive.trust import accept_services, find_foreign, foreign_services, refuse_foreign
from daxa.errors import ArchiveError, ConfigError
from daxa.missions import find_mission


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """An archive as `daxa init` leaves it, in Git, without selections."""
    root = tmp_path_factory.mktemp("trust") / "a907"
    answers = [MissionAnswers(find_mission(name), {}, ()) for name in ("xmm", "nustar")]
    for path, content in render("a907", answers, remote="s3://bucket/a907").items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content)
    with pytest.MonkeyPatch.context() as patch:
        for role in ("AUTHOR", "COMMITTER"):
            patch.setenv(f"GIT_{role}_NAME", "Henrietta Leavitt")
            patch.setenv(f"GIT_{role}_EMAIL", "leavitt@example.org")
        git.initialise(root)
        git.commit(root, ["."], "Choose")
    return root


@pytest.fixture
def layout(made, tmp_path, identity, monkeypatch) -> Layout:
    monkeypatch.setenv("DAXA_CONFIG", str(tmp_path / "none.toml"))
    return Layout(shutil.copytree(made, tmp_path / "a907", symlinks=True))


def foreign(layout: Layout) -> list[str]:
    return [item.path for item in find_foreign(layout, load_config(layout))]


def append(path: str, text: str):
    def act(root: Path) -> None:
        with (root / path).open("a") as stream:
            stream.write(text)

    return act


def write(path: str, text: str = "x"):
    def act(root: Path) -> None:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)

    return act


def link(path: str, target: str):
    def act(root: Path) -> None:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).unlink(missing_ok=True)
        (root / path).symlink_to(target)

    return act


def submodule(root: Path) -> None:
    commit = git.commit_of(root)
    subprocess.run(["git", "update-index", "--add", "--cacheinfo", f"160000,{commit},more"], cwd=root, check=True)


def alternates(root: Path) -> None:
    (root / ".git/objects/info/alternates").write_text("/somewhere/objects\n")


COMMAND = "stages: {x: {cmd: touch canary}}\n"
ATTACKS = {
    "another command": (lambda root: swap(root, "dvc.yaml", "stage clean xmm", "stage clean xmm; touch x"), "dvc.yaml"),
    "one more stage": (append("dvc.yaml", "  more:\n    cmd: touch canary\n"), "dvc.yaml"),
    "no pipeline": (lambda root: (root / "dvc.yaml").unlink(), "dvc.yaml"),
    "a linked pipeline": (link("dvc.yaml", "/etc/hostname"), "dvc.yaml"),
    "an endless pipeline": (link("dvc.yaml", "/dev/zero"), "dvc.yaml"),
    "a pipeline below": (write("sub/dvc.yaml", COMMAND), "sub/dvc.yaml"),
    "a deep pipeline": (write("a/b/c/d/dvc.yaml", COMMAND), "a/b/c/d/dvc.yaml"),
    "a pipeline among parameters": (write("params/dvc.yaml", COMMAND), "params/dvc.yaml"),
    "a lock below": (write("sub/dvc.lock", "{}"), "sub/dvc.lock"),
    "a tracked directory": (write("raw.dvc", "outs: []\n"), "raw.dvc"),
    "an import": (write("sub/.dvc", "deps: [{path: x, repo: {url: y}}]\n"), "sub/.dvc"),
    "another repository": (write("sub/.dvc/config", ""), "sub/.dvc"),
    "logs with a command": (write("logs.dvc", "cmd: touch canary\nouts:\n- path: logs\n"), "logs.dvc"),
    "logs from elsewhere": (write("logs.dvc", "outs:\n- md5: " + "0" * 32 + ".dir\n  path: ../x\n"), "logs.dvc"),
    "another cache": (append(".dvc/config", "[cache]\n    dir = /tmp/x\n"), ".dvc/config"),
    "linked data": (lambda root: swap(root, ".dvc/config", "reflink,copy", "symlink"), ".dvc/config"),
    "another site cache": (append(".dvc/config", "[core]\n    site_cache_dir = /tmp/x\n"), ".dvc/config"),
    "plugins of hydra": (append(".dvc/config", "[hydra]\n    enabled = true\n    plugins_path = x\n"), ".dvc/config"),
    "a command for a token": (
        append(".dvc/config", "['remote \"w\"']\n    url = webdavs://host/x\n    bearer_token_command = touch x\n"),
        ".dvc/config",
    ),
    "credentials that run": (append(".dvc/config", "['remote \"s\"']\n    configpath = aws\n"), ".dvc/config"),
    "a key of the reader": (append(".dvc/config", "['remote \"s\"']\n    keyfile = /home/x\n"), ".dvc/config"),
    "a proxy for a host": (
        append(".dvc/config", "['remote \"s\"']\n    url = ssh://-oProxyCommand=x/y\n"),
        ".dvc/config",
    ),
    "no certificates": (append(".dvc/config", "['remote \"s\"']\n    ssl_verify = false\n"), ".dvc/config"),
    "files by version": (append(".dvc/config", "['remote \"s\"']\n    version_aware = true\n"), ".dvc/config"),
    "a value over lines": (append(".dvc/config", "['remote \"s\"']\n    user = '''a\n[cache]\nb'''\n"), ".dvc/config"),
    "an interpolated value": (append(".dvc/config", "['remote \"s\"']\n    user = %(dir)s\n"), ".dvc/config"),
    "a tracked local configuration": (
        lambda root: (
            write(".dvc/config.local", "[cache]\n    dir = /tmp/x\n")(root),
            subprocess.run(["git", "add", "--force", ".dvc/config.local"], cwd=root, check=True),
        ),
        ".dvc/config.local",
    ),
    "plugins": (write(".dvc/plugins/x.py"), ".dvc/plugins"),
    "a linked configuration": (link(".dvc/config", "/etc/hostname"), ".dvc/config"),
    "hidden_changes data": (append(".dvcignore", "/data\n"), ".dvcignore"),
    "hidden_changes data below": (write("data/xmm/.dvcignore", "*\n"), None),
    "hidden_changes parameters": (write("params/.dvcignore", "*\n"), "params/.dvcignore"),
    "a filter": (append(".gitattributes", "*.toml filter=lfs\n"), ".gitattributes"),
    "another text": (append(".gitattributes", "*.toml diff=x working-tree-encoding=UTF-16\n"), ".gitattributes"),
    "a filter after a feed": (append(".gitattributes", "*x\v filter=x\n"), ".gitattributes"),
    "a filter like a comment": (append(".gitattributes", "\v# filter=x\n"), ".gitattributes"),
    "a macro": (append(".gitattributes", "[attr]x text\n"), ".gitattributes"),
    "a filter below": (write("params/.gitattributes", "* filter=x\n"), "params/.gitattributes"),
    "modules": (write(".gitmodules", "[submodule]\n"), ".gitmodules"),
    "storage of large files": (write(".lfsconfig", "[lfs]\n"), ".lfsconfig"),
    "a submodule": (submodule, "more"),
    "objects of others": (alternates, ".git"),
    "a tracked link": (
        lambda root: (
            link("params/more.toml", "/etc/hostname")(root),
            subprocess.run(["git", "add", "params"], cwd=root, check=True),
        ),
        "params/more.toml",
    ),
    "looked for in data": (
        lambda root: (append(".gitignore", "!/data\n")(root), write("data/dvc.yaml", COMMAND)(root)),
        "data/dvc.yaml",
    ),
}


def swap(root: Path, path: str, old: str, new: str) -> None:
    text = (root / path).read_text()
    assert old in text
    (root / path).write_text(text.replace(old, new))


def test_our_own_archives_contain_nothing_foreign(layout):
    assert foreign(layout) == []
    refuse_foreign(layout, load_config(layout))


@pytest.mark.parametrize("name", ATTACKS)
def test_what_could_act_is_named(layout, name):
    act, path = ATTACKS[name]
    act(layout.root)
    if path is None:  # Git ignores the place, and DVC with it.
        assert foreign(layout) == []
        return
    assert path in foreign(layout)
    with pytest.raises(ArchiveError, match=re.escape(path)) as refused:
        refuse_foreign(layout, load_config(layout))
    assert refused.value.code == "archive.foreign"
    assert refused.value.remedy


def test_what_a_user_does_is_let_through(layout):
    root = layout.root
    append(".gitattributes", "*.ipynb text eol=lf linguist-documentation\npaper/*.pdf binary -diff\n")(root)
    append(".gitignore", "/paper/*.aux\n")(root)
    write("notes/dvc.md")(root)
    write(".dvc/config.local", "['remote \"storage\"']\n    secret_access_key = x\n    credentialpath = /home/me\n")(
        root
    )
    write(".dvc/tmp/lock")(root)
    link("paper/figures", "../report")(root)
    append(".gitignore", "/.venv/\n")(root)
    write(".venv/lib/dvc.yaml", COMMAND)(root)
    write("checkout/.gitattributes", "* filter=x\n")(root)
    assert foreign(layout) == []


def test_what_dvc_writes_for_a_remote_is_let_through(layout):
    """The lines come from DVC itself."""
    path = layout.root / ".dvc" / "config"
    for arguments in (
        ("add", "--default", "lab", "ssh://me@host.example.org:2222/data/a907"),
        ("modify", "lab", "port", "2222"),
        ("add", "near", "/data/x,y #2/a%20b"),
    ):
        ended = subprocess.run(
            [sys.executable, "-m", "dvc", "remote", *arguments],
            cwd=layout.root,
            env={**os.environ, "DVC_NO_ANALYTICS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
    assert list(check_settings(path.read_bytes())) == []
    said = {(name, key): value for _, name, key, value in read_settings(path.read_bytes())}
    assert said["lab", "url"] == "ssh://me@host.example.org:2222/data/a907"
    assert said["near", "url"].endswith("/data/x,y #2/a%20b")


@pytest.mark.parametrize(
    ("address", "right"),
    [
        *((f"{scheme}://place/x", True) for scheme in ("s3", "gs", "azure", "gdrive", "ssh", "hdfs", "webhdfs", "oss")),
        *((f"{scheme}://place.example.org/x", True) for scheme in ("http", "https", "webdav", "webdavs", "remote")),
        ("/data/a907", True),
        ("../../remote", True),
        ("file:///data/a907", True),
        ("ssh://me@[::1]:22/x", True),
        ("foo://x y", False),
        ("ssh://-x/y", False),
        ("ssh://$(touch x)/y", False),
        ("ssh://`x`@host/y", False),
        ("https://me:secret@host/x", False),
        ("filecache::s3://x/y", False),
        ("github://x/y", False),
        ("-x", False),
        ("a\nb", False),
        ("", False),
    ],
)
def test_addresses(address, right):
    assert is_address(address) is right


def test_services_need_consent_by_value(layout):
    config = layout.config
    text = config.read_text()
    assert foreign_services(layout, load_config(layout)) == ()
    config.write_text(f'{text}\n[services]\nsesame = "https://names.example.org"\n')
    (found,) = foreign_services(layout, load_config(layout))
    assert "sesame = https://names.example.org" in found.what
    assert "--trust-services" in found.remedy
    with pytest.raises(ArchiveError, match=r"names\.example\.org"):
        refuse_foreign(layout, load_config(layout))
    refuse_foreign(layout, load_config(layout), connects=False)
    accept_services(layout)
    refuse_foreign(layout, load_config(layout))
    config.write_text(f'{text}\n[services]\nsesame = "https://other.example.org"\n')
    assert foreign_services(layout, load_config(layout)) != ()


def test_services_of_the_user_need_no_consent(layout, monkeypatch):
    with layout.config.open("a") as stream:
        stream.write('\n[services]\nsesame = "https://names.example.org"\n')
    monkeypatch.setenv("DAXA_SESAME", "https://names.example.org")
    assert foreign_services(layout, load_config(layout)) == ()


@pytest.mark.parametrize(
    "line", ['mirrors_xmm = "https://m.example.org declared"', 'tap_lobster = "https://t.example.org"']
)
def test_mirrors_and_services_of_plug_ins_need_consent_too(layout, line):
    with layout.config.open("a") as stream:
        stream.write(f"\n[services]\n{line}\n")
    config = load_config(layout)
    (found,) = foreign_services(layout, config)
    assert line.partition(" = ")[0] in found.what
    accept_services(layout)
    assert foreign_services(layout, config) == ()


def test_an_archive_cannot_name_files_of_this_machine(layout):
    with layout.config.open("a") as stream:
        stream.write('\n[services]\nmirrors = "file:///etc"\n')
    with pytest.raises(ConfigError):
        foreign_services(layout, load_config(layout))
