"""Kill any command that makes or moves versions: given again it completes, no version is half-made, nothing is lost.

A command more is a line more in `VERBS`.  ``DAXA_TEST_KILLS`` sets how many kills they share (`make kills`); without it
the quick ones are killed once each.  What was killed, and when, is printed (``-rP``).  The archive has one observation:
what kills do to a stage of many is tried in `tests.run.test_interruption`, and to the pipeline in
`tests.journey.test_interrupts`.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import tarfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from daxa.simulator import Fault, Observatory
from tests.journey.workbench import Workbench, contents, parsed_lock

pytestmark = pytest.mark.journey

KILLS = int(os.environ.get("DAXA_TEST_KILLS", "0"))
DATA = ("data", "ledger", "selection", "params", "report")
TRACKED = ("ledger", "selection", "params", "dvc.lock", "dvc.yaml", "daxa.toml", "software.toml", "CHANGES.md")
TEXTS = ("README.md", ".gitignore", ".gitattributes")
EARLIER = Path(__file__).parents[1] / "archive" / "fixtures" / "before-versions.tar.xz"
REDELIVERED = "*A01_cl*"


@dataclass(frozen=True)
class Verb:
    """A command that is killed.

    Parameters
    ----------
    words
        Of the command.
    start
        What there is before, a name in `STARTS`.
    place
        Where the command is given.
    again
        What it says, and refuses, when all of it was done before it was killed; '' where it has nothing to refuse.
    quick
        Whether it takes seconds.
    """

    words: tuple[str, ...]
    start: str = "pushed"
    place: str = "a907"
    again: str = ""
    quick: bool = False


VERBS = (
    Verb(("release", "-m", "first"), "finished", again="nothing has changed since v1.0.0", quick=True),
    Verb(("push",), "released", quick=True),
    Verb(("pull", "v1.0.0"), place="clone", quick=True),
    Verb(("export", "v1.0.0", "-o", "../made.bundle"), again="made.bundle exists", quick=True),
    Verb(("upgrade",), "earlier", quick=True),
    Verb(("reprocess", "nustar", "--set", "clean.screening=none", "--release")),
    Verb(("update", "--yes", "--release")),
    Verb(("recreate", "a907.bundle", "again"), place="."),
    Verb(("merge", "anna"), "branched"),
    Verb(("checkout", "v1.0.1"), "branched"),
    Verb(("publish", "v1.0.0", "-o", "../deposit")),
    Verb(("restore", "deposit", "again"), "published", place=".", again="again exists"),
)


def finish(bench: Workbench) -> None:
    """An archive that was run, with a remote that is its own."""
    archive = bench.root / "a907"
    (bench.root / "storage").mkdir()
    bench.daxa("remote", "add", "storage", "../storage", cwd=archive)
    bench.run("git", "add", "--all", cwd=archive)
    bench.run("git", "commit", "--quiet", "--message", "Run", cwd=archive)


def push(bench: Workbench) -> None:
    """A pushed release, its bundle, and a clone without data."""
    bench.daxa("push", cwd=bench.root / "a907")
    bench.daxa("export", "v1.0.0", "-o", "../a907.bundle", cwd=bench.root / "a907")
    bench.run("git", "clone", "--quiet", "a907", "clone")


def divide(bench: Workbench) -> None:
    """A branch with a release of its own, while what is checked out has changed too."""
    archive = bench.root / "a907"
    bench.run("git", "switch", "--quiet", "--create", "anna", cwd=archive)
    bench.daxa("reprocess", "nustar", "--set", "clean.screening=none", "--release", cwd=archive)
    bench.daxa("checkout", "main", cwd=archive)
    with (archive / "README.md").open("a") as readme:
        readme.write("Our notes are in the group's wiki.\n")
    bench.run("git", "commit", "--quiet", "--all", "--message", "Notes", cwd=archive)


def unpack(bench: Workbench) -> None:
    """An archive that an earlier daxa made, without its data."""
    with tarfile.open(EARLIER) as packed:
        packed.extractall(bench.root, filter="data")


STARTS: dict[str, tuple[str, Callable[[Workbench], object]]] = {
    "finished": ("", finish),
    "released": ("finished", lambda bench: bench.daxa("release", "-m", "first", cwd=bench.root / "a907")),
    "pushed": ("released", push),
    "branched": ("pushed", divide),
    "published": ("pushed", lambda bench: bench.daxa("publish", "v1.0.0", "-o", "../deposit", cwd=bench.root / "a907")),
    "earlier": ("nothing", unpack),
}
"""Name to what it is made from, and how; each has its own store and storage."""


@pytest.fixture(scope="module")
def start(finished_nustar, make_once, sky) -> Callable[[str], Path]:
    """Gives what there is before a command."""

    def begin(name: str) -> Path:
        before, further = STARTS[name]

        def make(place: Path) -> None:
            if before != "nothing":
                shutil.copytree(begin(before) if before else finished_nustar, place, symlinks=True, dirs_exist_ok=True)
            with Observatory(sky.root, sky.tables, sky.names) as server:
                further(Workbench.at(place, server.environ))

        return make_once(f"kills-{name}", make)

    return begin


def ready(start: Path, place: Path, observatory: Observatory) -> Workbench:
    """A copy of what there is before the command."""
    shutil.copytree(start, place, symlinks=True)
    return Workbench.at(place, observatory.environ)


def begun(bench: Workbench, verb: Verb) -> subprocess.Popen:
    return subprocess.Popen(
        ["daxa", *verb.words],
        cwd=bench.root / verb.place,
        env=bench.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def versions(bench: Workbench, archive: Path) -> dict[str, tuple[str, str]]:
    """Tag to its message, and what its commit holds of all that does not depend on the time."""
    found = {}
    for tag in bench.run("git", "tag", cwd=archive).stdout.split():
        message = bench.run("git", "tag", "--list", "--format=%(contents)", tag, cwd=archive).stdout
        found[tag] = message, bench.run("git", "ls-tree", "-r", tag, "--", *TRACKED, cwd=archive).stdout
    return found


def outcome(bench: Workbench) -> dict[str, object]:
    """Everything that must come out the same, however often a command was killed."""
    found: dict[str, object] = {"storage": contents(bench.root, "storage")}
    for name in ("a907", "clone", "again"):
        if (archive := bench.root / name).is_dir():
            found[name] = contents(archive, *DATA)
            found[f"{name} lock"] = parsed_lock(archive)
            found[f"{name} versions"] = versions(bench, archive)
            found[f"{name} commits"] = bench.run("git", "rev-list", "--count", "HEAD", cwd=archive).stdout
            found[f"{name} texts"] = bench.run(
                "git", "ls-tree", "-r", "HEAD", "--", *TEXTS, *TRACKED, cwd=archive
            ).stdout
            found[f"{name} changes"] = bench.run("git", "status", "--porcelain", cwd=archive).stdout
    for path in (*bench.root.glob("*.bundle"), *bench.root.glob("deposit/*.tar")):
        found[path.name] = path.read_bytes()
    return found


def kept(root: Path) -> dict[str, int]:
    """Objects of caches and storage, which no command of these takes away."""
    places = [root / "storage", *(root / name / ".dvc" / "cache" / "files" for name in ("a907", "clone"))]
    return {
        path.relative_to(root).as_posix(): path.stat().st_size
        for place in places
        for path in place.rglob("*")
        if path.is_file()
    }


def check_nothing_lost(bench: Workbench, before: Mapping[str, int], expected: Mapping[str, object]) -> None:
    now = kept(bench.root)
    assert {path: now.get(path) for path in before} == before
    for name in ("a907", "clone"):
        if (archive := bench.root / name).is_dir():
            for tag, version in versions(bench, archive).items():
                assert version == expected[f"{name} versions"][tag], f"{tag} of {name} is half-made"


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.words[0])
def test_a_killed_command_given_again_does_all_of_it_once(start, tmp_path, observatory, verb):
    if not KILLS and not verb.quick:
        pytest.skip("takes minutes: `make kills`")
    before = start(verb.start)
    if verb.words[0] == "update":
        observatory.faults.add(Fault("redelivered", REDELIVERED, value="21.0"))
    rng = random.Random(verb.words[0])
    bench = ready(before, tmp_path / "whole", observatory)
    objects, began = kept(bench.root), time.monotonic()
    bench.daxa(*verb.words, cwd=bench.root / verb.place)
    lasts = time.monotonic() - began
    expected = outcome(bench)
    check_nothing_lost(bench, objects, expected)
    share, kills, attempt = -(-KILLS // len(VERBS)) or 1, 0, 0
    while kills < share and attempt < (3 * share if KILLS else 1):
        bench = ready(before, tmp_path / str(attempt), observatory)
        here = 0
        while True:
            going = begun(bench, verb)
            if here <= attempt % 3 and kills < share:
                time.sleep(moment := rng.uniform(0.05, 1.0) * lasts)
                # The program alone, or with all that it has started, as when a machine stops.
                going.kill() if rng.random() < 0.5 else os.killpg(going.pid, signal.SIGKILL)
                here += 1
            said = going.communicate(timeout=600)[1].decode()
            time.sleep(1.0)  # What works for a killed command notices its death.
            if going.returncode != -signal.SIGKILL:
                break
            kills += 1
            print(f"{verb.words[0]}: kill {kills} after {moment:.2f} of {lasts:.2f} s, in attempt {attempt}")
            check_nothing_lost(bench, objects, expected)
        assert going.returncode == 0 or (verb.again and verb.again in said), said
        found = outcome(bench)
        assert found.keys() == expected.keys()
        assert [name for name in found if found[name] != expected[name]] == []
        shutil.rmtree(bench.root)
        attempt += 1
    assert kills or not KILLS, "no kill came in time"
