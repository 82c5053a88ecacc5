"""``daxa plan``: what a run would do, and why, and what it may cost."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer

from daxa.cli.completion import complete_mission
from daxa.cli.options import Missions, ObsIds, Steps
from daxa.cli.show import note, say, show_json, show_table, show_text, size_text
from daxa.naming import number_of

if TYPE_CHECKING:
    from daxa.stages.forecast import Forecast, PlannedTask

__all__ = ["plan", "show_forecast", "time_text"]

EXAMPLES = ("daxa plan", "daxa plan xmm --step clean", "daxa plan --obs 0404910601", "daxa plan --json")

_SHOWN = 20
_MINUTE, _HOUR = 60, 3600


def plan(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="MISSION", help="Only these missions.", autocompletion=complete_mission),
    ] = None,
    missions: Missions = None,
    obs_ids: ObsIds = None,
    steps: Steps = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON per task.")] = False,
) -> None:
    """Show what `daxa run` would do, and why, observation by observation; write and run nothing.

    Times are estimated from earlier tasks on this machine, sizes from the ledgers. Where a step is done again, the
    steps after it are listed as well; they run unless its products come out the same.
    """
    import daxa

    archive = daxa.open()
    forecast = archive.plan([*(names or ()), *(missions or ())], obs_ids=obs_ids, steps=steps)
    show_forecast(forecast, as_json=as_json)


def show_forecast(forecast: Forecast, *, as_json: bool = False) -> None:
    """Write what would be done, and the sums."""
    if as_json:
        show_json(task.as_dict() for task in forecast.tasks)
        return
    for problem in forecast.problems[:1]:
        show_text(f"{problem.message}\n  -> {problem.remedy}")
    for (mission, step), count in Counter(forecast.waiting).items():
        note(
            f"calibration changed: {number_of(count, 'observation')} of {mission} {step}; "
            "`daxa upgrade --calibration` accepts it"
        )
    if not forecast:
        say(
            "nothing to do: everything else is up to date"
            if forecast.waiting
            else "nothing to do: everything is up to date"
        )
        return
    rows = [
        _row(list(group)) for _, group in groupby(forecast.tasks, lambda one: (one.mission, one.obs_id, one.action))
    ]
    show_table(["mission", "ObsID", "action", "steps", "reason", "time", "size"], rows[:_SHOWN])
    if len(rows) > _SHOWN:
        show_text(f"... and {len(rows) - _SHOWN} more (--json lists all)")
    show_text(f"\n{_sums(forecast)}")
    if forecast.unknown:
        places = ", ".join(f"{mission} {step}" for mission, step in forecast.unknown)
        note(f"no past runs on this machine to estimate the time of {places}")


def _row(tasks: Sequence[PlannedTask]) -> list[object]:
    first = tasks[0]
    seconds, size = (sum(getattr(task, name) for task in tasks) for name in ("seconds", "size"))
    return [
        first.mission,
        first.obs_id,
        first.action,
        ", ".join(task.step for task in tasks),
        first.why or first.reason,
        "" if first.action == "remove" else time_text(seconds),
        "" if math.isnan(size) else size_text(size),
    ]


def _sums(forecast: Forecast) -> str:
    counts = Counter(task.action for task in forecast.tasks)
    observations = len({(task.mission, task.obs_id) for task in forecast.tasks if task.action == "run"})
    parts = [f"{number_of(counts['run'], 'task')} of {number_of(observations, 'observation')}"] if counts["run"] else []
    if counts["remove"]:
        parts.append(f"products of {number_of(counts['remove'], 'task')} removed")
    if not math.isnan(forecast.seconds):
        parts.append(f"about {time_text(forecast.seconds)} of work, one task after the other")
    for what, size in (("to fetch", forecast.transferred), ("to write", forecast.written)):
        if not math.isnan(size):
            parts.append(f"about {size_text(size)} {what}")
    return "; ".join(parts)


def time_text(seconds: float) -> str:
    """A span of time as people read it, '?' where it is not known.

    Examples
    --------
    >>> time_text(4.2), time_text(200), time_text(9000), time_text(float("nan"))
    ('4 s', '3.3 min', '2.5 h', '?')
    """
    if math.isnan(seconds):
        return "?"
    if seconds < 2 * _MINUTE:
        return f"{seconds:.0f} s"
    return f"{seconds / _MINUTE:.1f} min" if seconds < 2 * _HOUR else f"{seconds / _HOUR:.1f} h"
