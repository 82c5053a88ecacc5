from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import psutil
import pytest

from daxa.backends.native import NATIVE
from daxa.run.forkserver import connect, share
from daxa.run.runner import run_stage
from tests.run.processes import marked, start, wait_until
from tests.run.works import Prepared, stage, task

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere, workers are fresh interpreters")

SHARED = "_DAXA_FORKS"


@pytest.fixture
def keep(monkeypatch) -> Iterator[Callable[[], Path]]:
    """Keep a fork server for all stages of the test, and give the path of its socket.

    It begins in the test itself, whose environment is not that of its set-up.
    """
    monkeypatch.delenv(SHARED, raising=False)
    with ExitStack() as stack:

        def begin() -> Path:
            stack.enter_context(share(os.environ))
            return Path(os.environ[SHARED])

        yield begin


def told(root, work: Prepared = Prepared(), **parameters) -> dict:  # noqa: B008 - frozen
    """What a task in a stage of its own tells of its worker."""
    outcomes = run_stage(stage(root, [task("1", **parameters)], work=work))
    assert [one.status for one in outcomes] == ["done"]
    return json.loads((root / "data" / "clean" / "1" / "process.json").read_text())


def test_stages_have_their_workers_from_the_one_that_is_kept(tmp_path, keep):
    others = {one.pid for one in psutil.Process().children()}  # Of other tests in this process.
    keep()
    first, second = told(tmp_path / "a", Prepared(("colorsys",))), told(tmp_path / "b", Prepared(("colorsys",)))
    assert first == second
    assert first["imported"] == ["colorsys"]
    assert psutil.Process(first["parent"]).ppid() == os.getpid()
    own = {one.pid for one in psutil.Process().children()}
    assert own - others == {first["parent"]}, "neither stage started another"


def test_what_is_named_beforehand_is_imported_without_being_asked_for(tmp_path, monkeypatch):
    monkeypatch.delenv(SHARED, raising=False)
    with share(os.environ, ["colorsys", "no_such_module"]):
        found = told(tmp_path, Prepared(watched=("colorsys", "nntplib")))
    assert found["imported"] == ["colorsys"]


def test_what_is_kept_ends_with_who_keeps_it(tmp_path, monkeypatch):
    monkeypatch.delenv(SHARED, raising=False)
    with share(os.environ):
        place = Path(os.environ[SHARED]).parent
        server = psutil.Process(told(tmp_path)["parent"])
        assert place.stat().st_mode & 0o777 == 0o700
    assert not server.is_running()
    assert not place.exists()
    assert SHARED not in os.environ


def test_a_worker_is_in_the_setting_of_its_stage(tmp_path, keep, monkeypatch):
    keep()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("DVC_STAGE", "clean-xmm")
    found = told(tmp_path)
    assert found["here"] == str(tmp_path / "here")
    assert found["paths"] == sys.path


@pytest.mark.parametrize("other", ["environment", "paths", "open", "gone", "silent"])
def test_one_that_does_not_fit_is_not_used(tmp_path, keep, monkeypatch, other):
    path = keep()
    assert connect()
    if other == "environment":
        monkeypatch.setenv("LANG", "eo")
    elif other == "paths":
        monkeypatch.setattr(sys, "path", [*sys.path, "/elsewhere"])
    elif other == "open":
        path.parent.chmod(0o755)
    elif other == "gone":
        monkeypatch.setenv(SHARED, str(tmp_path / "forks"))
    elif other == "silent":
        monkeypatch.setattr("daxa.run.forkserver.is_ours", lambda peer: False)
    assert connect() is None
    before = {one.pid for one in psutil.Process().children()}
    assert told(tmp_path, Prepared(("colorsys",)))["parent"] not in before


@pytest.mark.parametrize("kept", [True, False])
def test_a_stage_goes_on_when_what_forks_is_killed(tmp_path, monkeypatch, kept):
    monkeypatch.delenv(SHARED, raising=False)
    if not kept:
        assert told(tmp_path, kill=str(tmp_path / "flag"))["imported"] == []
        return
    with share(os.environ):
        parent = told(tmp_path, kill=str(tmp_path / "flag"))["parent"]
        assert not psutil.pid_exists(parent), "the stage started its own, and ended it"
        assert connect() is None


@pytest.mark.parametrize("where", ["long", "absent"])
def test_where_no_socket_can_be_a_stage_starts_its_own(tmp_path, monkeypatch, where):
    monkeypatch.delenv(SHARED, raising=False)
    place = tmp_path / ("x" * 120)
    if where == "long":
        place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    with share(os.environ):
        assert SHARED not in os.environ
        assert told(tmp_path)["imported"] == []


def test_nothing_outlives_the_one_that_keeps_it(tmp_path):
    code = """
import os, sys
from pathlib import Path
from daxa.run.forkserver import share
from daxa.run.runner import run_stage
from tests.run.works import stage, task
with share(os.environ):
    run_stage(stage(Path(sys.argv[1]), [task("1", action="hold_interpreter")]))
"""
    mark = str(uuid4())
    program = start(code, mark, tmp_path)
    wait_until(lambda: len(marked(mark)) >= 5)
    program.kill()
    program.communicate()
    wait_until(lambda: not marked(mark), seconds=2)


def test_where_an_import_starts_a_thread_workers_are_fresh_interpreters(tmp_path, monkeypatch):
    (tmp_path / "threaded.py").write_text(
        "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert "serve_forks" in told(tmp_path / "a", Prepared(("colorsys",)))["argv"]
    found = told(tmp_path / "b", Prepared(("threaded",)))
    assert "serve_forks" not in found["argv"]
    assert found["imported"] == []


def test_what_cannot_be_imported_ahead_is_the_tasks_own_matter(tmp_path):
    assert told(tmp_path, Prepared(("no_such_module", "colorsys")))["imported"] == ["colorsys"]


def test_what_the_native_steps_import_starts_no_thread():
    names = sorted({name for step in ("events", "clean", "images", "sources") for name in NATIVE.modules(step)})
    code = (
        f"import importlib, os\nfor name in {names!r}: importlib.import_module(name)\n"
        "print(len(os.listdir('/proc/self/task')))"
    )
    environ = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


def test_what_a_killed_run_has_left_is_removed_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    old = time.time() - 3600
    for name in ("daxa-forks-dead", "daxa-forks-live", "daxa-forks-other", "daxa-forks-new"):
        (tmp_path / name).mkdir()
    sockets = {name: socket.socket(socket.AF_UNIX) for name in ("dead", "live", "new")}
    for name, one in sockets.items():
        one.bind(str(tmp_path / f"daxa-forks-{name}" / "forks"))
    sockets["live"].listen()
    (tmp_path / "daxa-forks-dead" / "log").touch()
    (tmp_path / "daxa-forks-other" / "mine").touch()
    (tmp_path / "daxa-forks-link").symlink_to("daxa-forks-other")
    for name in ("dead", "live", "other"):
        os.utime(tmp_path / f"daxa-forks-{name}", (old, old))
    with share({}):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {
        f"daxa-forks-{one}" for one in ("live", "other", "new", "link")
    }
    for one in sockets.values():
        one.close()
