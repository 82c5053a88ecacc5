"""The files that a call should make: whether they are there, new, whole and not empty."""

from __future__ import annotations

import glob
import os
import re
import stat
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from daxa.backends.tools.command import Call
from daxa.backends.tools.foreign_fits import open_fits
from daxa.backends.tools.tables import Output

__all__ = ["Before", "Found", "changed_inputs", "expected_outputs", "find_outputs", "look_before"]

Stamp = tuple[int, int, int]
"""Size, time of modification and inode of a file: one that a tool wrote again differs in one of them."""

_NO_FILE = {"", "none", "default", "caldb", "stdout", "-"}
_MOST_INPUTS = 20_000
"""Most files of an input directory that are checked; an observation has hundreds."""


@dataclass(frozen=True)
class Before:
    """What was there before a call: outputs and inputs with their stamps."""

    outputs: Mapping[str, Stamp]
    inputs: Mapping[str, Stamp]


@dataclass(frozen=True)
class Found:
    """The state of one expected output.

    Parameters
    ----------
    output
        Which.
    pattern
        The paths where it was expected.
    paths
        The files that were found and that this call wrote.
    problem
        ``outputMissing``, ``outputStale`` (left from an earlier call), ``outputEmpty``, ``outputUnreadable``,
        or '' for good ones.
    detail
        Details, for people.
    """

    output: Output
    pattern: str
    paths: tuple[str, ...] = ()
    problem: str = ""
    detail: str = ""


def expected_outputs(call: Call) -> list[tuple[Output, str]]:
    """The outputs of a call with these values, each with the pattern of its path.

    Examples
    --------
    >>> from daxa.backends.tools.command import make_call
    >>> from daxa.backends.tools.reading import read_tool
    >>> values = {"table": "e.fits", "imageset": "image.fits", "ximagesize": 600}
    >>> [pattern for _, pattern in expected_outputs(make_call(read_tool("sas", "evselect"), "22.1", values))]
    ['image.fits']
    """
    return [
        (output, pattern)
        for output in call.tool.outputs
        if call.tool.holds(output.when, call.values, call.release)
        for pattern in _patterns(call, output)
    ]


def _patterns(call: Call, output: Output) -> list[str]:
    known = call.tool.at(call.release)
    names = re.findall(r"\{(\w+)\}", output.pattern)
    if any(name not in known for name in names):
        return []
    if len(names) == 1 and output.pattern == f"{{{names[0]}}}":
        parameter = known[names[0]]
        values = call.value(names[0]).split() if parameter.several else [call.value(names[0])]
        return [glob.escape(path) for value in values if (path := _path(call, value))]
    filled = re.sub(r"\{(\w+)\}", lambda one: glob.escape(_path(call, call.value(one[1])) or "."), output.pattern)
    return [os.path.normpath(filled)]


def _path(call: Call, value: str) -> str:
    """The path in a value: without a filter or block after it, and without the sign that lets a file be replaced."""
    path = value.partition("[")[0].removeprefix("!")
    if call.tool.suite.grammar == "sas":
        path = re.sub(r":[A-Za-z]\w*\Z", "", path)
    return "" if path.lower() in _NO_FILE else path


def look_before(call: Call, cwd: Path) -> Before:
    """Record what is there before a call, to know afterwards what it wrote.

    Parameters
    ----------
    call
        Which.
    cwd
        Where it is going to run.
    """
    outputs = {path: _stamp(cwd / path) for _, pattern in expected_outputs(call) for path in _matches(pattern, cwd)}
    return Before({path: it for path, it in outputs.items() if it}, _input_stamps(call, cwd))


def find_outputs(call: Call, cwd: Path, before: Before) -> tuple[Found, ...]:
    """Judge the outputs of a call that has ended."""
    return tuple(_found(output, pattern, cwd, before) for output, pattern in expected_outputs(call))


