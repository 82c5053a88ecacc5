"""The files of a merged archive that daxa reads: configuration, parameters, software, selections, ledgers, origins."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from daxa.archive import git
from daxa.archive.config import ArchiveConfig, parse_config
from daxa.archive.layout import Layout
from daxa.archive.override import Setting, with_settings, without_overrides
from daxa.archive.trust import rendered_pipeline
from daxa.archive.upstream import merge_origins
from daxa.errors import DataError
from daxa.files import read_plain
from daxa.missions import find_mission
from daxa.publish.merging.merge_choices import Choice, Conflict, MergeSide, Which
from daxa.publish.merging.merged_values import ABSENT, join_values, text_with
from daxa.query import Mission, read_criteria
from daxa.run.ledger import write_ledger
from daxa.selection.schema import column_names
from daxa.selection.selection_file import read_selection_metadata, write_selection

__all__ = ["MergedTables", "merge_tables"]


@dataclass
class MergedTables:
    """What was written, and what both sides changed in it."""

    layout: Layout
    conflicts: list[Conflict] = field(default_factory=list)
    config: ArchiveConfig | None = None


@dataclass(frozen=True)
class _Sides:
    base: MergeSide | None
    ours: MergeSide
    theirs: MergeSide
    resolved: Mapping[str, Which]

    def text(self, side: MergeSide | None, path: Path) -> str:
        """A text file of one side, '' where there is none; `path` is that of ours."""
        if side is None:
            return ""
        try:
            return read_plain(side.layout.root / path.relative_to(self.ours.layout.root)).decode("utf-8", "replace")
        except FileNotFoundError:
            return ""


def merge_tables(
    root: Path,
    sides: tuple[MergeSide | None, MergeSide, MergeSide],
    choices: Sequence[Choice],
    resolved: Mapping[str, Which],
) -> MergedTables:
    """Write the merged files below a directory, each at its place in an archive.

    Parameters
    ----------
    root
        A new directory.
    sides
        The version with which both began, ours and theirs.
    choices
        From which side each observation is.
    resolved
        ObsID, file, or ``all``, to the side that is right.

    Raises
    ------
    DataError
        A file is written in a way that does not allow joining it.
    """
    known = _Sides(*sides, resolved)
    merged = MergedTables(Layout(root))
    kept = {mission: [one for one in choices if one.mission == mission] for mission in _missions(known, choices)}
    _write_config(known, merged, kept)
    _write_software(known, merged, kept)
    for mission, own in kept.items():
        _write_params(known, merged, mission, own)
        _write_rows(known, merged, mission, own)
    return merged


def _missions(known: _Sides, choices: Sequence[Choice]) -> list[str]:
    """Missions of which anything is left, and those without observations that neither side has dropped."""
    left = {one.mission for one in choices if one.record and one.record.selected is not None}
    before = known.base.missions if known.base else {}
    ours, theirs = known.ours.missions, known.theirs.missions
    return [
        mission
        for mission in dict.fromkeys([*ours, *theirs])
        if mission in left or (mission in ours and mission in theirs) or mission not in before
    ]


def _write(merged: MergedTables, path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())


def _joined(known: _Sides, merged: MergedTables, name: str, sides: Sequence[Any]) -> Any:
    """The merged values of a file; conflicts are recorded unless `resolved` decides them."""
    values, wrong = join_values(*sides)
    side = known.resolved.get(name) or known.resolved.get("all")
    if side and wrong:
        values, _ = join_values(*(_resolved(sides, [one.place for one in wrong], side)))
    elif wrong:
        merged.conflicts += [
            Conflict(name, ".".join(one.place), f"{one.ours!r:.80}", f"{one.theirs!r:.80}") for one in wrong
        ]
    return values


def _resolved(sides: Sequence[Any], places: Sequence[tuple[str, ...]], side: Which) -> list[Any]:
    """The three versions, with the chosen side's values everywhere at some places."""
    base, ours, theirs = sides
    for place in places:
        right = _at(ours if side == "ours" else theirs, place)
        base, ours, theirs = (_with(one, place, right) for one in (base, ours, theirs))
    return [base, ours, theirs]


def _at(value: Any, place: tuple[str, ...]) -> Any:
    for key in place:
        value = value.get(key, ABSENT) if isinstance(value, Mapping) else ABSENT
    return value


def _with(value: Any, place: tuple[str, ...], new: Any) -> Any:
    if not place:
        return new
    held = dict(value) if isinstance(value, Mapping) else {}
    held[place[0]] = _with(held.get(place[0], ABSENT), place[1:], new)
    return {key: one for key, one in held.items() if one is not ABSENT}


