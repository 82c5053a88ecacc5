"""The report of an archive: one HTML page that works offline and without scripts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import quote

from daxa.archive.template import environment
from daxa.files import replace_file
from daxa.quantities import seconds_text

if TYPE_CHECKING:
    from jinja2 import Template

__all__ = ["PAGE", "Row", "Section", "TaskCell", "render_page", "write_report"]

PAGE = "index.html"
_MJD_ZERO = datetime(1858, 11, 17)  # noqa: DTZ001 - a calendar date is made of it, no moment


@dataclass(frozen=True)
class TaskCell:
    """The outcome of one step for one observation.

    Parameters
    ----------
    outcome, reason
        ``done``, ``failed``, ``skipped`` or ``todo``, and why.
    directory
        Relative path from the page to its files, '' if there are none.
    """

    outcome: str
    reason: str = ""
    directory: str = ""


@dataclass(frozen=True)
class Row:
    """One observation.

    Parameters
    ----------
    obs_id, target, instruments
        As in the selection.
    start, exposure
        MJD and seconds; nan where unknown.
    tasks
        One per step, in the order of the page's steps.
    pictures
        Relative paths from the page.
    measured
        What cleaning and the search for sources found, a text for each exposure.
    """

    obs_id: str
    target: str
    instruments: str
    start: float
    exposure: float
    tasks: tuple[TaskCell, ...]
    pictures: tuple[str, ...] = ()
    measured: tuple[str, ...] = ()


@dataclass(frozen=True)
class Section:
    """One mission: its name in links, its name for people, its steps and observations."""

    mission: str
    title: str
    steps: tuple[str, ...]
    rows: tuple[Row, ...]

    @property
    def exposure(self) -> float:
        """Sum of the known exposures, s."""
        return math.fsum(row.exposure for row in self.rows if math.isfinite(row.exposure))

    def count(self, step: str) -> str:
        """Outcomes of a step in words, such as ``11 done, 1 failed``."""
        counts = Counter(row.tasks[self.steps.index(step)].outcome for row in self.rows)
        return ", ".join(f"{counts[what]} {what}" for what in ("done", "failed", "skipped", "todo") if counts[what])


def render_page(name: str, sections: Sequence[Section]) -> str:
    """The page as HTML; every value is escaped.

    Examples
    --------
    >>> row = Row("0404910601", "<b>A 907</b>", "PN", 53668.5, 2.3e4, (TaskCell("failed", "data.no-events"),))
    >>> page = render_page("a907", [Section("xmm", "XMM-Newton", ("clean",), (row,))])
    >>> "&lt;b&gt;A 907" in page, "2005-10-25" in page, "23.0 ks" in page
    (True, True, True)
    """
    steps = sections[0].steps if sections else ()
    return _template().render(name=name, steps=steps, sections=sections)


def write_report(directory: Path, name: str, sections: Sequence[Section]) -> None:
    """Write the page into a directory, which is made when absent."""
    replace_file(directory / PAGE, render_page(name, sections).encode())


@cache
def _template() -> Template:
    made = environment(autoescape=True, ks=seconds_text, date=_date, link=quote, name=_file_name)
    return made.get_template("report.html.j2")


def _date(mjd: float) -> str:
    return (_MJD_ZERO + timedelta(days=mjd)).date().isoformat() if math.isfinite(mjd) else ""


def _file_name(path: str) -> str:
    return PurePosixPath(path).name
