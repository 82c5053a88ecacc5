"""What would become of one mission's selection."""

from __future__ import annotations

from dataclasses import dataclass, field

from daxa.query import Selection
from daxa.selection.difference import SelectionDifference

__all__ = ["MissionChange"]


@dataclass(frozen=True)
class MissionChange:
    """What would become of one mission's selection.

    Parameters
    ----------
    mission
        Its short name.
    is_new
        Whether the archive does not hold it yet.
    before, after
        Number of observations.
    difference
        ObsIDs that are added, removed, changed.
    criteria_changed
        Whether something else is requested, even if it selects the same.
    selection
        The new selection.
    note
        Remarks on the observation table that was used.
    overrides
        Step and ObsID of the overrides that go with the observations that are removed.
    """

    mission: str
    is_new: bool
    before: int
    after: int
    difference: SelectionDifference
    criteria_changed: bool
    selection: Selection = field(repr=False)
    note: str = ""
    overrides: tuple[tuple[str, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.is_new or self.difference or self.criteria_changed)

    def as_dict(self) -> dict[str, object]:
        """The change as plain values, ready for JSON."""
        return {
            "mission": self.mission,
            "new": self.is_new,
            "before": self.before,
            "after": self.after,
            "added": list(self.difference.added),
            "removed": list(self.difference.removed),
            "changed": {
                obs_id: {column: list(pair) for column, pair in values.items()}
                for obs_id, values in self.difference.values.items()
            },
            "criteria_changed": self.criteria_changed,
            "overrides_removed": [{"step": step, "obs_id": obs_id} for step, obs_id in self.overrides],
        }
