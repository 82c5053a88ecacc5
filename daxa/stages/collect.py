"""The last stage of the pipeline: totals over all missions, and the report."""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from daxa.archive.config import steps_of
from daxa.archive.layout import Layout
from daxa.archive.stage_errors import noted
from daxa.errors import DataError
from daxa.files import replace_file
from daxa.missions import find_mission
from daxa.publish.measures import cleaned_exposures, measured_by_instrument, searched_images
from daxa.publish.state import ArchiveState, MissionState, read_state
from daxa.publish.summary import summarise
from daxa.quantities import seconds_text
from daxa.report.clean_exposures import HISTOGRAM, exposure_histogram
from daxa.report.page import Row, Section, TaskCell, write_report
from daxa.run.product import parse_product
from daxa.run.steps import Step
from daxa.run.task import LedgerRow
from daxa.selection.selection_file import read_selection

__all__ = ["cleaning_of", "instruments_of", "metrics_of", "run_collect"]


def run_collect(root: Path) -> None:
    """Write ``metrics.json`` and ``report/`` of the archive at `root`.

    Both depend only on configuration, selections and ledgers.

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
    replace_file(layout.report / HISTOGRAM, exposure_histogram(_cleaned(state)).encode())


def _cleaned(state: ArchiveState) -> Iterator[tuple[str, str, float]]:
    """Mission, instrument and good time of every cleaned exposure."""
    for name, mission in state.missions.items():
        for obs_id in mission.observations:
            for one in cleaned_exposures(mission.ledgers.get("clean", {}).get(obs_id)):
                yield name, str(one.get("instrument", "")), float(one["good"])


def metrics_of(state: ArchiveState) -> dict[str, object]:
    """Totals per mission, and over all: observations, outcomes per step, files, bytes, measurements."""
    missions = {name: asdict(summarise(name, mission)) for name, mission in state.missions.items()}
    for name, sums in missions.items():
        del sums["mission"]
        if cleaned := cleaning_of(state.missions[name]):
            sums["clean"] = cleaned
        if instruments := instruments_of(state.missions[name]):
            sums["instruments"] = instruments
    counted = ("selected", "exposure", "fetched", "fetched_bytes", "products", "product_bytes")
    total = {name: sum(sums[name] for sums in missions.values()) for name in counted}
    return {"missions": missions, "total": total}


def cleaning_of(mission: MissionState) -> dict[str, object]:
    """The measurements of a mission's cleaned exposures; empty if there are none.

    Returns
    -------
    dict
        ``exposures``; ``exposure``, their good time in s; ``lost``, the share of the archive's good time
        that is cut; ``anomalous_chips``; and if flares were searched for, ``good``, the exposures in which
        no band is too high, and ``flares_left``: band to mean and largest share of the quiescent rate.
    """
    rows = (mission.ledgers.get("clean", {}).get(obs_id) for obs_id in mission.observations)
    found = [one for row in rows for one in cleaned_exposures(row)]
    if not found:
        return {}
    good, archived = (math.fsum(one[key] for one in found) for key in ("good", "archived"))
    sums: dict[str, object] = {
        "exposures": len(found),
        "exposure": round(good, 3),
        "lost": round(1 - good / archived, 6) if archived > 0 else 0.0,
        "anomalous_chips": sum(len(one["anomalous"]) for one in found),
    }
    screened = [one for one in found if one["flares"]]
    left: dict[str, list[float]] = {}
    for band, excess in (item for one in screened for item in one["left"].items()):
        left.setdefault(band, []).append(excess)
    if screened:
        sums["good"] = sum(one["flares"] == "GOOD" for one in screened)
        sums["flares_left"] = {
            band: {"mean": round(math.fsum(values) / len(values), 6), "most": max(values)}
            for band, values in sorted(left.items())
        }
    return sums


def instruments_of(mission: MissionState) -> dict[str, dict[str, float | int]]:
    """For each instrument with measurements: clean exposure (s), fraction lost, counts of events, sources.

    Also, where exposures have tasks of their own, how many of them failed at some step.
    """
    cleaned, searched = (
        [mission.ledgers.get(step, {}).get(obs_id) for obs_id in mission.observations] for step in ("clean", "sources")
    )
    found = {name: measured.as_dict() for name, measured in measured_by_instrument(cleaned, searched).items()}
    for name, count in sorted(_failed_exposures(mission).items()):
        found[name] = {**found.get(name, {}), "failed": count}
    return found


def _failed_exposures(mission: MissionState) -> Counter[str]:
    """Instrument to how many of its exposures failed, of those that have tasks of their own."""
    failed: Counter[str] = Counter()
    for rows in mission.ledgers.values():
        for obs_id in mission.observations:
            row = rows.get(obs_id)
            for exposure in row.exposures if row else ():
                failed[exposure.exposure.partition("-")[0]] += exposure.outcome == "failed"
    return failed


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
            measured=tuple(_measured(mission, observation["obs_id"])),
        )
        for observation in chosen
    )
    return Section(name, find_mission(name).title, tuple(mission.ledgers), rows)


def _cell(place: str, row: LedgerRow | None) -> TaskCell:
    if row is None:
        return TaskCell("todo")
    return TaskCell(row.outcome, row.reason, f"{place}/{row.obs_id}/" if row.files else "")


def _measured(mission: MissionState, obs_id: str) -> Iterator[str]:
    """Good time, status of flares and numbers of sources of each exposure of an observation, as texts."""
    cleaned, searched = (mission.ledgers.get(step, {}).get(obs_id) for step in ("clean", "sources"))
    texts: dict[str, list[str]] = {}
    for one in cleaned_exposures(cleaned):
        most = f" {max(one['left'].values()):+.1%}" if one["left"] else ""
        flares = f"{one['flares']}{most}" if one["flares"] else "no flare screen"
        texts.setdefault(_exposure(one), []).append(f"{seconds_text(one['good'])}, {flares}")
    for one in searched_images(searched):
        band = f" at {one['band']}" if one.get("band") else ""
        texts.setdefault(_exposure(one), []).append(f"{one['sources']} sources{band}")
    for exposure, found in texts.items():
        yield f"{exposure}: {', '.join(found)}"


def _exposure(one: Mapping[str, object]) -> str:
    names = (str(one.get(name) or "") for name in ("instrument", "exposure"))
    return " ".join(name for name in names if name not in {"", "None"})


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
