"""A release that is killed is made by the same call, once and whole."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path

from daxa.archive import git
from daxa.archive.config import load_config
from daxa.stages.releasing import release_change
from tests.publish.workshop import copy_archive, deceive, run

_COMMANDS = {"add", "commit", "tag"}


def test_a_kill_at_any_moment_leaves_no_half_of_a_version(finished_once, tmp_path, identity, monkeypatch):
    deceive(monkeypatch)
    killed = 0
    for at in range(1, 40):
        workshop = copy_archive(finished_once, tmp_path / str(at))
        layout = workshop.layout
        if not dies_before(layout, at):
            break
        killed += 1
        left = git.tags(layout.root)
        assert left in ({}, {"v1.0.0": git.commit_of(layout.root)})
        made = release_change(layout, load_config(layout), "first")
        assert (made is None) == bool(left), at
        assert list(git.tags(layout.root)) == ["v1.0.0"]
        assert git.changes(layout.root) == []
        assert run(layout.root, "git", "rev-list", "--count", "HEAD") == "2\n", at
        assert release_change(layout, load_config(layout), "first") is None
        shutil.rmtree(tmp_path / str(at))
    assert killed >= 4


def dies_before(layout, at: int) -> bool:
    """Release in a child that dies just before its rename, or command of Git that writes, number `at`."""
    if not (child := os.fork()):
        left = [at]

        def watch(event: str, arguments: tuple) -> None:
            writes = event == "subprocess.Popen" and not _COMMANDS.isdisjoint(map(os.fsdecode, arguments[1]))
            placed = event == "os.rename" and ".dvc" not in Path(os.fsdecode(arguments[1])).parts
            if writes or placed:
                left[0] -= 1
                if not left[0]:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(watch)
        try:
            release_change(layout, load_config(layout), "first")
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) < 0
