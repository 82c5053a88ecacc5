"""What a check is, and what it says."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Check", "Figure", "NoDataError", "at_most", "between", "equal", "poisson", "real_data", "told"]


class NoDataError(Exception):
    """The data or the tool of a check are not at hand."""


@dataclass(frozen=True)
class Figure:
    """Something measured.

    Parameters
    ----------
    what
        Its name.
    measured, asked
        Texts for the table.
    met
        Whether what was asked is so; None where nothing is asked.
    """

    what: str
    measured: str
    asked: str = ""
    met: bool | None = None


@dataclass(frozen=True)
class Check:
    """A check.

    Parameters
    ----------
    name
        For ``--only``.
    title, oracle, data
        What is checked, against what, on what.
    run
        Measures; its argument scales the number of simulated fields.
    """

    name: str
    title: str
    oracle: str
    data: str
    run: Callable[[float], Sequence[Figure]]


def between(
    what: str, value: float, low: float, high: float, *, error: float = 0.0, digits: int = 3, note: str = ""
) -> Figure:
    """A value that shall lie in a range, or beyond it by less than its error."""
    text = f"{value:.{digits}f}" + (f" +- {error:.{digits}f}" if error else "") + note
    asked = f"{low:g} to {high:g}" + (", within its error" if error else "")
    return Figure(what, text, asked, bool(low - error <= value <= high + error))


def at_most(what: str, value: float, most: float, *, form: str = "{:.3g}", note: str = "") -> Figure:
    """A value that shall not be larger."""
    return Figure(what, form.format(value) + note, f"at most {most:g}", bool(value <= most))


def equal(what: str, differing: int, of: int, *, unit: str = "") -> Figure:
    """Things of which none shall differ."""
    return Figure(what, f"{differing} of {of:,}{unit and ' ' + unit} differ", "0", bool(differing == 0))


def poisson(what: str, found: int, expected: float) -> Figure:
    """A number that shall be that of a Poisson variable of some mean, within its central 99 %."""
    from scipy.stats import poisson as law

    low, high = (int(one) for one in law.interval(0.99, expected))
    text = f"{found} found, {expected:.1f} claimed ({(found - expected) / math.sqrt(expected):+.1f} sigma)"
    return Figure(what, text, f"{low} to {high} (99 % of Poisson)", low <= found <= high)


def told(what: str, measured: str) -> Figure:
    """A figure of which nothing is asked."""
    return Figure(what, measured)


def real_data() -> Path:
    """The folder of real observations.

    Raises
    ------
    NoDataError
        There is none.
    """
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    place = Path(os.environ.get("DAXA_TEST_DATA", beside))
    if not (place / "SOURCES.md").is_file():
        raise NoDataError("no real data: set DAXA_TEST_DATA to the directory that holds SOURCES.md")
    return place
