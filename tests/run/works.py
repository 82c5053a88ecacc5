"""Work for stages under test: small tasks that do what their parameters say.

Works are imported by worker processes, so they live in a module of their own.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import psutil

from daxa.errors import DataError, ServiceError
from daxa.run.machine import Resources
from daxa.run.prepared_stage import Stage
from daxa.run.task import Input, StagePaths, Task, canonical


def places(root: Path) -> StagePaths:
    """As an archive would lay them out."""
    return StagePaths(
        ledger=root / "ledger" / "xmm-clean.parquet",
        products=root / "data" / "clean",
        logs=root / "logs",
        scratch=root / "scratch",
        journal=root / "journal.jsonl",
        lock=root / "lock",
        hashes=root / "hashes.json",
        lookup=root / "lookup.sqlite",
    )


def task(obs_id: str, *, inputs: tuple[Input, ...] = (), version: str = "1", **parameters: object) -> Task:
    """A task whose parameters say what `act` shall do."""
    return Task("xmm", "clean", obs_id, "native", version, canonical(parameters), inputs=inputs)


def stage(root: Path, tasks: Sequence[Task], **options) -> Stage:
    """A stage of these tasks that calls `act`."""
    options = {"skipped": {}, "work": act, "workers": 2, **options}
    return Stage("xmm", "clean", tasks, places=places(root), **options)


def write(task: Task, target: Path, log: TextIO) -> None:
    """Two products that are functions of the task."""
    (target / "PPS").mkdir()
    (target / "PPS" / "list.dat").write_text(task.parameters * 50)
    (target / "events.dat").write_text(f"{task.obs_id} {task.version}\n" * 20)
    log.write("two products\n")


def act(task: Task, target: Path, log: TextIO) -> None:
    """What the task's parameters ask for, by name."""
    parameters = json.loads(task.parameters)
    action = parameters.get("action", "")
    if "trace" in parameters:
        with Path(parameters["trace"]).open("a") as trace:
            trace.write(f"{task.obs_id}\n")
    if "pids" in parameters:
        with Path(parameters["pids"]).open("a") as pids:
            pids.write(f"{os.getpid()} ")
    if action:
        globals()[f"act_{action}"](task, target, parameters)
    write(task, target, log)


def act_data(task: Task, target: Path, parameters: dict) -> None:
    (target / "half.dat").write_text("half")
    raise DataError("no-events", f"{task.obs_id} has no events", remedy="choose another")


def act_content(task: Task, target: Path, parameters: dict) -> None:
    (target / parameters["name"]).write_text(parameters["content"])


def act_note(task: Task, target: Path, parameters: dict) -> None:
    Path(parameters["note"]).write_text("mine")


def act_bug(task: Task, target: Path, parameters: dict) -> None:
    raise ZeroDivisionError("a bug")


def act_exit(task: Task, target: Path, parameters: dict) -> None:
    sys.exit(3)


def act_environment(task: Task, target: Path, parameters: dict) -> None:
    if Path(parameters["broken"]).exists():
        raise ServiceError("unreachable", "the archive is down", remedy="try later")


def act_full(task: Task, target: Path, parameters: dict) -> None:
    raise OSError(errno.ENOSPC, "No space left on device", str(target))


def act_die(task: Task, target: Path, parameters: dict) -> None:
    (target / "half.dat").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)


def act_segfault(task: Task, target: Path, parameters: dict) -> None:
    ctypes.string_at(0)


def act_die_once(task: Task, target: Path, parameters: dict) -> None:
    time.sleep(parameters.get("wait", 0))
    flag = Path(parameters["flag"])
    if not flag.exists():
        flag.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def act_sleep(task: Task, target: Path, parameters: dict) -> None:
    time.sleep(parameters.get("seconds", 600))


def act_meet(task: Task, target: Path, parameters: dict) -> None:
    """Wait until as many workers as asked for are there."""
    place = Path(parameters["place"])
    (place / str(os.getpid())).touch()
    end = time.monotonic() + 60
    while len(list(place.iterdir())) < parameters["workers"] and time.monotonic() < end:
        time.sleep(0.02)


def act_spawn(task: Task, target: Path, parameters: dict) -> None:
    """Programs below programs, one of them in a session of its own."""
    inner = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])"
    subprocess.Popen([sys.executable, "-c", inner])
    if parameters.get("own_session"):
        subprocess.Popen([sys.executable, "-c", inner], start_new_session=True)
    time.sleep(parameters.get("seconds", 600))


def act_hold_interpreter(task: Task, target: Path, parameters: dict) -> None:
    """Sleep in compiled code without giving up the interpreter lock, beside a program."""
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    ctypes.PyDLL(None).sleep(600)


