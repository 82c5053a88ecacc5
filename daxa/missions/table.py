"""Where a mission's list of observations is, and how its columns map to our schema."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["ObservationTable"]


@dataclass(frozen=True)
class ObservationTable:
    """Where the list of observations is, and how its columns map to our schema.

    Parameters
    ----------
    name
        The table's name at the TAP service, in lower case, with its schema (``schema.table``) if queries need that.
    columns
        Our column (``obs_id``, ``target``, ``ra``, ``dec``, ``start``, ``end``,
        ``exposure``, ``public_date``) to theirs.  ``end`` may be absent: it is then
        ``start`` plus ``exposure``, an estimate.  Where all data are public,
        ``public_date`` is the start; where the table names no target, ``target`` is the
        ObsID.  Empty where the table's columns are not known: it cannot be queried then.
    where
        Row cuts, ADQL conditions joined by AND.
    proprietary
        ``date``: data become public on ``public_date``; ``none``: all data are public.
    scale
        Time scale of its times, which are MJD.
    mode
        Columns that say in which mode the instruments were.
    category
        Column with the category of the target, '' when there is none.
    categories
        Their label, or code as text, to ours (`CATEGORIES`), whatever the case; other
        labels are ``MISC``.
    second_category
        Column and its labels, for rows of which `category` says nothing or ``MISC``; labels
        that it does not name leave the row as it is.
    only_category
        The category of every row, for tables of one kind.
    never_public
        Values of the public date that mean "unknown" or "never" (MJD).
    service
        The query service that holds the table: HEASARC's (``heasarc``), ESA's XMM-Newton Science Archive
        (``xsa``), or another, by a short name.  ``tiling``: the observations are the sky tiles that
        `daxa.missions.tiling` computes; HEASARC's table adds to them what it knows.
    tap
        Address of the TAP service, for another than these; the setting ``tap_<service>`` replaces it.
    usual
        `columns` are the names that HEASARC's tables usually have (`USUAL_COLUMNS`), and are
        not recorded for this one: before it is queried, the service says which of them it has.
    """

    name: str
    columns: Mapping[str, str]
    where: tuple[str, ...] = ()
    proprietary: Literal["date", "none"] = "date"
    scale: Literal["utc", "tt"] = "utc"
    mode: tuple[str, ...] = ()
    category: str = ""
    categories: Mapping[str, str] = field(default_factory=dict)
    second_category: tuple[str, Mapping[str, str]] | None = None
    only_category: str = ""
    never_public: tuple[float, ...] = (0.0,)
    service: str = "heasarc"
    usual: bool = False
    tap: str = ""

    @property
    def categorised(self) -> bool:
        """Whether its rows have a category."""
        return bool(self.category or self.only_category)
