"""Hostile archives against every verb: nothing of the reader's is read, changed, sent or run.

Verbs come from the table of the command, attacks from `tests.hostile.attacks`: whoever adds a
verb has it attacked by all of them.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import re
import resource
import signal
import subprocess
import traceback
from pathlib import Path

import pytest

from daxa.cli import VERBS, commands, completion, main
from tests.hostile.attacks import ATTACKS, MISSION, OBS_ID, Attack
from tests.hostile.watch import snapshot, watched

ARGUMENTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "add": ((MISSION, "--obs", OBS_ID, "--yes", "--offline"),),
    "certificate": (("list",), ("add", "../outside/sample.csv")),
    "checkout": (("v1.0.0",),),
    "cite": ((), ("v1.0.0",)),
    "compare": (("daxa.toml", "software.toml"), (f"ledger/{MISSION}-fetch.parquet", "../outside/sample.csv")),
    "coverage": (("../outside/sample.csv",),),
    "demo": ((".",),),
    "diff": ((), ("v1.0.0", "HEAD"), ("v1.0.0", "--html", "../own/page.html")),
    "doctor": ((), ("archive", "--fix")),
    "drop": ((MISSION, "--obs", OBS_ID, "--yes"),),
    "export": (("v1.0.0", "-o", "../own/release.bundle"),),
    "history": ((OBS_ID,),),
    "init": (("new", "--mission", "xmm", "--obsid", OBS_ID, "--offline"),),
    "logs": ((OBS_ID,),),
    "merge": (("origin/main",), ("v1.0.0", "--dry-run")),
    "missions": ((), ("xmm",)),
    "mosaic": (("-o", "../own/mosaic"),),
    "pull": ((), ("v1.0.0",)),
    "publish": (("-o", "../own/deposit"),),
    "recreate": (("../outside/sample.csv", "../own/new"),),
    "release": (("-m", "words"),),
    "remote": (("try",), ("add", "other", "../own/storage")),
    "reprocess": ((MISSION, "--set", "clean.flares=none"), (MISSION, "--set", "clean.flares=none", "--dry-run")),
    "restore": (("../outside/deposit", "../own/restored"),),
    "search": (("--mission", "xmm", "--obsid", OBS_ID, "--offline"),),
    "select": (("--yes", "--offline"), ("--export", "../own/selection.csv")),
    "show-table": ((f"selection/{MISSION}.parquet",), (f"ledger/{MISSION}-clean.parquet",), ("daxa.toml",)),
    "stage": (("fetch", MISSION), ("clean", MISSION), ("collect",)),
    "update": (("--yes",),),
    "upgrade": ((), ("--software",), ("--dry-run",), ("--calibration",), ("--calibration", "--dry-run")),
    "verify": ((), ("v1.0.0",)),
}
"""Verb to the arguments that it is tried with; without an entry it is tried with none."""

ACTORS = {
    "add",
    "certificate",
    "checkout",
    "demo",
    "doctor",
    "drop",
    "export",
    "gc",
    "init",
    "merge",
    "publish",
    "pull",
    "push",
    "release",
}
ACTORS |= {"remote", "reprocess", "retry", "run", "select", "stage", "update", "upgrade"}
"""Verbs that may write and run programs where nothing in an archive acts by itself; all others read."""

COMPLETION = "completion"
"""What the shell asks when somebody presses the Tab key, called like a verb here."""

_MISUSE = 2
_PATIENCE = 60
_MORE_MEMORY = 1500 << 20


def calls() -> list[tuple[str, ...]]:
    verbs = [(verb, *arguments) for verb in VERBS for arguments in ARGUMENTS.get(verb, ((),))]
    return [*verbs, *((COMPLETION, name) for name in completion.__all__)]


@pytest.fixture(autouse=True, scope="module")
def commands_once():
    """Make the command of each verb once, as a process does that calls one verb, and not once for each attack."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(commands, "command_of", functools.cache(commands.command_of))
        yield


