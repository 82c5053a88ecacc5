"""The ``dvc.lock`` of a merged archive, stage by stage, and the listings of outputs to which both sides added files.

A stage is recorded as done with the merged files if everything that both sides did is valid for the merged
parameters and software; otherwise it keeps the parameters with which it was run, so that DVC runs it.  Stages that
cannot be decided are left out, and DVC runs them, too: finished tasks are in the ledgers, and are not repeated.
"""

from __future__ import annotations

import io
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import md5
from typing import Any

from daxa.archive.config import ArchiveConfig, steps_of
from daxa.archive.layout import Layout
from daxa.errors import DataError
from daxa.publish.dvc_outputs import directory_digest, directory_listing, listed_files, lock_digests, tracked_digest
from daxa.publish.merging.merge_choices import Choice, MergeSide, Which
from daxa.run.steps import Step

__all__ = ["LOGS", "MergedLock", "find_logs_listing", "merge_lock", "merge_logs"]

LOGS = "logs.dvc"
FindListing = Callable[[str, str], bytes | None]
"""Returns the listing of a directory by digest and path; None if it cannot be found."""


@dataclass
class MergedLock:
    """The merged ``dvc.lock``.

    Parameters
    ----------
    stages
        Name to entry, in the order of the pipeline.
    listings
        Digest to content of listings that neither side has.
    again
        Stages that DVC will run: some products are out of date, or it is not known whether any are.
    unlisted
        Outputs whose listing cannot be found, so that their data cannot be found by digest.
    whole
        The side whose ``collect`` is still valid, if there is one.
    """

    stages: dict[str, Any] = field(default_factory=dict)
    listings: dict[str, bytes] = field(default_factory=dict)
    again: list[str] = field(default_factory=list)
    unlisted: list[str] = field(default_factory=list)
    whole: Which | None = None

    @property
    def text(self) -> str:
        """As DVC writes it."""
        from ruamel.yaml import YAML

        yaml, stream = YAML(), io.StringIO()
        yaml.default_flow_style = False
        yaml.dump({"schema": "2.0", "stages": self.stages}, stream)
        return stream.getvalue()


@dataclass(frozen=True)
class _Side:
    name: Which
    layout: Layout
    stages: Mapping[str, Any]

    def values(self, file: str) -> Mapping[str, Any]:
        return _load_toml(self.layout, file)


def merge_lock(
    merged: Layout,
    config: ArchiveConfig,
    sides: tuple[MergeSide, MergeSide],
    choices: Sequence[Choice],
    find: FindListing,
) -> MergedLock:
    """Merge the locks of both sides.

    Parameters
    ----------
    merged
        The merged files (`daxa.publish.merging.merged_tables`).
    config
        Their configuration.
    sides
        Ours and theirs.
    choices
        The side from which each observation is taken.
    find
        Returns listings.

    Raises
    ------
    DataError
        A lock or a listing is not what DVC writes.
    """
    ours, theirs = (_Side(name, side.layout, _stages(side.layout)) for name, side in zip(_NAMES, sides, strict=True))
    pipeline = _load(merged.pipeline.read_bytes(), "dvc.yaml")["stages"]
    steps = {f"{step.name}-{mission}": (mission, step) for mission in config.missions for step in steps_of(config)}
    result = MergedLock()
    for name, stage in pipeline.items():
        place = steps.get(name)
        listed: Mapping[str, tuple[str, int]] | None = {}
        if place and place[1].kept_by == "dvc":
            listed = _united(result, (ours, theirs), place, choices, find)
        entry = _fitting(merged, stage, name, (ours, theirs), listed or {})
        if entry is None and place and listed is not None:
            entry = _joined(result, merged, stage, (ours, theirs), listed=listed, choices=choices, place=place)
        if entry is None:
            result.again.append(name)
        else:
            result.stages[name] = entry
            if name == "collect":
                result.whole = next(side.name for side in (ours, theirs) if side.stages.get(name) == entry)
    return result


_NAMES: tuple[Which, Which] = ("ours", "theirs")


def _stages(layout: Layout) -> Mapping[str, Any]:
    if not layout.lock.is_file():
        return {}
    content = layout.lock.read_bytes()
    lock_digests(content)
    lock_digests(content, "deps")
    stages = _load(content, "dvc.lock").get("stages") or {}
    return {name: _checked(entry) for name, entry in stages.items()}


