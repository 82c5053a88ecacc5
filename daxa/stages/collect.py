"""The last stage of the pipeline: sums over all missions and the report."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from daxa.archive.config import steps_of
from daxa.archive.layout import Layout
from daxa.archive.notes import noted
from daxa.errors import DataError
from daxa.files import replace_file
from daxa.missions import find_mission
from daxa.publish.state import MissionState, State, read_state
from daxa.publish.summary import summarise
from daxa.report.page import Row, Section, TaskCell, write_report
from daxa.run.product import parse_product
from daxa.run.steps import Step
from daxa.run.task import LedgerRow
from daxa.selection.store import read_selection

__all__ = ["metrics_of", "run_collect"]


def run_collect(root: Path) -> None:
    """Write ``metrics.json`` and ``report/`` of the archive at `root`.

    Both are functions of configuration, selections and ledgers alone.

    Raises
    ------
    ArchiveError, ConfigError, DataError
        The archive cannot be read.
    """
    layout = Layout(root)
    with noted(layout, "collect"):
        _collect(layout)


def _collect(layout: Layout) -> None:
    state = read_state(layout)
    replace_file(layout.metrics, f"{json.dumps(metrics_of(state), indent=2, sort_keys=True)}\n".encode())
    steps = steps_of(state.config)
    sections = [_section(layout, name, mission, steps) for name, mission in state.missions.items()]
    write_report(layout.report, state.config.name, sections)


def metrics_of(state: State) -> dict[str, object]:
    """Sums per mission, and over all of them: observations, outcomes per step, files, bytes."""
    missions = {name: asdict(summarise(name, mission)) for name, mission in state.missions.items()}
    for sums in missions.values():
        del sums["mission"]
    counted = ("selected", "exposure", "fetched", "fetched_bytes", "products", "product_bytes")
    total = {name: sum(sums[name] for sums in missions.values()) for name in counted}
    return {"missions": missions, "total": total}


def _section(layout: Layout, name: str, mission: MissionState, steps: Sequence[Step]) -> Section:
    chosen = read_selection(layout.selection(name)).to_dict("records")
    places = {step: os.path.relpath(layout.products(name, step), layout.report) for step in mission.ledgers}
    rows = tuple(
        Row(
            obs_id=observation["obs_id"],
            target=observation["target"],
            instruments=observation["instruments"].replace(",", ", "),
            start=observation["start"],
            exposure=observation["exposure"],
            tasks=tuple(_cell(places[step], rows.get(observation["obs_id"])) for step, rows in mission.ledgers.items()),
            pictures=tuple(_pictures(places, mission, steps, observation["obs_id"])),
        )
        for observation in chosen
    )
    return Section(name, find_mission(name).title, tuple(mission.ledgers), rows)


def _cell(place: str, row: LedgerRow | None) -> TaskCell:
    if row is None:
        return TaskCell("todo")
    return TaskCell(row.outcome, row.reason, f"{place}/{row.obs_id}/" if row.files else "")


def _pictures(places: Mapping[str, str], mission: MissionState, steps: Sequence[Step], obs_id: str) -> Iterator[str]:
    for step in (step.name for step in steps if not step.fetches):
        row = mission.ledgers[step].get(obs_id)
        for file in row.files if row else ():
            if _is_quicklook(file.path):
                yield f"{places[step]}/{obs_id}/{file.path}"


def _is_quicklook(path: str) -> bool:
    try:
        return parse_product(path).kind == "quicklook"
    except DataError:
        return False