def changed_inputs(call: Call, cwd: Path, before: Before) -> tuple[str, ...]:
    """Inputs that have changed during the call, except those that the tool changes by design."""
    now = _input_stamps(call, cwd)
    return tuple(path for path, stamp in before.inputs.items() if now.get(path) != stamp)


def _input_stamps(call: Call, cwd: Path) -> dict[str, Stamp]:
    stamps: dict[str, Stamp] = {}
    known = call.tool.at(call.release)
    changed = {name for name, when in call.tool.modifies if call.tool.holds(when, call.values, call.release)}
    for name in call.tool.inputs:
        if name not in known or name in changed:
            continue
        values = call.value(name).split() if known[name].several else [call.value(name)]
        for path in filter(None, (_path(call, value) for value in values)):
            for file in _files(cwd, path):
                if len(stamps) < _MOST_INPUTS and (stamp := _stamp(cwd / file)):
                    stamps[file] = stamp
    return stamps


def _files(cwd: Path, path: str) -> list[str]:
    if not (cwd / path).is_dir():
        return [path]
    inside = (Path(folder, name) for folder, _, names in os.walk(cwd / path) for name in names)
    return sorted(os.path.relpath(file, cwd) for file in inside)


def _stamp(path: Path) -> Stamp | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_size, status.st_mtime_ns, status.st_ino)


def _matches(pattern: str, cwd: Path) -> list[str]:
    return sorted(glob.glob(pattern, root_dir=cwd))  # noqa: PTH207 - the pattern may be absolute


def _found(output: Output, pattern: str, cwd: Path, before: Before) -> Found:
    paths = _matches(pattern, cwd)
    fresh = tuple(path for path in paths if before.outputs.get(path) != _stamp(cwd / path))
    if not fresh:
        if output.optional:
            return Found(output, pattern)
        problem = "outputStale" if paths else "outputMissing"
        detail = "it was there before and has not been written again" if paths else "it was not made"
        return Found(output, pattern, (), problem, detail)
    rows = 0
    for path in fresh:
        problem, detail, more = _read(output, cwd / path)
        if problem:
            return Found(output, pattern, fresh, problem, f"{path}: {detail}")
        rows += more
    if output.kind == "rows" and not rows:
        return Found(output, pattern, fresh, "outputEmpty", "its table has no rows")
    return Found(output, pattern, fresh)


def _read(output: Output, path: Path) -> tuple[str, str, int]:
    """What is wrong with a file, as a code and in words, and the rows of its first table."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # Opening a pipe would never end.
            return ("", "", 0) if output.kind == "any" and path.is_dir() else ("outputUnreadable", "not a file", 0)
        if not status.st_size:
            return "outputEmpty", "it is empty", 0
        if output.kind not in ("fits", "rows"):
            return "", "", 0
        return "", "", _read_fits(path)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        return "outputUnreadable", str(error) or type(error).__name__, 0


def _read_fits(path: Path) -> int:
    """Rows of the first table, or of the one named EVENTS, of a FITS file that is complete."""
    from astropy.io import fits

    size = _size(path)
    with open_fits(path) as parts:
        tables = [part for part in parts if isinstance(part, fits.BinTableHDU | fits.TableHDU)]
        named = [part for part in tables if part.name == "EVENTS"]
        last = parts[-1].fileinfo()
        if last["datLoc"] + last["datSpan"] != size:  # What is left of a header is hidden_changes.
            raise ValueError("it is truncated")
        return sum(int(part.header["NAXIS2"]) for part in (named or tables)[:1])


def _size(path: Path) -> int:
    """Bytes of a file; if it is packed by gzip, of its unpacked content, whose checksum is verified."""
    with path.open("rb") as stream:
        if stream.read(2) != b"\x1f\x8b":
            return path.stat().st_size
    import gzip

    with gzip.open(path) as stream:
        return sum(len(block) for block in iter(lambda: stream.read(1 << 20), b""))