def act_print(task: Task, target: Path, parameters: dict) -> None:
    print("printed by Python")
    os.write(2, b"written to stderr\n")
    subprocess.run(["echo", "echoed by a program"], check=True)


def act_empty_link(task: Task, target: Path, parameters: dict) -> None:
    (target / "link.dat").symlink_to("/etc/hostname")


def act_hidden(task: Task, target: Path, parameters: dict) -> None:
    (target / ".dvc").mkdir()
    (target / ".dvc" / "config").write_text("[core]\n")


def nothing(task: Task, target: Path, log: TextIO) -> None:
    """No product at all."""


def tool_fits(task: Task, target: Path, log: TextIO) -> None:
    """A FITS product with a volatile card, as mission tools write them."""
    from astropy.io import fits

    parameters = json.loads(task.parameters)
    primary = fits.PrimaryHDU()
    primary.header["DATE"] = parameters["date"]
    image = fits.ImageHDU([[1, 2], [3, parameters["value"]]])
    fits.HDUList([primary, image]).writeto(target / "image.fits")
    (target / "note.dat").write_text("note")


def show_environment(task: Task, target: Path, log: TextIO) -> None:
    """What a product might depend on, though it should not."""
    names = ("TZ", "OMP_NUM_THREADS", "PYTHONHASHSEED", "MPLBACKEND")
    shown = {"zone": time.tzname, "set": list({"a", "b", "c", "d"}), **{name: os.environ[name] for name in names}}
    (target / "environment.json").write_text(json.dumps(shown))


@dataclass(frozen=True)
class Prepared:
    """Work that says what it imports, and tells of the process that it runs in."""

    needed: tuple[str, ...] = ()
    watched: tuple[str, ...] = ()

    def modules(self, task: Task) -> tuple[str, ...]:
        return self.needed

    def __call__(self, task: Task, target: Path, log: TextIO) -> None:
        kill = json.loads(task.parameters).get("kill")
        if kill and not Path(kill).exists():
            Path(kill).touch()
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(60)
        command = Path("/proc/self/cmdline").read_text().split("\0")
        found = {
            "parent": os.getppid(),
            "here": str(Path.cwd()),
            "language": os.environ.get("LANG"),
            "argv": command[3],
        }
        found |= {
            "imported": [name for name in (*self.needed, *self.watched) if name in sys.modules],
            "paths": sys.path,
        }
        (target / "process.json").write_text(json.dumps(found))


def expose(task: Task, target: Path, log: TextIO) -> None:
    """Products of one exposure, or what its parameters ask of this one by name."""
    parameters = json.loads(task.parameters)
    with Path(parameters["trace"]).open("a") as trace:
        trace.write(f"{task.name}\n")
    if fault := parameters.get("faults", {}).get(task.exposure):
        globals()[f"act_{fault}"](task, target, parameters)
    camera, exposure = task.exposure.split("-")
    start = f"obsid{task.obs_id}-inst{camera}-subexp{exposure}-en-"
    (target / f"{start}events.json").write_text(f"{task.name} {[item.file.science for item in task.inputs]}\n")
    (target / f"{start}measures.json").write_text(json.dumps({"exposures": [task.exposure]}))
    log.write("one exposure\n")


class Taking:
    """Writes when a task begins and ends; each takes as many bytes as its parameters say."""

    def resources(self, task: Task) -> Resources:
        return Resources(memory=json.loads(task.parameters)["memory"])

    def __call__(self, task: Task, target: Path, log: TextIO) -> None:
        trace = json.loads(task.parameters)["trace"]
        for word in ("begins", "ends"):
            with Path(trace).open("a") as stream:
                stream.write(f"{task.obs_id} {word}\n")
            os.sched_yield()
        (target / "list.dat").write_text(task.obs_id)


def act_alien(task: Task, target: Path, parameters: dict) -> None:
    (target / "attitude.dat").write_text("whose?")


def act_kill_host_once(task: Task, target: Path, parameters: dict) -> None:
    """Kill the worker of the cluster on which the task runs: the parent of the process that forks."""
    flag = Path(parameters["flag"])
    if not flag.exists():
        flag.touch()
        os.kill(psutil.Process().parents()[1].pid, signal.SIGKILL)
        time.sleep(600)


@dataclass(frozen=True)
class Heavy:
    """Work of which one machine of 4 GB holds one at a time."""

    place: str

    def resources(self, task: Task) -> Resources:
        return Resources(memory=3 << 30)

    def __call__(self, task: Task, target: Path, log: TextIO) -> None:
        mine = Path(self.place) / task.obs_id
        mine.touch()
        time.sleep(0.3)
        (target / "others.json").write_text(json.dumps(len(list(Path(self.place).iterdir()))))
        mine.unlink()
