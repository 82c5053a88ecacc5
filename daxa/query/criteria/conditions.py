"""The single conditions that criteria are made of, each a value that can be stored.

A condition knows its plain form (what TOML and JSON hold), its words for messages, and which
observations meet it.  Those about places are in `daxa.query.criteria.sky_conditions`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from daxa.errors import CriteriaError
from daxa.quantities import read_quantity
from daxa.query.criteria.times import write_window

if TYPE_CHECKING:
    import numpy as np

    from daxa.query.criteria.accepted_types import DurationLike
    from daxa.query.criteria.context import ConditionContext

__all__ = [
    "ACCESS",
    "AccessKind",
    "AccessRights",
    "Condition",
    "MinExposure",
    "SelectAll",
    "TimeWindow",
    "read_access",
    "read_everything",
    "read_exposure",
    "read_flag",
    "read_min_exposure",
    "write_exposure",
]

AccessKind = Literal["public", "proprietary", "any"]

ACCESS = ("public", "proprietary", "any")


class Condition(Protocol):
    """What criteria are made of."""

    @property
    def text(self) -> str:
        """For messages."""
        ...

    def to_plain(self) -> dict[str, object]:
        """As TOML and JSON hold it."""
        ...


@dataclass(frozen=True)
class TimeWindow:
    """Observed at least partly, or entirely, between `start` and `end`.

    Parameters
    ----------
    start, end
        MJD UTC; None is open.
    inside
        Wholly.
    """

    start: float | None
    end: float | None
    inside: bool = False

    def to_plain(self) -> dict[str, object]:
        """As TOML and JSON hold it."""
        plain: dict[str, object] = {"time": write_window(self.start, self.end)}
        return plain | {"inside": True} if self.inside else plain

    @property
    def text(self) -> str:
        """For messages, such as ``observed between 2004-01-01 and 2005-01-01``."""
        start, end = write_window(self.start, self.end)
        wholly = "wholly " if self.inside else ""
        if self.start is None or self.end is None:
            return f"observed {wholly}before {end}" if self.start is None else f"observed {wholly}after {start}"
        return f"observed {wholly}between {start} and {end}"

    def holds(self, sky: ConditionContext) -> np.ndarray:
        """Which observations meet it, (rows,) bool."""
        import numpy as np

        start, end = sky.times()
        if self.inside:
            # Comparisons with unknown times (NaN) are False.
            return (start >= (-np.inf if self.start is None else self.start)) & (
                end <= (np.inf if self.end is None else self.end)
            )
        met = ~np.isnan(start)
        if self.end is not None:
            met &= start < self.end
        if self.start is not None:
            met &= end > self.start
        return met


@dataclass(frozen=True)
class MinExposure:
    """The exposure of an instrument (of the observation, where the table has no other) is at least so many seconds."""

    seconds: float

    def to_plain(self) -> dict[str, object]:
        """As TOML and JSON hold it."""
        return {"min_exposure": write_exposure(self.seconds)}

    @property
    def text(self) -> str:
        """For messages."""
        return f"exposed at least {write_exposure(self.seconds)}"

    def holds(self, sky: ConditionContext) -> np.ndarray:
        """Which instruments of which observations meet it, (rows, instruments) bool."""
        import numpy as np

        from daxa.selection.schema import instrument_exposures

        seconds = instrument_exposures(sky.table, sky.chosen)
        return np.where(np.isnan(seconds), sky.column("exposure")[:, None], seconds) >= self.seconds


@dataclass(frozen=True)
class AccessRights:
    """Public, not public, or either; criteria that do not name any take public observations."""

    kind: AccessKind

    def to_plain(self) -> dict[str, object]:
        """As TOML and JSON hold it."""
        return {"access": self.kind}

    @property
    def text(self) -> str:
        """For messages."""
        return "public or not" if self.kind == "any" else "public" if self.kind == "public" else "not yet public"

    def holds(self, sky: ConditionContext) -> np.ndarray:
        """Which observations meet it, (rows,) bool."""
        import numpy as np

        public = sky.column("public_date") <= sky.at
        return np.ones_like(public) if self.kind == "any" else public if self.kind == "public" else ~public


@dataclass(frozen=True)
class SelectAll:
    """Select the whole archive."""

    def to_plain(self) -> dict[str, object]:
        """As TOML and JSON hold it."""
        return {"everything": True}

    @property
    def text(self) -> str:
        """For messages."""
        return "of the whole archive"

    def holds(self, sky: ConditionContext) -> np.ndarray:
        """Which observations meet it, (rows,) bool."""
        import numpy as np

        return np.ones(len(sky.table), dtype=bool)


def read_exposure(value: DurationLike) -> float:
    """An exposure with its unit, in seconds.

    Raises
    ------
    CriteriaError
        No unit, negative or not finite.

    Examples
    --------
    >>> read_exposure("5 ks")
    5000.0
    """
    if hasattr(value, "to_value"):
        from astropy.units import UnitConversionError

        try:
            seconds = float(value.to_value("s"))
        except (UnitConversionError, TypeError):
            seconds = math.nan
    else:
        try:
            seconds = read_quantity(str(value).strip(), "s")
        except ValueError:
            seconds = math.nan
    if not 0 < seconds <= 1e9:
        raise CriteriaError(
            "exposure",
            f"{str(value)[:100]!r} is not a valid exposure",
            remedy="give a number and a unit (s, ks, h), such as '5 ks', or a quantity such as 5 * u.ks",
        )
    return seconds


def write_exposure(seconds: float) -> str:
    """The exposure as text that `read_exposure` reads to the same value."""
    return f"{repr(seconds).removesuffix('.0')} s"


def read_min_exposure(value: DurationLike) -> MinExposure:
    """The condition of an exposure; see `read_exposure`."""
    return MinExposure(read_exposure(value))


def read_access(value: AccessKind) -> AccessRights:
    """The condition of a kind of access.

    Raises
    ------
    CriteriaError
        It is not one of `ACCESS`.
    """
    if not isinstance(value, str) or value not in ACCESS:
        raise CriteriaError(
            "access", f"{str(value)[:100]!r} is not a valid kind of access", remedy=f"choose from {', '.join(ACCESS)}"
        )
    return AccessRights(value)


def read_everything(value: bool) -> SelectAll | None:
    """The condition that selects the whole archive; None for False."""
    return SelectAll() if read_flag(value, "everything") else None


def read_flag(value: bool, name: str) -> bool:
    """True or false.

    Raises
    ------
    CriteriaError
        It is neither.
    """
    if not isinstance(value, bool):
        raise CriteriaError("criterion", f"{name!r} is {str(value)[:100]!r}", remedy=f"write {name} = true")
    return value
