"""The content of a release, in one line per mission, for tag messages and metrics."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from daxa.missions import find_mission
from daxa.naming import number_of
from daxa.publish.measures import total_of
from daxa.publish.state import ArchiveState, MissionState
from daxa.run.steps import find_step
from daxa.run.task import ProductFile

__all__ = ["MissionSummary", "StepSummary", "summarise", "tag_message"]

_MANIFEST = "manifest.json"


@dataclass(frozen=True)
class StepSummary:
    """How many observations of a step are done, failed, skipped, and still to do."""

    done: int
    failed: int
    skipped: int
    todo: int


@dataclass(frozen=True)
class MissionSummary:
    """Totals of one mission.

    Parameters
    ----------
    mission
        Its short name.
    selected
        The number of chosen observations.
    exposure
        Total exposure according to the mission's archive, s.
    steps
        Step to its counts.
    fetched, fetched_bytes
        Files that were fetched, and their size.
    products, product_bytes
        Files that were made (manifests not counted), and their size.
    """

    mission: str
    selected: int
    exposure: float
    steps: dict[str, StepSummary]
    fetched: int
    fetched_bytes: int
    products: int
    product_bytes: int


def summarise(name: str, mission: MissionState) -> MissionSummary:
    """The totals of one mission."""
    fetched = list(_files(mission, fetched=True))
    products = list(_files(mission, fetched=False))
    exposures = (observation.exposure for observation in mission.observations.values())
    return MissionSummary(
        mission=name,
        selected=len(mission.observations),
        exposure=math.fsum(exposure for exposure in exposures if math.isfinite(exposure)),
        steps={step: _count(mission, step) for step in mission.ledgers},
        fetched=len(fetched),
        fetched_bytes=sum(file.size for file in fetched),
        products=len(products),
        product_bytes=sum(file.size for file in products),
    )


def tag_message(title: str, state: ArchiveState, since: Sequence[str] = ()) -> str:
    """The message of a release's tag: a title, a line per mission, and what has changed since the last one."""
    lines = [f"{_line(summarise(name, mission))}{_measured(mission)}" for name, mission in state.missions.items()]
    return "\n".join([title, "", *lines, *(["", *since] if since else []), ""])


def _line(summary: MissionSummary) -> str:
    steps = "; ".join(f"{step} {_counts(counts)}" for step, counts in summary.steps.items())
    return (
        f"{find_mission(summary.mission).title}: {number_of(summary.selected, 'observation')}, "
        f"{summary.exposure / 1000:.1f} ks; {steps}; {number_of(summary.products, 'product')}, "
        f"{_size(summary.product_bytes)}"
    )


def _measured(mission: MissionState) -> str:
    """Totals of the clean exposures, and sources; empty if neither was measured."""
    cleaned, searched = (
        [mission.ledgers.get(step, {}).get(obs_id) for obs_id in mission.observations] for step in ("clean", "sources")
    )
    found = total_of(cleaned, searched)
    texts = [f"{found.exposure / 1000:.1f} ks clean"] if found.exposure is not None else []
    texts += [number_of(found.counts, "event")] if found.counts is not None else []
    texts += [number_of(found.sources, "source")] if found.sources is not None else []
    return f"; {', '.join(texts)}" if texts else ""


def _counts(step: StepSummary) -> str:
    counts = {"done": step.done, "failed": step.failed, "skipped": step.skipped}
    return ", ".join(f"{number} {what}" for what, number in counts.items() if number or what == "done")


def _size(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


def _count(mission: MissionState, step: str) -> StepSummary:
    rows = mission.ledgers[step]
    counts = Counter(rows[obs_id].outcome if obs_id in rows else "todo" for obs_id in mission.observations)
    return StepSummary(counts["done"], counts["failed"], counts["skipped"], counts["todo"])


def _files(mission: MissionState, *, fetched: bool) -> Iterator[ProductFile]:
    for step, rows in mission.ledgers.items():
        if find_step(step).fetches == fetched:
            for row in rows.values():
                yield from (file for file in row.files if file.path != _MANIFEST)
