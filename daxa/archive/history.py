"""What has been done in an archive, read from its ledgers and logs.

Nothing here takes a lock or asks DVC, so that it works while the pipeline runs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from daxa.archive.config import ArchiveConfig
from daxa.archive.layout import STEPS, Layout
from daxa.errors import ArchiveError, DataError
from daxa.files import read_plain
from daxa.records import Outcome
from daxa.run.journal import read_journal
from daxa.run.ledger import read_ledger
from daxa.run.product import parse_product
from daxa.run.task import LedgerRow
from daxa.selection.store import read_chosen

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LogText", "find_logs", "list_products", "recorded_rows", "selected_ids", "status"]


@dataclass(frozen=True)
class LogText:
    """The log of one task."""

    mission: str
    step: str
    obs_id: str
    text: str


def recorded_rows(layout: Layout, mission: str, step: str) -> Mapping[str, LedgerRow]:
    """Rows of a stage: the ledger's, and those that a running stage has just added.

    A journal older than its ledger is of another version, which was checked out since.
    """
    if not layout.is_repository:
        return read_ledger(layout.ledger(mission, step))
    places = layout.places(mission, step)
    rows = read_ledger(places.ledger)
    journal = read_journal(places.journal)
    if journal and rows and places.journal.stat().st_mtime_ns < places.ledger.stat().st_mtime_ns:
        return rows
    return {**rows, **journal}


def status(layout: Layout, config: ArchiveConfig) -> list[Outcome]:
    """One record per mission, step and selected observation: done, failed, skipped or to do."""
    return [
        _outcome(mission, step, obs_id, rows.get(obs_id))
        for mission in config.missions
        for selected in [selected_ids(layout, mission)]
        for step in STEPS
        for rows in [recorded_rows(layout, mission, step)]
        for obs_id in selected
    ]


def selected_ids(layout: Layout, mission: str) -> list[str]:
    """ObsIDs of a mission's selection, sorted."""
    return list(read_chosen(layout.selection(mission)))


def find_logs(layout: Layout, config: ArchiveConfig, obs_id: str, step: str | None = None) -> list[LogText]:
    """Logs of an observation, in the order of the steps.

    Raises
    ------
    ArchiveError
        The observation is not in the archive, or nothing was logged.
    """
    missions = [mission for mission in config.missions if obs_id in selected_ids(layout, mission)]
    if not missions:
        raise ArchiveError(
            "no-observation", f"{obs_id} is not in this archive", remedy="list its observations with `daxa ls`"
        )
    found = [
        LogText(mission, name, obs_id, read_plain(path, limit=1 << 28).decode("utf-8", "replace"))
        for mission in missions
        for name in ([step] if step else STEPS)
        if os.path.lexists(path := layout.log(mission, name, obs_id))
    ]
    if not found:
        raise ArchiveError(
            "no-log",
            f"there is no log of {obs_id}{f' for the step {step}' if step else ''} here",
            remedy="logs come with `daxa run`; those of a release with `dvc pull logs.dvc`",
        )
    return found


def list_products(
    layout: Layout,
    config: ArchiveConfig,
    mission: str | None = None,
    *,
    obs_id: str | None = None,
    kind: str | None = None,
) -> pd.DataFrame:
    """Products of the archive as a table, one row per file.

    Columns: mission, step, obs_id, instrument, exposure, lo_kev, hi_kev, kind, size, sha256, path
    (relative to the archive).  Fetched files have the kind ``fetched``, files that travel along ``auxiliary``.
    """
    import pandas as pd

    rows = [
        row
        for row in _products(layout, config)
        if (mission is None or row["mission"] == mission)
        and (obs_id is None or row["obs_id"] == obs_id)
        and (kind is None or row["kind"] == kind)
    ]
    columns = [
        "mission",
        "step",
        "obs_id",
        "instrument",
        "exposure",
        "lo_kev",
        "hi_kev",
        "kind",
        "size",
        "sha256",
        "path",
    ]
    return pd.DataFrame(rows, columns=columns)


def _products(layout: Layout, config: ArchiveConfig) -> Iterator[dict[str, object]]:
    for mission in config.missions:
        for step in STEPS:
            directory = layout.products(mission, step).relative_to(layout.root)
            for obs_id, row in sorted(recorded_rows(layout, mission, step).items()):
                for file in row.files:
                    if file.path == "manifest.json":
                        continue
                    yield {
                        "mission": mission,
                        "step": step,
                        "obs_id": obs_id,
                        **_identity(step, file.path),
                        "size": file.size,
                        "sha256": file.sha256,
                        "path": (directory / obs_id / file.path).as_posix(),
                    }


def _identity(step: str, path: str) -> dict[str, object]:
    if step == "fetch":
        return {"kind": "fetched"}
    try:
        product = parse_product(path)
    except DataError:
        return {"kind": "auxiliary"}
    return {
        "instrument": product.instrument,
        "exposure": product.exposure,
        "lo_kev": float(product.lo) if product.lo else None,
        "hi_kev": float(product.hi) if product.hi else None,
        "kind": product.kind,
    }


def _outcome(mission: str, step: str, obs_id: str, row: LedgerRow | None) -> Outcome:
    if row is None:
        return Outcome(mission, step, obs_id, "todo")
    return Outcome(mission, step, obs_id, row.outcome, row.reason)
