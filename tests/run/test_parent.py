from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from uuid import uuid4

import pytest

from daxa.errors import ProgramError
from daxa.run import parent
from daxa.run.parent import die_with_parent
from tests.run.processes import marked, start, wait_until

STAGE = """
import sys, time
from pathlib import Path
from daxa.run.parent import die_with_parent
from daxa.run.runner import run_stage
from tests.run.works import stage, task
die_with_parent()
run_stage(stage(Path(sys.argv[1]), [task("1", action="spawn"), task("2", action="sleep")]))
"""
DVC = """
import os, subprocess, sys
sys.argv.append("dvc repro")
subprocess.run([sys.executable, "-c", sys.argv[2], sys.argv[1]], env={**os.environ, "DVC_STAGE": "clean-xmm"})
"""


def test_a_stage_dies_with_its_dvc(tmp_path):
    mark = str(uuid4())
    dvc = start(DVC, mark, tmp_path, STAGE)
    wait_until(lambda: len(marked(mark)) >= 9)
    dvc.kill()
    dvc.wait()
    wait_until(lambda: not marked(mark), seconds=1.5)
    assert b"DVC has ended" in dvc.stdout.read()
    dvc.stdout.close()


def test_a_stage_whose_dvc_is_already_gone_does_not_begin(monkeypatch):
    monkeypatch.setattr(parent.os, "getppid", lambda: 1)
    monkeypatch.setattr("psutil.Process.cmdline", lambda self: ["/sbin/init"])
    monkeypatch.setattr("psutil.Process.name", lambda self: "init")
    with pytest.raises(ProgramError) as caught:
        die_with_parent({"DVC_STAGE": "clean-xmm"})
    assert caught.value.code == "program.dvc-gone"
    assert "clean-xmm" in str(caught.value)


def test_without_dvc_nobody_watches():
    assert die_with_parent({}) is None


def test_a_living_parent_is_left_alone(monkeypatch):
    monkeypatch.setattr("psutil.Process.cmdline", lambda self: ["/usr/bin/dvc", "repro"])
    ended = threading.Event()
    thread = die_with_parent({"DVC_STAGE": "clean-xmm"}, end=ended.set)
    time.sleep(0.5)
    assert thread.daemon
    assert not ended.is_set()


def test_importing_the_runner_imports_nothing_heavy():
    code = "import sys, daxa.run.runner, daxa.run.parent, daxa.run.worker; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"numpy", "astropy", "pandas", "pyarrow", "psutil", "filelock", "scipy", "httpx"}
    assert not heavy & set(modules)


def test_what_is_left_acts_when_dvc_ends_and_is_gone(tmp_path):
    """The parent, killed after its child has ended, is survived by the call alone."""
    mark = tmp_path / "mark"
    stage = (
        "import os, pathlib, sys, functools; from daxa.run.parent import after_parent; "
        "mark = pathlib.Path(sys.argv[1]); "
        "after_parent(functools.partial(mark.write_text, 'repaired'), mark.with_name('lock'))"
    )
    parent = (
        "import os, subprocess, sys, time; "
        "subprocess.run([sys.executable, '-c', sys.argv[1], sys.argv[2]], check=True, "
        "env={**os.environ, 'DVC_STAGE': 'x'}); print('ended', flush=True); time.sleep(60)"
    )
    dvc = subprocess.Popen([sys.executable, "-c", parent, stage, str(mark)], stdout=subprocess.PIPE, text=True)
    try:
        assert dvc.stdout.readline() == "ended\n"
        time.sleep(0.5)
        assert not mark.exists()
    finally:
        dvc.kill()
        dvc.wait()
        dvc.stdout.close()
    deadline = time.monotonic() + 5
    while not mark.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert mark.read_text() == "repaired"


def test_nothing_is_left_under_another_program(tmp_path):
    """The parent is another program: whoever takes over orphans."""
    stage = (
        "import pathlib, sys; from daxa.run.parent import after_parent; "
        "mark = pathlib.Path(sys.argv[1]); after_parent(mark.touch, mark.with_name('lock'))"
    )
    parent = "import os, subprocess, sys; subprocess.run([sys.executable, '-c', *sys.argv[1:]], check=True)"
    subprocess.run(
        [sys.executable, "-c", parent, stage, str(tmp_path / "mark")],
        check=True,
        env={**os.environ, "DVC_STAGE": "x"},
        timeout=60,
    )
    time.sleep(1)
    assert list(tmp_path.iterdir()) == []
