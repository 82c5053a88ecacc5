"""The result of an examination: one finding per thing that was checked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from daxa.errors import DaxaError
from daxa.text import plain

__all__ = ["STATES", "Finding", "State", "guarded", "pasteable"]

State = Literal["ok", "note", "warning", "error"]

STATES: dict[State, str] = {
    "ok": "as it should be",
    "note": "works, but is worth knowing",
    "warning": "works partly, or may fail later",
    "error": "prevents daxa from working",
}
"""State to what it means."""

_CREDENTIALS = re.compile(r"(?<=//)[^/@\s]*@")
_QUERY = re.compile(r"(?<=\w)\?[^\s,;`]+")


@dataclass(frozen=True)
class Finding:
    """What was found out about one thing.

    Parameters
    ----------
    part
        What it belongs to, such as ``git`` or ``disk``.
    name
        What was checked.
    state
        One of `STATES`.
    found
        What was found.
    remedy
        What to do about it; '' for ``ok``.
    """

    part: str
    name: str
    state: State
    found: str
    remedy: str = ""

    def as_dict(self) -> dict[str, str]:
        """The finding as plain values, ready for JSON."""
        return dict(vars(self))


def pasteable(finding: Finding, home: str = "") -> Finding:
    """A finding that can be shown to others: without the home directory, and without secrets in addresses.

    Parameters
    ----------
    finding
        The finding.
    home
        The home directory, by default the user's.

    Examples
    --------
    >>> pasteable(Finding("remote", "lab", "ok", "https://me:key@h/x?sig=1 and /home/me/x"), "/home/me").found
    'https://h/x and ~/x'
    """
    found, remedy = (_cleaned(text, home or _home()) for text in (finding.found, finding.remedy))
    return replace(finding, found=found, remedy=remedy)


def _home() -> str:
    try:
        return str(Path.home())
    except RuntimeError:
        return ""


def _cleaned(text: str, home: str) -> str:
    text = _QUERY.sub("", _CREDENTIALS.sub("", plain(text)))
    if len(home) > 1:
        text = re.sub(rf"{re.escape(home)}(?![\w.-])", "~", text)
    return text


def guarded(part: str, name: str, look: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """The findings of one check; a check that fails is a finding, too, and does not stop the others."""
    try:
        yield from look()
    except DaxaError as error:
        yield Finding(part, name, "error", error.message, error.remedy)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        yield Finding(part, name, "error", f"{where}{error.strerror or error}", "make it accessible, then check again")
