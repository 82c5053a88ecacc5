"""What the log of a task holds of its calls: the output of each, and at the end a script that repeats them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from pathlib import PurePosixPath

__all__ = ["CALL", "END", "HEADING", "calls_in", "script_in", "with_inputs"]

HEADING = "The same calls as a script:"
END = "# end of the script"
"""The lines around the script in the log."""

CALL = "== "
"""How the lines begin that announce a call: its link, its exposure if it has one, and how it ended."""

_CALLS = re.compile(rf"(?m)^(?={re.escape(CALL)})")


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


def calls_in(text: str) -> list[tuple[tuple[str, ...], str]]:
    r"""What the log of a task holds of its calls: the names of each, and all that was logged of it.

    A call goes by its link, its exposure and its tool: ``espfilt``, ``M1-S001``.

    Examples
    --------
    >>> calls_in("begins\n\n== screen M1-S001: done\n$ evselect table=e.fits\n")
    [(('screen', 'M1-S001', 'evselect'), '== screen M1-S001: done\n$ evselect table=e.fits')]
    """
    found = []
    for call in _CALLS.split(text.partition(f"\n{HEADING}\n")[0])[1:]:
        heading, _, rest = call.partition("\n")
        if rest.startswith("$ "):
            names = heading.removeprefix(CALL).partition(": ")[0].split() + rest.removeprefix("$ ").split()[:1]
            found.append((tuple(names), call.rstrip()))
    return found


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