def _checked(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Only the keys that DVC writes for a stage."""
    return {key: entry[key] for key in ("cmd", "deps", "params", "outs") if key in entry}


def _load(content: bytes, name: str) -> dict[str, Any]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        found = YAML(typ="safe", pure=True).load(content.decode())
        if isinstance(found, dict):
            return found
    except (YAMLError, ValueError, RecursionError):
        pass
    raise DataError("pipeline-file", f"{name} is not what DVC writes", remedy=f"restore it: `git checkout {name}`")


def _fitting(
    merged: Layout, stage: Mapping[str, Any], name: str, sides: Sequence[_Side], listed: Mapping[str, tuple[str, int]]
) -> dict[str, Any] | None:
    """The entry of a side, if it is valid for the merged files unchanged."""
    for side in sides:
        entry = side.stages.get(name)
        if entry is None or entry.get("cmd") != stage["cmd"]:
            continue
        if entry.get("params", {}) != _params(stage, lambda file: _load_toml(merged, file)):
            continue
        if _holds(merged, stage, entry, listed):
            return dict(entry)
    return None


def _holds(
    layout: Layout, stage: Mapping[str, Any], entry: Mapping[str, Any], listed: Mapping[str, tuple[str, int]]
) -> bool:
    """Whether the files that an entry names are those of a version, for files that Git tracks."""
    outs = [
        next(iter(out)) if isinstance(out, dict) else out for kind in ("outs", "metrics") for out in stage.get(kind, [])
    ]
    named = {one["path"]: one["md5"] for kind in ("deps", "outs") for one in entry.get(kind, ())}
    if {*named} != {*stage.get("deps", ()), *outs}:
        return False
    for path, digest in named.items():
        if path in listed:
            if listed[path][0] != digest:
                return False
        elif path.endswith(".parquet") and _file(layout, path)["md5"] != digest:
            return False
    return True


def _joined(
    result: MergedLock,
    merged: Layout,
    stage: Mapping[str, Any],
    sides: Sequence[_Side],
    *,
    listed: Mapping[str, tuple[str, int]],
    choices: Sequence[Choice],
    place: tuple[str, Step],
) -> dict[str, Any] | None:
    """An entry for the merged files, None if the lock of a side that was used is not up to date."""
    mission, step = place
    name = f"{step.name}-{mission}"
    used = {one.side for one in choices if one.mission == mission and one.differs}
    merged_params = params = _params(stage, lambda file: _load_toml(merged, file))
    for side in sides:
        entry = side.stages.get(name)
        if side.name not in used:
            continue
        if entry is None or not _is_current(side, stage, entry):
            return None
        if _without_overrides(entry.get("params", {})) != _without_overrides(merged_params):
            # What this side did was done with other parameters: DVC sees that, and runs the stage.
            params = entry["params"]
            result.again += [name] if name not in result.again else []
    paths = [next(iter(out)) if isinstance(out, dict) else out for out in stage["outs"]]
    outs = [
        {"path": path, "hash": "md5", "md5": listed[path][0], **_extent(merged, mission, step.name, listed[path][1])}
        if path in listed
        else _file(merged, path)
        for path in sorted(paths)
    ]
    deps = [_file(merged, path) for path in stage["deps"]]
    if any(not one["md5"] for one in (*deps, *outs)):
        return None
    return {"cmd": stage["cmd"], "deps": deps, "params": params, "outs": outs}


def _is_current(side: _Side, stage: Mapping[str, Any], entry: Mapping[str, Any]) -> bool:
    """Whether a side's lock matches its own files and parameters."""
    outs = {one["path"]: (one["md5"], 0) for one in entry.get("outs", ()) if str(one["md5"]).endswith(".dir")}
    return entry.get("params", {}) == _params(stage, side.values) and _holds(side.layout, stage, entry, outs)


def _without_overrides(params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters without those of single observations."""
    return {
        file: {
            key: {name: one for name, one in value.items() if name != "obs"} if isinstance(value, dict) else value
            for key, value in tables.items()
        }
        for file, tables in params.items()
    }


def _params(stage: Mapping[str, Any], load: Callable[[str], Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """What DVC would record of the parameters of a stage."""
    found: dict[str, dict[str, Any]] = {}
    for item in stage.get("params", ()):
        for file, keys in item.items():
            for key in keys:
                value: Any = load(file)
                for part in key.split("."):
                    value = value.get(part) if isinstance(value, Mapping) else None
                if value is not None:
                    found.setdefault(file, {})[key] = value
    return {file: dict(sorted(values.items())) for file, values in found.items()}


def _load_toml(layout: Layout, file: str) -> Mapping[str, Any]:
    return tomllib.loads((layout.root / file).read_text(encoding="utf-8"))


def _file(layout: Layout, path: str) -> dict[str, Any]:
    place = layout.root / path
    content = place.read_bytes() if place.is_file() else b""
    digest = md5(content, usedforsecurity=False).hexdigest() if place.is_file() else ""
    return {"path": path, "hash": "md5", "md5": digest, "size": len(content)}


def _extent(merged: Layout, mission: str, step: str, number: int) -> dict[str, int]:
    from daxa.run.ledger import read_columns

    return {"size": sum(read_columns(merged.ledger(mission, step), {"size"}).size), "nfiles": number}


def _united(
    result: MergedLock,
    sides: Sequence[_Side],
    place: tuple[str, Step],
    choices: Sequence[Choice],
    find: FindListing,
) -> dict[str, tuple[str, int]] | None:
    """Output of a stage to digest and number of files of its listing, put together from both sides.

    None where a listing is nowhere, or does not have a file that the ledger names.
    """
    mission, step = place
    out = f"data/{mission}/{step.name}"
    digests = {side.name: _recorded(side.stages.get(f"{step.name}-{mission}", {}), out) for side in sides}
    own = [one for one in choices if one.mission == mission]
    used = {one.side for one in own if one.differs} or {name for name in _NAMES if digests[name]}
    found: dict[Which, Mapping[str, str]] = {}
    for side in used:
        content = find(digests[side], out) if digests[side] else b"[]"
        if content is None:
            result.unlisted.append(out)
            return None
        found[side] = listed_files(content, out)
    files: dict[str, str] = {}
    for one in own:
        row = one.record.rows.get(step.name) if one.record else None
        source = found.get(one.side) or next(iter(found.values()), {})
        for file in row.files if row else ():
            path = f"{one.obs_id}/{file.path}"
            if path not in source:
                return None
            files[path] = source[path]
    digest = directory_digest(files)
    if digest not in digests.values():
        result.listings[digest] = directory_listing(files)
    return {out: (digest, len(files))}


def _recorded(entry: Mapping[str, Any], out: str) -> str:
    return next((one["md5"] for one in entry.get("outs", ()) if one["path"] == out), "")


def find_logs_listing(pointer: bytes | None, find: FindListing) -> Mapping[str, str] | None:
    """Path to digest of the logs that a ``logs.dvc`` keeps; None where their listing is nowhere."""
    if pointer is None:
        return {}
    content = find(tracked_digest(pointer), "logs")
    return None if content is None else listed_files(content, "logs")


def merge_logs(
    ours: Mapping[str, str], theirs: Mapping[str, str], choices: Sequence[Choice]
) -> tuple[str, dict[str, bytes]]:
    """``logs.dvc`` with the logs of both sides, and the listing that it names.

    Parameters
    ----------
    ours, theirs
        Path to digest.
    choices
        From which side each observation is: so is its log.
    """
    taken = dict(_logs_of(choices, "theirs"))
    dropped = dict(_logs_of(choices, "ours"))
    files = {path: digest for path, digest in ours.items() if path not in taken}
    files |= {
        path: digest for path, digest in theirs.items() if path in taken or (path not in files and path not in dropped)
    }
    digest = directory_digest(files)
    text = f"outs:\n- md5: {digest}\n  nfiles: {len(files)}\n  hash: md5\n  path: logs\n"
    return text, {digest: directory_listing(files)}


def _logs_of(choices: Sequence[Choice], side: Which) -> Iterator[tuple[str, bool]]:
    for one in choices:
        if one.differs and one.side == side and one.record:
            for step, row in one.record.rows.items():
                yield from ((f"{one.mission}/{step}/{name}.log", True) for name in row.task_names)
