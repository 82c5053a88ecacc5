"""What a condition is evaluated on: the table of a mission, and when its data must be public."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from daxa.missions.spec import MissionSpec

__all__ = ["ConditionContext"]


class ConditionContext(Protocol):
    """The observations of a mission, as conditions see them.

    `daxa.query.matching.match.MatchContext` is one.
    """

    @property
    def spec(self) -> MissionSpec:
        """The mission."""
        ...

    @property
    def table(self) -> pd.DataFrame:
        """Its whole table, from `daxa.query.tables.normalise`."""
        ...

    @property
    def at(self) -> float:
        """When data must be public, MJD UTC."""
        ...

    @property
    def chosen(self) -> tuple[str, ...]:
        """The instruments that take part."""
        ...

    def column(self, name: str) -> np.ndarray:
        """A column of the table, (n,)."""
        ...

    def times(self) -> tuple[np.ndarray, np.ndarray]:
        """Start and end of each observation, (n,) each, MJD; an unknown end is the start."""
        ...
