"""Find, by a mark in their environment, the processes that a test started, wherever they hang in the tree."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]


def start(code: str, mark: str, *arguments: object) -> subprocess.Popen:
    """A Python program that can import the tests."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "DAXA_TEST_MARK": mark},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def marked(mark: str) -> list[psutil.Process]:
    """Processes with this mark that are alive."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("DAXA_TEST_MARK") == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def wait_until(condition, seconds: float = 30.0):
    """The first true value of a condition."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError("waited in vain")
