"""What has been done in an archive, read from its ledgers and logs.

Nothing here takes a lock or calls DVC, so that it works while the pipeline runs.
"""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from daxa.archive.config import ArchiveConfig, steps_of
from daxa.archive.layout import Layout
from daxa.archive.named_choices import named_missions, named_obs_ids, named_steps
from daxa.backends.chains.task_script import calls_in
from daxa.errors import ArchiveError, CriteriaError
from daxa.files import read_plain
from daxa.naming import did_you_mean
from daxa.run.journal import read_journal
from daxa.run.ledger import LedgerColumns, empty_columns, read_columns, read_ledger
from daxa.run.lookup import find_texts
from daxa.run.rows import row_from_plain
from daxa.run.task import ExposureRow, LedgerRow, task_name
from daxa.selection.selection_file import read_chosen

__all__ = ["LogText", "StageRecord", "find_logs", "is_running", "read_exposures", "read_stage_record", "selected_ids"]


_FEW = 100
"""Observations up to which rows are looked up one by one: for more, columns are faster."""


@dataclass(frozen=True)
class LogText:
    """The log of one task: of an observation, or of one of its exposures."""

    mission: str
    step: str
    obs_id: str
    exposure: str
    text: str


@dataclass(frozen=True)
class StageRecord:
    """What is recorded of a stage: its ledger, and what a stage that runs, or was stopped, has added.

    Parameters
    ----------
    columns
        The rows, of which a later one of the same observation counts.
    places
        ObsID to the number of its row.
    unsettled
        Observations whose row comes from the journal: their files may not be in place.
    """

    columns: LedgerColumns
    places: Mapping[str, int]
    unsettled: Collection[str] = ()

    def outcomes(self) -> dict[str, str]:
        """ObsID to outcome."""
        return {obs_id: self.columns.outcome[at] for obs_id, at in self.places.items()}

    def row(self, obs_id: str) -> LedgerRow | None:
        """The row of an observation, with its files where their sizes and digests were read.

        Raises
        ------
        DataError
            It holds impossible values.
        """
        if obs_id not in self.places:
            return None
        at, columns = self.places[obs_id], self.columns
        science = columns.science or columns.sha256
        span = slice(*columns.offsets[at : at + 2]) if columns.sha256 else slice(0)
        files = [
            {"path": path, "size": size, "sha256": sha256, "science": other}
            for path, size, sha256, other in zip(
                columns.path[span], columns.size[span], columns.sha256[span], science[span], strict=True
            )
        ]
        texts = {name: getattr(columns, name)[at] for name in ("outcome", "reason", "fingerprint", "parts")}
        return row_from_plain({"obs_id": obs_id, "files": files, **texts})


def is_running(layout: Layout, mission: str, step: str) -> bool:
    """Whether a stage runs, or was stopped: its journal is beside the ledger."""
    return layout.is_repository and layout.places(mission, step).journal.exists()


def read_stage_record(
    layout: Layout,
    mission: str,
    step: str,
    names: Collection[str],
    *,
    obs_ids: Collection[str] | None = None,
    wanted: Mapping[str, str] | None = None,
) -> StageRecord:
    """Read some columns of a stage's ledger and of its journal.

    A journal older than its ledger is of another version, which was checked out since.  It is
    read before the ledger: a stage that ends in between moves its rows there.

    Parameters
    ----------
    layout, mission, step
        The stage.
    names, obs_ids
        As for `daxa.run.ledger.read_columns`.
    wanted
        ObsID to fingerprint: rows of the journal count as they do for the runner.

    Raises
    ------
    DataError
        The ledger is damaged.
    """
    ledger = layout.ledger(mission, step)
    added, noted = {}, 0
    if layout.is_repository and (journal := layout.places(mission, step).journal).exists():
        added = read_journal(journal)
        with suppress(FileNotFoundError):  # The stage has ended: its rows are in the ledger.
            noted = journal.stat().st_mtime_ns
    columns = _look_up(layout, mission, step, names, obs_ids) or read_columns(ledger, names, obs_ids=obs_ids)
    places = {obs_id: at for at, obs_id in enumerate(columns.obs_id)}
    if not added or (noted and ledger.exists() and noted < ledger.stat().st_mtime_ns):
        return StageRecord(columns, places)
    rows = [
        row
        for obs_id, row in added.items()
        if (obs_ids is None or obs_id in obs_ids)
        and (wanted is None or obs_id not in places or wanted.get(obs_id) == row.fingerprint)
    ]
    columns = _with_rows(columns, names, rows)
    return StageRecord(columns, {obs_id: at for at, obs_id in enumerate(columns.obs_id)}, {row.obs_id for row in rows})


def _look_up(
    layout: Layout, mission: str, step: str, names: Collection[str], obs_ids: Collection[str] | None
) -> LedgerColumns | None:
    """What `read_columns` gives, without a look at other observations; None where that is not possible."""
    if not obs_ids or len(obs_ids) > _FEW or not layout.is_repository:
        return None
    texts = find_texts(layout.ledger(mission, step), layout.places(mission, step).lookup, obs_ids)
    if texts is None:
        return None
    return _with_rows(empty_columns(), names, [row_from_plain(json.loads(texts[obs_id])) for obs_id in sorted(texts)])