def tried(arguments: tuple[str, ...]) -> tuple[int, str, str]:
    """Exit code, what was written, and the traceback of what no one caught."""
    said, wrong = io.StringIO(), ""
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            if arguments[0] == COMPLETION:
                code, answer = 0, getattr(completion, arguments[1])("")
                said.write("\n".join(map(str, answer)))
            else:
                code = main(list(arguments))
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
        except BaseException:
            code, wrong = 99, traceback.format_exc(limit=-4)
    return code, said.getvalue(), wrong


def faults(place: Path, attack: Attack) -> list[str]:
    """What any verb did that it must not do."""
    root, found = place / "clone", []
    with os.scandir(root / ".git") as entries:
        own = [] if any(entry.name == "daxa" and entry.is_symlink() for entry in entries) else [root / ".git" / "daxa"]
    allowed = (*own, place / "own", root / ".git" / "index")
    before = kept(place)
    for call in calls():
        with watched(allowed) as seen:
            code, said, wrong = tried(call)
        name = " ".join(call)
        if wrong:
            found.append(f"{name}: {wrong}")
        passes = attack.acts and call[0] in ACTORS
        found += [f"{name}: {line}" for line in seen if not passes or str(place / "outside") in line]
        if "SECRET" in said or "root:" in said:
            found.append(f"{name} prints what is the reader's")
        if re.search(r"[\x00-\x08\x0b-\x1f\x7f\x80-\x9f\u202a-\u202e\u2066-\u2069]", said):
            found.append(f"{name} lets control characters through")
        if code == _MISUSE:
            found.append(f"{name} is no call of the verb: {said[-200:]}")
        after = kept(place)
        changed = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
        if changed and (not passes or any(path.startswith(str(place / "outside")) for path in changed)):
            found.append(f"{name} changes {changed[:5]}")
        before = after
    return found


def kept(place: Path) -> dict[str, tuple[object, ...]]:
    own = f"{place}/clone/.git/daxa/"
    found = snapshot(place / "clone", place / "outside")
    return {path: what for path, what in found.items() if not f"{path}/".startswith(own)}


def in_a_child(place: Path, attack: Attack) -> list[str]:
    """The same where memory is limited."""
    reading, writing = os.pipe()
    if not (child := os.fork()):
        try:
            used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (used + _MORE_MEMORY, used + _MORE_MEMORY))
            signal.alarm(2 * _PATIENCE)
            os.write(writing, "\n".join(["ended", *faults(place, attack)]).encode()[:60_000])
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        lines = stream.read().decode().splitlines()
    os.waitpid(child, 0)
    return lines[1:] if lines[:1] == ["ended"] else ["it took too much time or memory"]


@pytest.mark.parametrize("name", ATTACKS)
def test_no_verb_is_led_astray(place, name):
    attack = ATTACKS[name]
    attack.change(place / "clone", place / "outside")
    if attack.tracked:
        subprocess.run(["git", "add", "-Af", "."], cwd=place / "clone", check=False, capture_output=True)
    if attack.bomb:
        assert in_a_child(place, attack) == []
        return

    def give_up(signum: int, frame: object) -> None:
        raise TimeoutError("a verb waits for ever")

    former = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(_PATIENCE)
    try:
        assert faults(place, attack) == []
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, former)


def test_the_genuine_archive_can_be_looked_at_and_passes_the_gate(place):
    """Without this the attacks would prove nothing: what they are refused for is what they changed."""
    from daxa.archive.gate import check_archive
    from daxa.archive.layout import Layout

    check_archive(Layout(place / "clone"), acting=True)
    with watched((place / "own", place / "clone" / ".git")) as seen:
        assert tried(("status",))[0] == 0
        assert tried(("ls",))[0] == 0
        assert tried(("logs", OBS_ID))[0] == 0
        reading, _, wrong = tried(("run",))
        assert not wrong
    assert reading != 0
    assert [line for line in seen if "dvc" in line], "a verb that acts gets as far as DVC, and is seen there"


def test_there_are_attacks_of_every_kind():
    assert len(ATTACKS) >= 60
    for kind in ("link", "device", "pipe", "socket", "tracked", "configuration", "bomb", "climbing", "deep"):
        assert any(name.startswith(kind) for name in ATTACKS), kind
    assert {*ARGUMENTS, *ACTORS} <= VERBS.keys()
