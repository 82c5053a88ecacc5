"""Conditions on the labels that an archive gives an observation: its category, and its instruments' modes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from daxa.errors import CriteriaError
from daxa.missions.facts import CATEGORIES
from daxa.missions.spec import MissionSpec

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from daxa.query.criteria.accepted_types import TextsLike
    from daxa.query.criteria.context import ConditionContext

__all__ = ["Category", "Mode", "read_category", "read_mode"]

_LONGEST_WORD = 100


@dataclass(frozen=True)
class Category:
    """Of any of these categories, codes of `daxa.missions.facts.CATEGORIES`, sorted."""

    codes: tuple[str, ...]

    def to_plain(self) -> dict[str, object]:
        """As TOML and JSON hold it."""
        return {"category": list(self.codes)}

    @property
    def text(self) -> str:
        """For messages."""
        return f"of the category {' or '.join(self.codes)}"

    def holds(self, sky: ConditionContext) -> np.ndarray:
        """Which observations meet it, (rows,) bool."""
        return _summary(sky, "category").isin(self.codes).to_numpy()


@dataclass(frozen=True)
class Mode:
    """An instrument was in any of these modes: words as in the table, in small letters, sorted."""

    words: tuple[str, ...]

    def to_plain(self) -> dict[str, object]:
        """As TOML and JSON hold it."""
        return {"mode": list(self.words)}

    @property
    def text(self) -> str:
        """For messages."""
        return f"in the mode {' or '.join(self.words)}"

    def holds(self, sky: ConditionContext) -> np.ndarray:
        """Which observations meet it, (rows,) bool."""
        import numpy as np

        which, modes = _summary(sky, "mode").factorize()
        spaced = [f" {mode.casefold()} " for mode in modes]
        return np.array([any(f" {word} " in mode for word in self.words) for mode in spaced], dtype=bool)[which]


def read_category(value: TextsLike, spec: MissionSpec) -> Category:
    """Categories of targets, as a text or a list of them.

    Raises
    ------
    CriteriaError
        ``no-column``: the mission's table does not say; ``category``: there is no such category.

    Examples
    --------
    >>> from daxa.missions import find_mission
    >>> read_category(["gcl", "AGN"], find_mission("chandra"))
    Category(codes=('AGN', 'GCL'))
    """
    if not spec.table.categorised:
        raise _no_column(spec, "category")
    codes = [text.upper() for text in _texts(value, "category")]
    for code in codes:
        if code not in CATEGORIES:
            raise CriteriaError(
                "category", f"there is no category {code!r}", remedy=f"choose from {', '.join(CATEGORIES)}"
            )
    return Category(tuple(sorted(set(codes))))


def read_mode(value: TextsLike, spec: MissionSpec) -> Mode:
    """Modes of instruments, as a text or a list of them; a text may have several words.

    Raises
    ------
    CriteriaError
        ``no-column``: the mission's table does not say; ``mode``: it is not a text.

    Examples
    --------
    >>> from daxa.missions import find_mission
    >>> read_mode("VFAINT", find_mission("chandra"))
    Mode(words=('vfaint',))
    """
    if not spec.table.mode:
        raise _no_column(spec, "mode")
    return Mode(tuple(sorted({text.casefold() for text in _texts(value, "mode")})))


def _texts(value: object, name: str) -> list[str]:
    listed = [value] if isinstance(value, str) or not isinstance(value, Iterable) else list(value)
    texts = [" ".join(item.split()) if isinstance(item, str) else "" for item in listed]
    if not texts or not all(text and text.isprintable() and len(text) <= _LONGEST_WORD for text in texts):
        raise CriteriaError(
            name, f"{str(value)[:100]!r} does not name a {name}", remedy=f"give a {name}, or a list of them"
        )
    return texts


def _no_column(spec: MissionSpec, name: str) -> CriteriaError:
    return CriteriaError(
        "no-column",
        f"the observation table of {spec.title} ({spec.table.name}) has no {name}",
        remedy=f"leave out the {name} for this mission",
    )


def _summary(sky: ConditionContext, name: str) -> pd.Series:
    """A column that the service in use may not give, though the mission's own table does."""
    cells = sky.table[name]
    if len(cells) and not (cells != "").any():
        raise CriteriaError(
            "no-column",
            f"the cached table of {sky.spec.title} does not give the {name} of any observation",
            remedy=f"leave out the {name}, or fetch the table from another service",
        )
    return cells