def _text(known: _Sides, path: Path, values: Mapping[str, Any]) -> str:
    """A TOML text with these values: the merged texts if they have them; otherwise ours, edited."""
    texts = [known.text(side, path) for side in (known.base, known.ours, known.theirs)]
    joined, places = git.merge_texts(known.ours.layout.root, *(text.encode() for text in texts))
    if not places and _loads(joined.decode()) == values:
        return joined.decode()
    return text_with(texts[1] or texts[2], values, path.name)


def _loads(text: str) -> Mapping[str, Any] | None:
    try:
        return tomllib.loads(text)
    except ValueError:
        return None


def _write_config(known: _Sides, merged: MergedTables, kept: Mapping[str, Sequence[Choice]]) -> None:
    path = known.ours.layout.config
    loaded = [tomllib.loads(known.text(side, path)) for side in (known.base, known.ours, known.theirs)]
    criteria = [values.pop("missions", {}) for values in loaded]
    values = _joined(known, merged, path.name, loaded)
    for name in ("format", "template"):
        if found := max(one.get(name, 0) for one in loaded):
            values[name] = found
    values["missions"] = {
        mission: _criteria(known, mission, [one.get(mission) for one in criteria], own) for mission, own in kept.items()
    }
    fetched = values.get("storage", {}).get("fetched", {})
    for mission in [name for name in fetched if name not in kept]:
        del fetched[mission]
    text = _text(known, path, values)
    _write(merged, merged.layout.config, text)
    merged.config = parse_config(text.encode(), path)
    _write(merged, merged.layout.pipeline, rendered_pipeline(merged.config).decode())


def _criteria(
    known: _Sides, mission: str, criteria: Sequence[Mapping[str, Any] | None], choices: Sequence[Choice]
) -> dict[str, Any]:
    """The criteria of a mission: those of the side that changed them, or the union without what was dropped."""
    base, ours, theirs = criteria
    if ours is None or theirs is None or ours == theirs:
        return dict(ours if ours is not None else theirs or {})
    selected = {one.obs_id for one in choices if one.record and one.record.selected is not None}
    mine, other = (_selected(side.records.get(mission, {})) for side in (known.ours, known.theirs))
    for changed, left, there in ((ours, theirs, mine), (theirs, ours, other)):
        # Only one side changed the criteria, and the selection agrees with that side where the two differ.
        if left == base and (selected ^ there).isdisjoint(mine ^ other):
            return dict(changed)
    spec = find_mission(mission)
    either = read_criteria(spec, ours) | read_criteria(spec, theirs)
    processed = {one.obs_id for one in choices if one.record is None or one.record.rows}
    if dropped := sorted((mine | other | processed) - selected):
        either = Mission(mission, criteria=either).filter(~Mission(mission).filter(obs_ids=dropped).criteria).criteria
    return either.to_plain()


def _write_software(known: _Sides, merged: MergedTables, kept: Mapping[str, Sequence[Choice]]) -> None:
    path = known.ours.layout.software
    loaded = [_loads(known.text(side, path)) or {} for side in (known.base, known.ours, known.theirs)]
    # The lock of a step is one value: backend and version belong together.
    flat = [{(m, s): tuple(sorted(lock.items())) for m, t in one.items() for s, lock in t.items()} for one in loaded]
    joined = _joined(known, merged, path.name, [{".".join(key): value for key, value in one.items()} for one in flat])
    values: dict[str, dict[str, Any]] = {}
    for mission, step in dict.fromkeys([*flat[1], *flat[2]]):
        if mission in kept and (lock := joined.get(f"{mission}.{step}")):
            values.setdefault(mission, {})[step] = dict(lock)
    _write(merged, merged.layout.software, _text(known, path, values))


def _write_params(known: _Sides, merged: MergedTables, mission: str, choices: Sequence[Choice]) -> None:
    path = known.ours.layout.params(mission)
    name = f"params/{mission}.toml"
    texts = [known.text(side, path) for side in (known.ours, known.theirs)]
    if not all(texts):
        _write(merged, merged.layout.params(mission), texts[0] or texts[1])
        return
    loaded = [_loads(known.text(side, path)) or {} for side in (known.base, known.ours, known.theirs)]
    general = [
        {step: {key: one for key, one in table.items() if key != "obs"} for step, table in side.items()}
        for side in loaded
    ]
    values = _joined(known, merged, name, general)
    for one in choices:
        for step, own in one.record.overrides.items() if one.record else ():
            values[step].setdefault("obs", {})[one.obs_id] = dict(own)
    joined, places = git.merge_texts(known.ours.layout.root, known.text(known.base, path).encode(), *_encoded(texts))
    text = joined.decode() if not places and _loads(joined.decode()) == values else _edited(texts[0], values, choices)
    _write(merged, merged.layout.params(mission), text)


