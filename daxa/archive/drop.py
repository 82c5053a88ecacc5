"""Remove observations, or a whole mission, from an archive: what would change, and the change itself.

No service is queried: what is left is the selection as it stands, without the rows that go, and its criteria
say so.  A mission goes with its tables, parameters, stages, ledgers, and all files that its ledgers name.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from daxa.archive import git
from daxa.archive.choose import SelectionPlan, change_to, present_criteria
from daxa.archive.committing import commit_changes, refuse_uncommitted
from daxa.archive.config import ArchiveConfig, load_config, steps_of
from daxa.archive.layout import Layout
from daxa.archive.locktext import without_stages
from daxa.archive.preview import Preview, preview
from daxa.archive.selected_files import DESCRIPTIONS, bare_answers, changed_meanwhile, digests_of, is_own, rendered_with
from daxa.archive.stage_records import selected_ids
from daxa.archive.upstream import read_origin, row_ids
from daxa.errors import ArchiveError, CriteriaError, DataError
from daxa.missions import find_mission
from daxa.naming import number_of
from daxa.query import Mission, Selection
from daxa.query.tables.snapshot_file import QueryOrigin
from daxa.run.delivery import refuse_strays
from daxa.run.ledger import read_ledger
from daxa.selection.selection_file import read_selection

__all__ = ["MissionDrop", "plan_drop", "plan_mission_drop"]


def plan_drop(layout: Layout, obs_ids: Mapping[str, Collection[str]]) -> SelectionPlan:
    """Compare the selections without some observations with the present ones.

    Parameters
    ----------
    layout
        The archive.
    obs_ids
        Mission to the observations that go; they are selected.

    Raises
    ------
    ArchiveError
        A mission would be left without observations.
    """
    config = load_config(layout)
    seen = digests_of(layout)
    changes = []
    for mission, gone in obs_ids.items():
        selection = _remaining(layout, config, mission, gone)
        if selection.table.empty:
            raise ArchiveError(
                "none-left",
                f"no observation of {mission} would be left",
                remedy=f"drop the mission with all of them: `daxa drop {mission}`",
            )
        changes.append(change_to(layout, config, selection))
    return SelectionPlan(layout.root, tuple(changes), seen)


def _remaining(layout: Layout, config: ArchiveConfig, mission: str, gone: Collection[str]) -> Selection:
    """The selection without some observations, on the same observation table."""
    present = Mission(mission, criteria=present_criteria(config, mission))
    left_out = Mission(mission).filter(obs_ids=sorted(gone)).criteria
    table = read_selection(layout.selection(mission))
    kept = table[~table["obs_id"].isin(set(gone))].reset_index(drop=True)
    path = layout.upstream(mission)
    rows = {obs_id: row for obs_id, row in row_ids(path).items() if obs_id not in gone}
    return Selection(find_mission(mission), kept, rows, present.filter(~left_out).criteria, _origin(path))


def _origin(path: Path) -> QueryOrigin:
    origin = read_origin(path)
    try:
        return QueryOrigin(**{**origin, "assumed": tuple(origin.get("assumed", ()))})  # type: ignore[arg-type]
    except TypeError:
        raise DataError(
            "upstream",
            f"{path} does not say where the selection came from",
            remedy=f"restore it: git checkout -- {path.parent.name}/{path.name}",
        ) from None


@dataclass(frozen=True)
class MissionDrop:
    """What goes with missions; nothing is written until `apply`.

    Parameters
    ----------
    root
        The archive.
    missions
        Mission to the ObsIDs of its selection.
    """

    root: Path
    missions: Mapping[str, Sequence[str]]
    _seen: Mapping[str, str] = field(repr=False, default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.missions)

    def as_dicts(self) -> list[dict[str, object]]:
        """One record per mission, as plain values."""
        return [
            {"mission": mission, "new": False, "before": len(ids), "after": 0, "added": [], "removed": list(ids)}
            for mission, ids in self.missions.items()
        ]

    def preview(self) -> AbstractContextManager[Preview]:
        """The archive as it would be, to be read."""
        layout = Layout(self.root)
        return preview(layout, lambda made: _write(layout, made, self.missions))

    def apply(self) -> str:
        """Remove the missions and commit that; give the commit's digest.

        Whatever interrupts it, the next verb that acts completes it.

        Raises
        ------
        ArchiveError
            A stage runs; files have uncommitted changes or were changed since the plan was made; or there are
            files among the products that daxa did not make.
        """
        layout = Layout(self.root)
        git.check_identity(layout.root)
        refuse_uncommitted(layout, is_own)
        if digests_of(layout) != self._seen:
            raise changed_meanwhile(layout)
        config = load_config(layout)
        steps = [step.name for step in steps_of(config)]
        for mission in self.missions:
            for step in steps:
                refuse_strays(layout.products(mission, step), read_ledger(layout.ledger(mission, step)))
        names = [f"{mission} ({number_of(len(ids), 'observation')})" for mission, ids in self.missions.items()]
        return commit_changes(
            layout,
            f"Drop {', '.join(names)}",
            lambda made: _write(layout, made, self.missions),
            dropped=dict.fromkeys(self.missions, steps),
        )


def plan_mission_drop(layout: Layout, missions: Sequence[str]) -> MissionDrop:
    """What goes with these missions of the archive.

    Raises
    ------
    CriteriaError
        None would be left.
    """
    config = load_config(layout)
    if set(missions) >= set(config.missions):
        raise CriteriaError(
            "no-mission",
            "an archive needs at least one mission",
            remedy="leave one mission, or make a new archive with `daxa init`",
        )
    return MissionDrop(
        layout.root, {mission: selected_ids(layout, mission) for mission in missions}, digests_of(layout)
    )


def _write(layout: Layout, made: Layout, dropped: Collection[str]) -> None:
    """Write every file that changes below another root; those of the missions alone just go."""
    config = load_config(layout)
    left = [mission for mission in config.missions if mission not in dropped]
    answers = bare_answers(config.missions)
    before = rendered_with(config, answers)
    after = rendered_with(config, [one for one in answers if one.name in left])
    steps = [*(step.name for step in steps_of(config)), layout.kept("any").name]
    # DVC does not see that a stage depends on less than before: the summary of all missions would stay as it is.
    stages = [*(f"{step}-{mission}" for step in steps for mission in dropped), "collect"]
    texts = {
        layout.config.name: _without(layout.config, dropped, ("missions",), ("storage", "fetched")),
        layout.software.name: _without(layout.software, dropped, ()),
        layout.pipeline.name: after[layout.pipeline.name],
    }
    if layout.lock.is_file():
        texts[layout.lock.name] = without_stages(layout.lock.read_text(encoding="utf-8"), stages)
    for name in DESCRIPTIONS:
        path = layout.root / name
        if path.is_file() and path.read_bytes() == before[name].encode():
            texts[name] = after[name]
    for name, text in texts.items():
        target = made.root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")


def _without(path: Path, names: Collection[str], *places: tuple[str, ...]) -> str:
    """The text of a TOML file without the tables of some names, all else as it was written."""
    import tomlkit

    text = path.read_text(encoding="utf-8")
    document: Any = tomlkit.parse(text)
    expected = tomllib.loads(text)
    for place in places:
        tables, contents = [document], [expected]
        for name in place:
            tables.append(tables[-1].get(name, {}))
            contents.append(contents[-1].get(name, {}))
        gone = [one for one in names if one in contents[-1]]
        for name in gone:
            del contents[-1][name], tables[-1][name]
        # tomlkit writes no header of a table without content, so the last one of a table takes that along.
        for depth in range(len(place) if gone else 0, 0, -1):
            if not contents[depth]:
                del contents[depth - 1][place[depth - 1]], tables[depth - 1][place[depth - 1]]
    written = tomlkit.dumps(document)
    if tomllib.loads(written) != expected:
        raise AssertionError(f"{path.name} would not hold what was requested")
    return written
