"""Change the selection of an archive: what would change, and the change itself."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from daxa.archive import git
from daxa.archive.committing import commit_changes, refuse_uncommitted
from daxa.archive.config import ArchiveConfig, load_config, load_parameters, settings_of, steps_of
from daxa.archive.create import check_instruments, check_missions
from daxa.archive.layout import Layout
from daxa.archive.mission_change import MissionChange
from daxa.archive.override import overridden
from daxa.archive.preview import Preview, preview
from daxa.archive.selected_files import changed_meanwhile, digests_of, is_own, write_changes
from daxa.archive.task_parts import fetched_inputs
from daxa.archive.toml_files import read_content
from daxa.archive.trust import rendered_pipeline
from daxa.errors import ArchiveError, CriteriaError
from daxa.missions import find_mission
from daxa.naming import number_of, some
from daxa.query import Mission, Selection, read_criteria
from daxa.selection.difference import compare
from daxa.selection.selection_file import read_selection

if TYPE_CHECKING:
    from daxa.query import Criteria

__all__ = [
    "SelectionPlan",
    "change_to",
    "plan_selection",
    "present_criteria",
]

_AT_ONCE = 4
_NAMED = 20


@dataclass(frozen=True)
class SelectionPlan:
    """What would become of the selections of an archive; nothing is written until `apply`.

    Parameters
    ----------
    root
        The archive.
    missions
        One change per mission that was evaluated.
    """

    root: Path
    missions: tuple[MissionChange, ...]
    _seen: Mapping[str, str] = field(repr=False)

    def __bool__(self) -> bool:
        return any(self.missions)

    def apply(self) -> str:
        """Write the selections and commit them; give the commit's digest, '' when nothing changes.

        Raises
        ------
        ArchiveError
            A stage runs, or the files have uncommitted changes or were changed since the plan was made.
        """
        layout = Layout(self.root)
        if not self:
            return ""
        git.check_identity(layout.root)
        refuse_uncommitted(layout, is_own)
        if digests_of(layout) != self._seen:
            raise changed_meanwhile(layout)
        return commit_changes(layout, _message(self), lambda made: write_changes(self.missions, layout, made))

    def preview(self) -> AbstractContextManager[Preview]:
        """The archive as it would be, to be read; nothing of it is written into the archive."""
        layout = Layout(self.root)
        return preview(layout, lambda made: write_changes(self.missions, layout, made))

    @property
    def added(self) -> dict[str, tuple[str, ...]]:
        """Mission to ObsIDs that it gains."""
        return {change.mission: change.difference.added for change in self.missions}

    @property
    def removed(self) -> dict[str, tuple[str, ...]]:
        """Mission to ObsIDs that it loses."""
        return {change.mission: change.difference.removed for change in self.missions}

    @property
    def changed(self) -> dict[str, Mapping[str, Mapping[str, tuple[object, object]]]]:
        """Mission to ObsIDs that stay with other values: column to the old and the new one."""
        return {change.mission: change.difference.values for change in self.missions}

    def _repr_html_(self) -> str:
        lines = "".join(
            f"<tr><td>{html.escape(change.mission)}</td><td>{change.before}</td><td>{change.after}</td>"
            + "".join(
                f"<td>{html.escape(some(ids, _NAMED))}</td>"
                for ids in (change.difference.added, change.difference.removed, change.difference.changed)
            )
            + "</tr>"
            for change in self.missions
        )
        heads = "".join(f"<th>{name}</th>" for name in ("mission", "before", "after", "added", "removed", "changed"))
        return f"<table><tr>{heads}</tr>{lines}</table>"


class _Freshness(TypedDict):
    refresh: bool
    max_age: timedelta | None
    offline: bool


def plan_selection(
    layout: Layout,
    missions: Sequence[Mission | str] | None = None,
    *,
    also: bool = False,
    refresh: bool = False,
    max_age: timedelta | None = None,
    offline: bool = False,
    observe: Callable[[str], None] = lambda name: None,
) -> SelectionPlan:
    """Evaluate criteria, and compare what they select with what is selected.

    Parameters
    ----------
    layout
        The archive.
    missions
        With the criteria that replace those of ``daxa.toml``; the name of a mission stands for its
        present criteria.  By default all missions with their present criteria.
    also
        Join the criteria given to the present ones in place of replacing them.
    refresh, max_age, offline
        How fresh the tables must be of missions that are given by name, or not at all.
    observe
        Called with the name of each mission that has answered.

    Raises
    ------
    CriteriaError
        Criteria cannot be used, or nothing meets them.
    NotPossible
        Nothing processes the data of a new mission.
    ServiceError
        A service cannot be reached, or its answer cannot be used.
    ArchiveError
        A mission is to be added, and the archive's pipeline is not the one that daxa writes.
    """
    from concurrent.futures import ThreadPoolExecutor

    config = load_config(layout)
    fresh: _Freshness = {"refresh": refresh, "max_age": max_age, "offline": offline}
    requested = [
        _stored(config, one, fresh) if isinstance(one, str) else _joined(config, one) if also else one
        for one in (config.missions if missions is None else missions)
    ]
    names = [mission.name for mission in requested]
    check_missions([mission for mission in requested if mission.name not in config.missions], names)
    for mission in requested:
        tables = load_parameters(layout, mission.name, config.steps) if mission.name in config.missions else {}
        check_instruments(mission.spec, mission.criteria, fetched_inputs(mission.spec, tables, steps_of(config)))
    if not set(names) <= set(config.missions):
        _check_pipeline(layout, config)
    seen = digests_of(layout)

    def choose(mission: Mission) -> MissionChange:
        change = _change(layout, config, mission)
        observe(mission.name)
        return change

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        changes = tuple(pool.map(choose, requested))
    return SelectionPlan(layout.root, changes, seen)


def _stored(config: ArchiveConfig, name: str, fresh: _Freshness) -> Mission:
    found = find_mission(name).name
    if found not in config.missions:
        raise CriteriaError(
            "mission",
            f"{found} is not in this archive, and no condition says which of its observations to select",
            remedy=f"give conditions, or choose from {', '.join(config.missions)}",
        )
    return Mission(found, settings_of(config), criteria=config.missions[found], **fresh)


def _joined(config: ArchiveConfig, mission: Mission) -> Mission:
    if mission.name not in config.missions:
        return mission
    both = present_criteria(config, mission.name) | mission.criteria
    return Mission(mission.name, settings_of(config), criteria=both, snapshot=mission.snapshot)


def present_criteria(config: ArchiveConfig, mission: str) -> Criteria:
    """The criteria of a mission in ``daxa.toml``."""
    return read_criteria(find_mission(mission), config.missions[mission])


def _change(layout: Layout, config: ArchiveConfig, mission: Mission) -> MissionChange:
    return change_to(layout, config, mission.select(), mission.note)


def change_to(layout: Layout, config: ArchiveConfig, selection: Selection, note: str = "") -> MissionChange:
    """What would become of a mission's selection if this were the new one."""
    mission = selection.spec.name
    is_new = mission not in config.missions
    old = selection.table.iloc[:0] if is_new else read_selection(layout.selection(mission))
    difference = compare(old, selection.table)
    return MissionChange(
        mission,
        is_new,
        len(old),
        len(selection.table),
        difference,
        is_new or present_criteria(config, mission) != selection.criteria,
        selection,
        note,
        _overrides_of(layout, mission, difference.removed),
    )