def _encoded(texts: Sequence[str]) -> list[bytes]:
    return [text.encode() for text in texts]


def _edited(text: str, values: Mapping[str, Mapping[str, Any]], choices: Sequence[Choice]) -> str:
    """Our text of a params file with other values; comments stay."""
    tables = tomllib.loads(text)
    gone = [obs_id for table in tables.values() for obs_id in table.get("obs", {})]
    kept = {obs_id for table in values.values() for obs_id in table.get("obs", {})}
    text = without_overrides(text, sorted(set(gone) - kept))
    for step, table in values.items():
        if step not in tables:
            text = f"{text.rstrip()}\n\n[{step}]\n"
        text = with_settings(text, _settings(step, tables.get(step, {}), table))
        for obs_id, own in table.get("obs", {}).items():
            former = tables.get(step, {}).get("obs", {}).get(obs_id, {})
            text = with_settings(text, _settings(step, former, own), [obs_id])
    for step in tables:
        for obs_id in [one for one in tables[step].get("obs", {}) if one in kept]:
            if obs_id not in values.get(step, {}).get("obs", {}):
                text = with_settings(text, _settings(step, tables[step]["obs"][obs_id], {}), [obs_id])
    if tomllib.loads(text) != values:
        raise DataError(
            "merge-text",
            "the params files of both sides are written in ways that daxa cannot join",
            remedy="make params/*.toml equal on both branches, then merge",
        )
    return text


def _settings(step: str, former: Mapping[str, Any], table: Mapping[str, Any]) -> list[Setting]:
    keys = [key for key in dict.fromkeys([*table, *former]) if key != "obs"]
    return [
        Setting(step, key, table.get(key))
        for key in keys
        if type(table.get(key)) is not type(former.get(key)) or table.get(key) != former.get(key)
    ]


def _write_rows(known: _Sides, merged: MergedTables, mission: str, choices: Sequence[Choice]) -> None:
    """Selection, ledgers and origins of a mission; if all rows are from one side, its file is copied."""
    import pandas as pd

    if merged.config is None:
        raise AssertionError("the configuration comes first")
    layout = merged.layout
    records = {one.obs_id: one.record for one in choices if one.record is not None}
    sides_of = {one.side for one in choices if one.differs}
    theirs_only = sides_of == {"theirs"}
    first = known.theirs if mission not in known.ours.missions or theirs_only else known.ours
    criteria = read_criteria(find_mission(mission), merged.config.missions[mission]).text
    _seed(first.layout.selection(mission), layout.selection(mission))
    chosen = [dict(one.selected) for one in records.values() if one.selected is not None]
    table = pd.DataFrame(chosen, columns=column_names())
    table = table.astype({name: "float64" for name in table.columns if table[name].isna().any()})
    write_selection(
        layout.selection(mission),
        table,
        mission=mission,
        criteria=criteria,
        snapshot=read_selection_metadata(first.layout.selection(mission)).snapshot,
    )
    for step in merged.config.steps:
        rows = [one.rows[step] for one in records.values() if step in one.rows]
        if rows or first.layout.ledger(mission, step).is_file():
            _seed(first.layout.ledger(mission, step), layout.ledger(mission, step))
            write_ledger(layout.ledger(mission, step), rows, mission=mission, step=step)
    taken = {one.obs_id for one in choices if one.side == "theirs" and one.differs}
    if mission not in known.ours.missions:
        taken = set(records)
    layout.upstream(mission).parent.mkdir(parents=True, exist_ok=True)
    ours, theirs = (side.layout.upstream(mission) for side in (known.ours, known.theirs))
    if theirs_only and theirs.is_file():
        _seed(theirs, layout.upstream(mission))
    elif taken and (ours.is_file() or theirs.is_file()):
        merge_origins(ours, theirs, taken, _selected(records), to=layout.upstream(mission))
    else:
        _seed(ours, layout.upstream(mission))


def _selected(records: Mapping[str, Any]) -> set[str]:
    return {obs_id for obs_id, one in records.items() if one.selected is not None}


def _seed(source: Path, target: Path) -> None:
    if source.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target, follow_symlinks=False)
