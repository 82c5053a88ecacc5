"""``daxa logs``: what was logged while an observation was processed."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from daxa.cli.completion import complete_obs_id
from daxa.cli.options import Missions, ObsIds, Steps
from daxa.cli.show import show_json, show_text
from daxa.errors import CriteriaError

__all__ = ["logs"]

EXAMPLES = (
    "daxa logs 0404910601",
    "daxa logs 0404910601 --step clean",
    "daxa logs 0404910601 --step clean --task espfilt",
    "daxa logs --obs 0404910601",
)


def logs(
    obs_id: Annotated[
        str,
        typer.Argument(metavar="OBSID", help="The observation, unless --obs names it.", autocompletion=complete_obs_id),
    ] = "",
    mission: Missions = None,
    step: Steps = None,
    obs: ObsIds = None,
    *,
    task: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Only calls of this task of mission software, or for this exposure: M1-S001."
        ),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON per log.")] = False,
) -> None:
    """Show the log of an observation, step by step."""
    import daxa
    from daxa.archive.stage_records import find_logs

    requested = [*([obs_id] if obs_id else []), *(obs or ())]
    if not requested:
        raise CriteriaError("obs-id", "no observation was given", remedy="give one: `daxa logs 0404910601`")
    archive = daxa.open()
    found = [
        log
        for one in dict.fromkeys(requested)
        for log in find_logs(archive.layout, archive.config, one, step or (), mission or (), task=task)
    ]
    if as_json:
        show_json(asdict(log) for log in found)
        return
    for log in found:
        of_exposure = f" {log.exposure}" if log.exposure else ""
        show_text(f"== {log.mission} {log.step} {log.obs_id}{of_exposure}\n{log.text.rstrip()}")
