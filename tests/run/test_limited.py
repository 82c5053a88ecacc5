"""Programs with limits: whatever way they end, nothing that they started is left."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import psutil
import pytest

from daxa.errors import ProgramError
from daxa.run import process
from daxa.run.process import Limited, run_limited
from tests.run.processes import wait_until

ENVIRON = {"PATH": "/usr/bin:/bin"}


def limited(place: Path, script: str, *, seconds: float = 30.0, most_bytes: int = 1 << 20) -> Limited:
    return run_limited(
        ["/bin/sh", "-c", script],
        cwd=place,
        environ=ENVIRON,
        stdout=place / "out",
        stderr=place / "err",
        seconds=seconds,
        most_bytes=most_bytes,
    )


def has_gone(number: int) -> bool:
    try:
        return psutil.Process(number).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_status_and_both_streams_are_kept(tmp_path):
    assert limited(tmp_path, "echo one; echo two >&2; exit 7") == Limited(7)
    assert (tmp_path / "out").read_text() == "one\n"
    assert (tmp_path / "err").read_text() == "two\n"


def test_a_signal_is_a_negative_status(tmp_path):
    assert limited(tmp_path, "kill -SEGV $$") == Limited(-signal.SIGSEGV)


def test_input_is_empty_and_the_environment_is_what_was_given(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET", "1")
    assert limited(tmp_path, 'read line && exit 1; test -z "$SECRET"') == Limited(0)


@pytest.mark.parametrize("script", ["sleep 60 & echo $! > child; wait", "sleep 60 & echo $! > child; exit 0"])
def test_what_it_started_is_ended_with_it(tmp_path, script):
    ended = limited(tmp_path, script, seconds=1.0)
    assert ended == (Limited(0) if "exit" in script else Limited(None, "time"))
    assert wait_until(lambda: has_gone(int((tmp_path / "child").read_text())))


def test_a_log_may_not_fill_the_disk(tmp_path):
    assert limited(tmp_path, "while :; do echo 0123456789; sleep 0.001; done", most_bytes=100) == Limited(None, "log")


def test_an_interrupt_leaves_nothing_behind(tmp_path):
    def interrupt() -> None:
        wait_until((tmp_path / "started").exists)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        limited(tmp_path, "echo $$ > child; touch started; sleep 60")
    assert wait_until(lambda: has_gone(int((tmp_path / "child").read_text())))


def test_an_interrupt_while_it_starts_leaves_nothing_behind(tmp_path, monkeypatch):
    start = process._start

    def interrupted(*arguments: object, **options: object) -> process.Child:
        child = start(*arguments, **options)
        os.kill(os.getpid(), signal.SIGINT)
        (tmp_path / "child").write_text(str(child.pid))
        return child

    monkeypatch.setattr(process, "_start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        limited(tmp_path, "sleep 60")
    assert wait_until(lambda: has_gone(int((tmp_path / "child").read_text())))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_old_log_is_not_written_over_and_a_missing_program_is_named(tmp_path):
    (tmp_path / "out").touch()
    with pytest.raises(FileExistsError):
        limited(tmp_path, "exit 0")
    with pytest.raises(ProgramError) as caught:
        run_limited(
            [str(tmp_path / "none")], cwd=tmp_path, environ=ENVIRON, stdout=tmp_path / "a", stderr=tmp_path / "b",
            seconds=1.0, most_bytes=1,
        )  # fmt: skip
    assert caught.value.code == "program.absent"
