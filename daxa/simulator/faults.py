"""Faults to inject into the simulated archive, as plain data."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, get_args

__all__ = ["Fault", "FaultKind", "Faults", "Struck"]

FaultKind = Literal[
    "bomb",
    "broken",
    "busy",
    "changing",
    "commented",
    "continue",
    "cut",
    "denied",
    "drip",
    "encoded",
    "endless",
    "garbled",
    "hang",
    "header",
    "html",
    "limited",
    "missing",
    "no-last-hdu",
    "no-range",
    "other",
    "redelivered",
    "redirect",
    "repacked",
    "slow",
    "wrong-length",
]


Struck = Mapping[FaultKind, float | str]
"""The faults that affect one request, with their values."""


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong.

    Parameters
    ----------
    kind
        - ``bomb``: a gzip file that unpacks to an image of ``value`` bytes
        - ``broken``: status 500; ``denied``: 403; ``missing``: 404, though a listing names the file
        - ``busy``: status 503 with ``Retry-After: value``
        - ``changing``: every answer has another ETag, as if the file were replaced meanwhile
        - ``commented``: a listing breaks off in a comment before the text ``value``, and still ends as a page
        - ``continue``: "100 Continue", again and again, ``value`` seconds apart, and no answer
        - ``cut``: the connection breaks after ``value`` bytes of the body
        - ``drip``: a byte every ``value`` seconds
        - ``endless``: the body begins again whenever it ends, without a stated length
        - ``encoded``: the file is sent as it is, but called ``Content-Encoding: gzip``
        - ``garbled``: the byte at ``value`` is inverted
        - ``hang``: ``value`` seconds of silence before the answer
        - ``header``: the line ``value`` is among the headers, as it is
        - ``html``: an error page with status 200
        - ``limited``: status 429 with ``Retry-After: value``
        - ``other``: what the path ``value`` holds is sent instead
        - ``redelivered``: the FITS file as of a later processing: without the last tenth of its first table, the
          version ``value`` in the card ``PROCVER``, and a later date
        - ``redirect``: status 302 with ``Location: value``
        - ``repacked``: the same content, compressed again, with a later date
        - ``no-last-hdu``: the FITS file without its last HDU, packed as it was
        - ``no-range``: ranges are ignored and not offered
        - ``slow``: ``value`` seconds of pause before each 16 KiB
        - ``wrong-length``: the stated length is off by ``value`` bytes
    path
        Shell pattern that the decoded path of the address must match.
    value
        See above.
    times
        How many matching requests are affected; None means all.

    Examples
    --------
    >>> faults = Faults([Fault("busy", "*/sync", value=1, times=1)])
    >>> faults.strike("/xamin/vo/tap/sync"), faults.strike("/xamin/vo/tap/sync")
    ({'busy': 1}, {})
    """

    kind: FaultKind
    path: str = "*"
    value: float | str = 0
    times: int | None = None

    def __post_init__(self) -> None:
        # A misspelt fault would never occur, and a test that relies on it would pass.
        if self.kind not in get_args(FaultKind):
            raise ValueError(f"there is no fault {self.kind!r}; choose one of {', '.join(get_args(FaultKind))}")


class Faults:
    """The faults in force; they may change while the server runs."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._lock = threading.Lock()
        self._left: list[tuple[Fault, list[int | None]]] = []
        for fault in faults:
            self.add(fault)

    def add(self, fault: Fault) -> None:
        """Put one more in force."""
        with self._lock:
            self._left.append((fault, [fault.times]))

    def clear(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._left.clear()

    def strike(self, path: str) -> dict[FaultKind, float | str]:
        """The faults that affect one request for a path, with their values."""
        struck: dict[FaultKind, float | str] = {}
        with self._lock:
            for fault, left in self._left:
                if left[0] == 0 or fault.kind in struck or not fnmatchcase(path, fault.path):
                    continue
                struck[fault.kind] = fault.value
                if left[0] is not None:
                    left[0] -= 1
        return struck
