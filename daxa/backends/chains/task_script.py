"""The script that repeats the calls of a task outside of daxa, in the task's log."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from pathlib import PurePosixPath

__all__ = ["END", "HEADING", "calls_in", "script_in", "with_inputs"]

HEADING = "The same calls as a script:"
END = "# end of the script"
"""The lines around it in the log."""


def script_in(text: str) -> str:
    r"""The script that the log of a task holds; '' where no tools were called.

    Examples
    --------
    >>> script_in(f"a log\n{HEADING}\n#!/bin/sh\nfversion\n{END}\nmore of the log").splitlines()
    ['#!/bin/sh', 'fversion']
    """
    _, heading, rest = text.rpartition(f"\n{HEADING}\n")
    lines = rest.splitlines() if heading else []
    ends = (at for at, line in enumerate(lines) if line.startswith(END))
    return "\n".join(lines[: next(ends, 0)])


def calls_in(text: str) -> list[tuple[str, str]]:
    r"""The calls that the log of a task tells of: the name of the link, and all that was logged of the call.

    Examples
    --------
    >>> calls_in(f"begins\n\n== espfilt M1-S001: done\n$ espfilt\n\n== merge: done\n$ merge\n\n{HEADING}\n{END}\n")
    [('espfilt', '== espfilt M1-S001: done\n$ espfilt'), ('merge', '== merge: done\n$ merge')]
    """
    calls = re.split(r"\n\n(?=== \w)", text.rpartition(f"\n{HEADING}\n")[0] or text)[1:]
    return [(re.split(r"[ :]", call[3:], maxsplit=1)[0], call.rstrip()) for call in calls]


def with_inputs(script: str, inputs: Iterable[tuple[str, str]], directory: str) -> str:
    """A script that starts by copying and unpacking the inputs from the directory given as its argument.

    Parameters
    ----------
    script
        As `daxa.backends.tools.script.shell_script` gives it.
    inputs
        Path of each input in that directory, and below the working directory.
    directory
        Its path in the archive, for the comment.
    """
    pairs = sorted(inputs)
    places = sorted({str(PurePosixPath(place).parent) for _, place in pairs} - {"."})
    lines = [
        f"# In an empty directory; its argument is the one with the inputs, such as {directory} of the archive.",
        'from="${1:?give the directory with the inputs}"',
        *(f"mkdir -p {shlex.quote(place)}" for place in places),
        *(f'gzip -dcf "$from"/{shlex.quote(path)} > {shlex.quote(place)}' for path, place in pairs),
    ]
    head, _, rest = script.partition("\n\n")
    return "\n".join([head, *lines, "", rest])
