"""What a program writes, shown line by line as it comes."""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

__all__ = ["output_ends", "relay"]


@contextmanager
def output_ends(*, terminal: bool) -> Iterator[list[int]]:
    """The ends of a program's output, to read and to write; whoever closes one takes it out of the list."""
    ends = list(os.openpty() if terminal else os.pipe())
    if terminal:
        import fcntl
        import termios
        import tty

        tty.setraw(ends[1])
        with suppress(OSError):
            size = fcntl.ioctl(sys.stderr.fileno(), termios.TIOCGWINSZ, bytes(8))
            fcntl.ioctl(ends[1], termios.TIOCSWINSZ, size)
    try:
        yield ends
    finally:
        for end in ends:
            os.close(end)


def relay(source: int, target: TextIO, keep: Callable[[str], bool], lines: list[str]) -> None:
    """Pass on the selected lines when complete, and immediately what moves the cursor: a progress bar."""
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    held = ""
    while True:
        try:
            chunk = os.read(source, 65536)
        except OSError:  # This is how a terminal reports the end.
            chunk = b""
        held += decode(chunk, final=not chunk)
        *whole, held = held.split("\n")
        shown = [f"{line}\n" for line in whole if keep(line)]
        lines += [f"{line}\n" for line in whole]
        if held and (not chunk or "\r" in held or "\x1b" in held) and ("\r" in held or "\x1b" in held or keep(held)):
            shown.append(held)
            held = ""
        with suppress(OSError, ValueError):  # A reader that is gone must not stop the program.
            target.write("".join(shown))
            target.flush()
        if not chunk:
            return
