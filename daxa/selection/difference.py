"""What changed between two selections."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from daxa.selection.schema import COLUMNS, arrange

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SelectionDifference", "compare"]


@dataclass(frozen=True)
class SelectionDifference:
    """ObsIDs that differ between two selections, each tuple sorted.

    Parameters
    ----------
    added, removed
        Only in the new, only in the old selection.
    values
        ObsID of each row that is in both with other values, to its changed columns, each with
        the old and the new value.
    """

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    values: Mapping[str, Mapping[str, tuple[object, object]]] = field(default_factory=dict)

    @property
    def changed(self) -> tuple[str, ...]:
        """ObsIDs in both, with other values."""
        return tuple(self.values)

    @property
    def columns(self) -> dict[str, tuple[str, ...]]:
        """ObsID of each changed row to the names of its changed columns."""
        return {obs_id: tuple(values) for obs_id, values in self.values.items()}

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


def compare(old: pd.DataFrame, new: pd.DataFrame) -> SelectionDifference:
    """Compare two tables of observations by ObsID.

    Parameters
    ----------
    old, new
        Tables in the schema's columns, without repeated ObsIDs.

    Examples
    --------
    >>> import pandas as pd
    >>> old = pd.DataFrame([{"obs_id": "001", "target": "A", "ra": 1.0, "dec": 2.0, "start": 5e4, "end": 5e4,
    ...     "exposure": 9.0, "instruments": "PN", "public_date": float("nan"), "category": "GCL", "mode": "",
    ...     "roll": 30.0, "exposures": "8"}])
    >>> compare(old, old.assign(exposure=10.0)).values
    {'001': {'exposure': (9.0, 10.0)}}
    >>> compare(old, old.assign(obs_id="002")).added
    ('002',)
    """
    before, after = (arrange(table).set_index("obs_id") for table in (old, new))
    both = before.index.intersection(after.index)
    values: dict[str, dict[str, tuple[object, object]]] = {}
    for column in COLUMNS:
        if column.name == "obs_id":
            continue
        left, right = (table.loc[both, column.name] for table in (before, after))
        unequal = (left != right) & ~(left.isna() & right.isna())
        at = unequal.to_numpy(dtype=bool)
        for obs_id, *pair in zip(both[at], left[at].tolist(), right[at].tolist(), strict=True):
            values.setdefault(obs_id, {})[column.name] = tuple(pair)
    return SelectionDifference(
        added=tuple(sorted(after.index.difference(before.index))),
        removed=tuple(sorted(before.index.difference(after.index))),
        values={obs_id: values[obs_id] for obs_id in sorted(values)},
    )