def _overrides_of(layout: Layout, mission: str, obs_ids: Sequence[str]) -> tuple[tuple[str, str], ...]:
    if not obs_ids or not layout.params(mission).is_file():
        return ()
    content, _ = read_content(layout.params(mission))
    try:
        return tuple(overridden((content or b"").decode(), obs_ids))
    except ValueError:
        return ()  # It is not TOML; `daxa check` and every run say so.


def _check_pipeline(layout: Layout, config: ArchiveConfig) -> None:
    if not layout.pipeline.is_file() or layout.pipeline.read_bytes() != rendered_pipeline(config):
        raise ArchiveError(
            "pipeline",
            f"{layout.pipeline} is not as daxa writes it, so no mission can be added",
            remedy="restore it: `git checkout dvc.yaml` (keep your own pipelines in another repository)",
        )


def _message(plan: SelectionPlan) -> str:
    changes = [change for change in plan.missions if change]
    counts = {
        word: sum(len(getattr(change.difference, word)) for change in changes)
        for word in ("added", "removed", "changed")
    }
    summary = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    names = ", ".join(change.mission for change in changes)
    title = f"Choose observations: {summary}" if summary else f"Change the criteria of {names}"
    return "\n".join([title, "", *(line for change in changes for line in _lines(change))])


def _lines(change: MissionChange) -> Iterator[str]:
    before = "new, " if change.is_new else f"{change.before} -> "
    yield f"{change.mission}: {before}{number_of(change.after, 'observation')}"
    for word in ("added", "removed"):
        if ids := getattr(change.difference, word):
            yield f"  {word}: {some(ids, _NAMED)}"
    if columns := change.difference.columns:
        entries = [f"{obs_id} ({', '.join(names)})" for obs_id, names in columns.items()]
        yield f"  changed: {some(entries, _NAMED)}"
    if change.overrides:
        yield f"  overrides removed: {some([f'{step} {obs_id}' for step, obs_id in change.overrides], _NAMED)}"
    if change.criteria_changed and not change.is_new:
        yield "  other criteria"
