"""Importing does nothing, and help costs little more than Python itself."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {
    "astropy",
    "dvc",
    "git",
    "httpx",
    "jinja2",
    "matplotlib",
    "numpy",
    "pandas",
    "pyarrow",
    "pydantic",
    "pyvo",
    "requests",
    "rich",
    "scipy",
    "tomlkit",
    "typer",
}
# Slow parts of the standard library that help has no use for either.
SLOW = {
    "argparse",
    "asyncio",
    "dataclasses",
    "inspect",
    "logging",
    "multiprocessing",
    "pathlib",
    "subprocess",
    "typing",
}

WATCH = """
import json, os, sys
events = []
def watch(event, arguments):
    if event == "open" and len(arguments) > 2 and isinstance(arguments[2], int):
        if arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            events.append(f"writes {arguments[0]}")
    elif event.startswith(("socket.connect", "socket.bind", "subprocess", "os.mkdir", "os.remove", "os.rename")):
        events.append(event)
before = set(sys.modules)
sys.addaudithook(watch)
%s
print(json.dumps([sorted({name.partition(".")[0] for name in set(sys.modules) - before}), events]), file=sys.stderr)
"""


def watched(statements: str) -> tuple[set[str], list[str]]:
    """Top-level modules that statements import in a fresh Python, and what they do to the world."""
    ended = subprocess.run(
        [sys.executable, "-B", "-c", WATCH % statements], capture_output=True, text=True, check=True, timeout=60
    )
    modules, events = json.loads(ended.stderr.splitlines()[-1])
    return set(modules), events


def test_importing_the_package_imports_nothing_heavy_and_touches_nothing():
    modules, events = watched("import daxa, daxa.errors, daxa.records")
    assert "daxa" in modules
    assert not modules & HEAVY
    assert not events


@pytest.mark.parametrize("arguments", [[], ["--help"], ["--version"], ["statsu"]])
def test_help_imports_neither_libraries_nor_slow_modules(arguments):
    modules, events = watched(f"from daxa.cli import main; main({arguments!r})")
    assert not modules & (HEAVY | SLOW)
    assert not events


def test_the_watch_would_notice():
    modules, events = watched("import numpy, subprocess; subprocess.run(['true'], check=True)")
    assert "numpy" in modules
    assert events


def test_a_mission_is_declared_without_heavy_imports():
    modules, _ = watched("import daxa.missions; daxa.missions.find_mission('xmm')")
    assert not modules & HEAVY


@pytest.mark.parametrize("verb", ["init", "run", "status", "logs", "ls", "release", "push", "verify", "demo"])
def test_help_of_a_verb_imports_no_science(verb):
    modules, _ = watched(f"from daxa.cli import main; main([{verb!r}, '--help'])")
    assert "typer" in modules
    assert not modules & {"astropy", "dvc", "git", "matplotlib", "numpy", "pandas", "pyarrow", "pyvo", "scipy"}
