"""What a stranger can do to an archive: a table of attacks, each a change of the files of a clone.

An attack gets the root of a copy of a small genuine archive, and a directory outside of it with
the reader's own files, which it tries to reach.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["ATTACKS", "MISSION", "OBS_ID", "Attack"]

MISSION, OBS_ID = "xmm", "0093640901"

Change = Callable[[Path, Path], None]


@dataclass(frozen=True)
class Attack:
    """One hostile archive.

    Parameters
    ----------
    change
        Makes it of a genuine one.
    tracked
        Whether Git tracks all that it holds, as in a clone; a tarball may hold anything.
    bomb
        Whether it is about time and memory: tried in a process whose memory is limited.
    acts
        Whether the gate may let it pass to verbs that act, since nothing in it acts by itself.
    """

    change: Change
    tracked: bool = False
    bomb: bool = False
    acts: bool = False


_FILES = (
    "daxa.toml",
    "software.toml",
    "dvc.yaml",
    "dvc.lock",
    "metrics.json",
    "README.md",
    ".gitattributes",
    ".gitignore",
    ".dvcignore",
    ".dvc.lock.part",
    "logs.dvc",
    f"params/{MISSION}.toml",
    f"selection/{MISSION}.parquet",
    f"upstream/{MISSION}.parquet",
    f"ledger/{MISSION}-fetch.parquet",
    f"ledger/{MISSION}-sources.parquet",
    ".dvc/config",
    ".dvc/config.local",
    ".dvc/tmp/lock",
    ".dvc/tmp/rwlock",
    "report/index.html",
    f"logs/{MISSION}/clean/{OBS_ID}.log",
)
_DIRECTORIES = (
    "params",
    "selection",
    "ledger",
    "upstream",
    "data",
    f"data/{MISSION}",
    f"data/{MISSION}/fetch",
    f"data/{MISSION}/clean",
    "logs",
    f"logs/{MISSION}",
    f"logs/{MISSION}/clean",
    "report",
    ".dvc",
    ".dvc/tmp",
    ".dvc/cache",
    ".git/daxa",
    ".git/daxa/scratch",
    f".git/daxa/scratch/{MISSION}-clean",
    ".git/daxa/lock",
    ".git/daxa/journal",
    ".git/daxa/hashes",
    ".git/daxa/parts",
    ".git/daxa/arrivals",
    ".git/daxa/accepted",
)
_STATE = (
    ".daxa/accepted/note.json",
    f".daxa/parts/{MISSION}/{OBS_ID}/events.part",
    f".daxa/arrivals/{MISSION}/{OBS_ID}.json",
    f".daxa/hashes/{MISSION}-clean.json",
    f".daxa/journal/{MISSION}-clean.jsonl",
    f".daxa/lock/{MISSION}-clean",
    ".dvc/tmp/lock",
    ".dvc/tmp/rwlock",
    ".dvc/tmp/btime",
    ".dvc/cache/files/md5/ab/cdef",
    ".dvc/config.local",
    ".dvc.lock.part",
    ".DVC/tmp/rwlock",
    f"data/{MISSION}/clean/notes.txt",
    f"data/{MISSION}/fetch/{OBS_ID}/PPS/raw.FTZ",
    f"logs/{MISSION}/clean/other.log",
    "report/index.html",
)
_CONFIGURATION = {
    "cache directory": "[cache]\n    dir = {outside}\n",
    "link type": "[cache]\n    type = symlink\n",
    "site cache": "[core]\n    site_cache_dir = {outside}\n",
    "state": "[state]\n    dir = {outside}\n",
    "remote of ssh with a command": "['remote \"storage\"']\n    url = ssh://x/y\n    ask_password = true\n",
    "remote with a local key": "['remote \"storage\"']\n    url = s3://x/y\n    credentialpath = {outside}/keys\n",
    "analytics": "[core]\n    analytics = true\n    remote = storage\n",
    "plugin": "[hydra]\n    plugins_path = {outside}\n",
}


def _link(place: str, to: str) -> Change:
    def change(root: Path, outside: Path) -> None:
        path = root / place
        target = {
            "outside": outside / "thesis",
            "dangling": outside / "nothing",
            "device": Path("/dev/zero"),
            "copy": outside / f"copy of {path.name}",
        }[to]
        if to == "copy":
            # What is there says all that is right: only where it stands is wrong.
            (shutil.copytree if path.is_dir() else shutil.copy)(path, target)
        remove(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)

    return change


def _special(place: str, kind: str) -> Change:
    def change(root: Path, outside: Path) -> None:
        path = root / place
        remove(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "directory":
            path.mkdir()
        else:
            here = Path.cwd()
            os.chdir(path.parent)
            with socket.socket(socket.AF_UNIX) as made:
                made.bind(path.name)
            os.chdir(here)

    return change


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _put(place: str, content: str | bytes) -> Change:
    def change(root: Path, outside: Path) -> None:
        path = root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        text = content.replace("{outside}", str(outside)) if isinstance(content, str) else content
        path.write_bytes(text.encode() if isinstance(text, str) else text)

    return change


def _added(place: str, content: str) -> Change:
    def change(root: Path, outside: Path) -> None:
        path = root / place
        with path.open("a") as stream:
            stream.write(content.replace("{outside}", str(outside)))

    return change


def _replaced(place: str, old: str, new: str) -> Change:
    def change(root: Path, outside: Path) -> None:
        path = root / place
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new.replace("{outside}", str(outside))))

    return change


def _submodule(root: Path, outside: Path) -> None:
    _put(".gitmodules", '[submodule "x"]\n\tpath = x\n\turl = {outside}\n')(root, outside)
    entry = f"160000,{'1' * 40},x"
    subprocess.run(["git", "update-index", "--add", "--cacheinfo", entry], cwd=root, check=True)


def _hooks(root: Path, outside: Path) -> None:
    hooks = ("pre-commit", "post-commit", "post-checkout", "post-index-change", "reference-transaction")
    for name in (*hooks, "fsmonitor-watchman"):
        _put(f".git/hooks/{name}", f"#!/bin/sh\necho hooked >> '{outside}/keys'\n")(root, outside)
        (root / ".git" / "hooks" / name).chmod(0o755)


def _table(place: str, **columns: object) -> Change:
    """Other values in a table, as another program writes them."""

    def change(root: Path, outside: Path) -> None:
        path = root / place
        table = pq.read_table(path)
        for name, value in columns.items():
            field = table.schema.field(name)
            values = pa.array([value] * len(table), field.type)
            table = table.set_column(table.schema.get_field_index(name), field, values)
        pq.write_table(table, path)

    return change


def _bomb(place: str) -> Change:
    def change(root: Path, outside: Path) -> None:
        column = pa.DictionaryArray.from_arrays(pa.array([0] * 30_000, pa.int32()), pa.array(["x" * 500_000]))
        pq.write_table(pa.table({"obs_id": column}), root / place, store_schema=False)

    return change


def _nulls(place: str) -> Change:
    def change(root: Path, outside: Path) -> None:
        schema = pa.schema([field.with_nullable(True) for field in pq.read_schema(root / place)])
        with pq.ParquetWriter(root / place, schema, compression="zstd") as writer:
            for _ in range(12):
                writer.write_table(pa.table([pa.nulls(1_000_000, field.type) for field in schema], schema=schema))

    return change


def _deep_yaml(depth: int) -> str:
    return "schema: '2.0'\nstages:\n  a: " + "[" * depth + "]" * depth + "\n"


_FOUR = "".join(f"  - &x{i} [*x{i - 1}, *x{i - 1}, *x{i - 1}]\n" for i in range(1, 40))


def _attacks() -> Iterator[tuple[str, Attack]]:
    for place in (*_FILES, *_DIRECTORIES):
        yield f"link {place}", Attack(_link(place, "outside"), tracked=not place.startswith(".git/"))
    for place in (f"ledger/{MISSION}-clean.parquet", f"data/{MISSION}/clean", "daxa.toml", "params", ".dvc/config"):
        yield f"link to an equal {place}", Attack(_link(place, "copy"), tracked=True)
    for place in ("daxa.toml", "dvc.lock", f"selection/{MISSION}.parquet", f"data/{MISSION}/images"):
        yield f"dangling {place}", Attack(_link(place, "dangling"), tracked=True)
    for place in ("software.toml", f"upstream/{MISSION}.parquet", f"logs/{MISSION}/clean/{OBS_ID}.log", "dvc.yaml"):
        yield f"device {place}", Attack(_link(place, "device"), tracked=True, bomb=True)
    for place in ("daxa.toml", f"ledger/{MISSION}-clean.parquet", f"params/{MISSION}.toml", ".dvc/config", "dvc.lock"):
        yield f"pipe {place}", Attack(_special(place, "pipe"))
    for place in ("pipe.fits", "manifest.json"):
        attack = _special(f"data/{MISSION}/clean/{OBS_ID}/{place}", "pipe")
        yield f"pipe among products: {place}", Attack(attack, acts=True)
    yield "pipe as a log", Attack(_special(f"logs/{MISSION}/clean/{OBS_ID}.log", "pipe"), acts=True)
    for place in (f"selection/{MISSION}.parquet", "software.toml", ".dvc/tmp/rwlock"):
        yield f"socket {place}", Attack(_special(place, "socket"))
    for place in ("daxa.toml", "dvc.yaml", f"ledger/{MISSION}-clean.parquet"):
        yield f"directory {place}", Attack(_special(place, "directory"), acts="ledger" in place)
    for place in _STATE:
        yield f"tracked {place}", Attack(_put(place, '{"message": "m", "files": {}}'), tracked=True)
    for name, text in _CONFIGURATION.items():
        yield f"configuration: {name}", Attack(_added(".dvc/config", text), tracked=True)
    yield "altered command", Attack(_replaced("dvc.yaml", "exec daxa stage clean xmm", "touch {outside}/keys"), True)
    yield "one more stage", Attack(_added("dvc.yaml", "  evil:\n    cmd: touch {outside}/keys\n"), True)
    yield "variables", Attack(_replaced("dvc.yaml", "stages:", "vars: [x.yaml]\nstages:"), True)
    yield "interpolation", Attack(_replaced("dvc.yaml", "exec daxa stage", "${x} daxa stage"), True)
    yield (
        "loop",
        Attack(_added("dvc.yaml", "  evil:\n    foreach: [a]\n    do:\n      cmd: touch {outside}/${item}\n"), True),
    )
    yield "out outside", Attack(_replaced("dvc.yaml", "      - report\n", "      - {outside}/thesis\n"), True)
    yield "pipeline below", Attack(_put("sub/dvc.yaml", "stages:\n  evil:\n    cmd: touch {outside}/keys\n"), True)
    yield "pipeline in params", Attack(_put("params/dvc.yaml", "stages:\n  evil:\n    cmd: touch x\n"), True)
    yield "pointer", Attack(_put("x.dvc", "outs:\n- md5: d41d8cd98f00b204e9800998ecf8427e\n  path: ../x\n"), True)
    yield "import", Attack(_put("params/x.dvc", "deps:\n- path: /etc/passwd\nouts:\n- path: passwd\n"), True)
    yield (
        "logs elsewhere",
        Attack(_put("logs.dvc", "outs:\n- md5: d41d8cd98f00b204e9800998ecf8427e\n  path: ../logs\n"), True),
    )
    yield "repository below", Attack(_put("sub/.dvc/config", "[cache]\n    dir = {outside}\n"), True)
    yield "hidden_changes files", Attack(_put(".dvcignore", "/data\n/ledger\n"), True)
    yield "submodule", Attack(_submodule, True)
    yield "filter", Attack(_put(".gitattributes", "* filter=evil\n"), True)
    yield "filter below", Attack(_put("params/.gitattributes", "*.toml filter=evil diff=evil\n"), True)
    yield "large files of Git", Attack(_put(".lfsconfig", "[lfs]\n    url = http://127.0.0.1:9/\n"), True)
    yield "borrowed objects", Attack(_put(".git/objects/info/alternates", "{outside}/thesis\n"))
    yield "hooks", Attack(_hooks, acts=True)
    yield "services", Attack(_added("daxa.toml", '[services]\nheasarc_tap = "http://127.0.0.1:9/tap"\n'), True)
    yield "another mission", Attack(_replaced("daxa.toml", "[missions.xmm", '[missions."../../x"'), True)
    yield "climbing name", Attack(_replaced("daxa.toml", 'name = "', 'name = "../'), True)
    yield "huge daxa.toml", Attack(_added("daxa.toml", f"# {'x' * (17 << 20)}\n"), True, bomb=True)
    yield "deep daxa.toml", Attack(_added("daxa.toml", f"x = {'[' * 90_000}"), True, bomb=True)
    yield "dotted daxa.toml", Attack(_added("daxa.toml", f"{'.'.join('a' * 400_000)} = 1\n"), True, bomb=True)
    yield "large number", Attack(_added("daxa.toml", f"x = {'9' * 100_000}\n"), True, bomb=True)
    yield "deep params", Attack(_put(f"params/{MISSION}.toml", f"x = {'{a=' * 50_000}"), True, bomb=True, acts=True)
    yield "deep software", Attack(_put("software.toml", f"x = {'[' * 50_000}"), True, bomb=True, acts=True)
    yield "deep lock", Attack(_put("dvc.lock", _deep_yaml(50_000)), True, bomb=True, acts=True)
    yield "huge lock", Attack(_put("dvc.lock", "# " + "x" * (30 << 20) + "\n"), True, bomb=True, acts=True)
    yield "lock of laughs", Attack(_put("dvc.lock", f"stages:\n  - &x0 [a]\n{_FOUR}"), True, bomb=True, acts=True)
    yield "huge pipeline", Attack(_added("dvc.yaml", "# " + "x" * (30 << 20)), True, bomb=True)
    yield (
        "climbing params",
        Attack(_replaced(f"params/{MISSION}.toml", "[fetch]", '[fetch]\nextra = ["../../x"]'), True, acts=True),
    )
    for place in (f"ledger/{MISSION}-clean.parquet", f"selection/{MISSION}.parquet", f"upstream/{MISSION}.parquet"):
        yield f"bomb {place}", Attack(_bomb(place), True, bomb=True, acts=True)
        yield f"nulls {place}", Attack(_nulls(place), True, bomb=True, acts=True)
        yield f"torn {place}", Attack(_put(place, b"PAR1" + bytes(500) + b"PAR1"), True, acts=True)
        yield f"climbing ObsID in {place}", Attack(_table(place, obs_id="../../outside/keys"), True, acts=True)
    for name, text in {
        "colours": "\x1b[2J\x1b]0;x\x07",
        "bidi": "\u202ekcatta\u2066",
        "formula": "=cmd|' /C calc'!A0",
    }.items():
        yield f"target with {name}", Attack(_table(f"selection/{MISSION}.parquet", target=text), True, acts=True)
    yield "title with colours", Attack(_replaced("daxa.toml", 'title = "', 'title = "\\u001b[2J'), True, acts=True)
    yield "notes among products", Attack(_put(f"data/{MISSION}/clean/notes.txt", "mine"), acts=True)


ATTACKS = dict(_attacks())
