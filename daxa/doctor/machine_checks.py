"""The machine, Python and the packages that daxa needs."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import sys
from collections.abc import Iterator

from daxa.doctor.finding import Finding
from daxa.run.machine import read_machine
from daxa.settings import Settings

__all__ = ["look_at_machine", "look_at_packages"]

_DISTRIBUTION = "daxa-archive"
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)([^;]*)")
_BOUND = re.compile(r"(>=|<)\s*([0-9.]+)")
_GIB = 1 << 30
_LITTLE_MEMORY = 2 * _GIB
_FEW_FILES = 256


def look_at_machine(settings: Settings) -> Iterator[Finding]:
    """System, Python, memory, cores, encoding, limits."""
    yield Finding("machine", "system", "ok", f"{platform.system()} {platform.release()} {platform.machine()}")
    python = f"{platform.python_implementation()} {platform.python_version()}"
    yield Finding("python", "version", "ok", python)
    yield Finding("python", "environment", "ok", sys.prefix)
    machine = read_machine()
    text = f"{machine.memory / _GIB:.1f} GiB, {machine.cores} cores, {settings.workers or 1} tasks at once"
    if machine.memory < _LITTLE_MEMORY:
        remedy = "set DAXA_WORKERS=1; long event lists may still fail"
        yield Finding("machine", "resources", "warning", text, remedy)
    else:
        yield Finding("machine", "resources", "ok", text)
    yield _encoding()
    yield from _open_files()


def _encoding() -> Finding:
    encoding = sys.getfilesystemencoding().lower()
    if encoding.replace("-", "") == "utf8":
        return Finding("machine", "encoding", "ok", encoding)
    return Finding("machine", "encoding", "warning", encoding, "set LC_ALL=C.UTF-8, or PYTHONUTF8=1")


def _open_files() -> Iterator[Finding]:
    try:
        import resource
    except ImportError:  # Only Unix has it.
        return
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= most < _FEW_FILES:
        yield Finding("machine", "open files", "warning", f"at most {most}", "raise the limit: `ulimit -n 1024`")


def look_at_packages() -> Iterator[Finding]:
    """The packages that daxa requires, with their versions."""
    yield Finding("python", "daxa", "ok", importlib.metadata.version(_DISTRIBUTION))
    for text in importlib.metadata.requires(_DISTRIBUTION) or ():
        if "extra ==" not in text and (found := _REQUIREMENT.match(text)):
            yield _package(found[1], found[2])


def _package(name: str, bounds: str) -> Finding:
    pip = f"`{os.path.basename(sys.executable)} -m pip install '{name}{bounds.strip()}'`"  # noqa: PTH119 - a name
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return Finding("python", name, "error", "is not installed", f"install it: {pip}")
    for sign, bound in _BOUND.findall(bounds):
        if (_numbers(version) < _numbers(bound)) == (sign == ">="):
            return Finding("python", name, "error", f"{version}, but daxa needs {sign}{bound}", f"install it: {pip}")
    return Finding("python", name, "ok", version)


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version.

    Examples
    --------
    >>> _numbers("3.10.0rc1"), _numbers("2024.6")
    ((3, 10, 0), (2024, 6))
    """
    found = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(map(int, found[0].split("."))) if found else ()