def _with_rows(columns: LedgerColumns, names: Collection[str], rows: Sequence[LedgerRow]) -> LedgerColumns:
    texts = ("outcome", "reason", "fingerprint", "parts")
    of_files = ("path", "size", "sha256", "science")
    offsets = list(columns.offsets or [0])
    for row in rows:
        offsets.append(offsets[-1] + len(row.files))
    return LedgerColumns(
        obs_id=[*columns.obs_id, *(row.obs_id for row in rows)],
        offsets=offsets,
        **{name: [*getattr(columns, name), *(getattr(row, name) for row in rows if name in names)] for name in texts},
        **{
            name: [
                *getattr(columns, name),
                *(getattr(file, name) for row in rows for file in row.files if name in names),
            ]
            for name in of_files
        },
    )


def selected_ids(layout: Layout, mission: str) -> list[str]:
    """ObsIDs of a mission's selection, sorted."""
    return list(read_chosen(layout.selection(mission)))


def read_exposures(
    layout: Layout, mission: str, step: str, obs_ids: Collection[str]
) -> dict[str, tuple[ExposureRow, ...]]:
    """ObsID to the outcomes of its exposures, where each exposure had its own task.

    Raises
    ------
    DataError
        The ledger is damaged.
    """
    places = layout.places(mission, step) if layout.is_repository else None
    texts = find_texts(layout.ledger(mission, step), places.lookup, obs_ids) if places else None
    if texts is not None:
        rows = {obs_id: row_from_plain(json.loads(text)) for obs_id, text in texts.items()}
    else:
        rows = read_ledger(layout.ledger(mission, step))
    rows |= read_journal(places.journal) if places else {}
    return {obs_id: rows[obs_id].exposures for obs_id in obs_ids if obs_id in rows and rows[obs_id].exposures}


def _logs_of(layout: Layout, mission: str, step: str, obs_id: str) -> list[tuple[str, Path]]:
    """Exposure ('' for the whole observation) and path of each log of an observation."""
    whole = layout.log(mission, step, obs_id)
    parts = sorted(whole.parent.glob(f"{glob.escape(task_name(obs_id, '*')[:-1])}*.log"))
    found = [("", whole), *((path.stem.partition("@")[2], path) for path in parts)]
    return [(exposure, path) for exposure, path in found if os.path.lexists(path)]


def find_logs(
    layout: Layout,
    config: ArchiveConfig,
    obs_id: str | int,
    steps: str | Collection[str] | None = None,
    missions: Collection[str] = (),
    *,
    task: str = "",
) -> list[LogText]:
    """Logs of an observation, in the order of the steps.

    Parameters
    ----------
    layout, config
        The archive.
    obs_id
        The observation.
    steps, missions
        Only these; all by default.
    task
        Only the calls of this task of mission software, such as ``espfilt``, or the log of this exposure.

    Raises
    ------
    ArchiveError
        The observation is not in the archive, or nothing was logged.
    CriteriaError
        There is no such step or mission, or no such call was logged.
    """
    present = [step.name for step in steps_of(config)]
    wanted = named_steps(steps, present)
    chosen = named_missions(config, missions) or tuple(config.missions)
    (obs_id,) = named_obs_ids(layout, chosen, obs_id)
    holding = [mission for mission in chosen if obs_id in selected_ids(layout, mission)]
    found = [
        LogText(mission, step, obs_id, exposure, read_plain(path, limit=1 << 28).decode("utf-8", "replace"))
        for mission in holding
        for step in (one for one in present if one in wanted or not wanted)
        for exposure, path in _logs_of(layout, mission, step, obs_id)
    ]
    if not found:
        of_steps = f" for {', '.join(wanted)}" if wanted else ""
        raise ArchiveError(
            "no-log",
            f"there is no log of {obs_id}{of_steps} here",
            remedy="logs come with `daxa run`; those of a release with `daxa pull`",
        )
    return _of_task(found, task) if task else found


def _of_task(logs: Sequence[LogText], task: str) -> list[LogText]:
    """The logs with nothing but the calls of a task of mission software."""
    found, known = [], []
    for log in logs:
        calls = calls_in(log.text)
        known += [log.exposure, *(name for names, _ in calls for name in names)]
        named = [text for names, text in calls if task in names]
        if task == log.exposure:
            found.append(log)
        elif named:
            found.append(replace(log, text="\n\n".join(named)))
    if not found:
        raise CriteriaError(
            "task",
            f"no log of {logs[0].obs_id} has a call of {task[:100]!r}{did_you_mean(task, filter(None, known))}",
            remedy="`daxa logs` without --task shows what was called"
            if any(known)
            else "leave out --task: no mission software was called",
        )
    return found
