"""Options that several verbs share: one spelling, one help text and one completion of each.

What is typed is checked where it is used (`daxa.archive.named_choices`): an unknown name is an error that
lists the choices.
"""

from __future__ import annotations

from typing import Annotated

import typer

from daxa.cli.completion import (
    complete_kind,
    complete_known_mission,
    complete_mission,
    complete_obs_id,
    complete_step,
)
from daxa.run.product import KINDS

__all__ = [
    "AddedSteps",
    "Band",
    "Bands",
    "DryRun",
    "Executor",
    "Instruments",
    "Jobs",
    "Json",
    "Kinds",
    "KnownMissions",
    "Missions",
    "ObsIds",
    "Steps",
    "ThenRelease",
    "Title",
]

Missions = Annotated[
    list[str] | None,
    typer.Option(
        "--mission", metavar="NAME", help="Only this mission. May be repeated.", autocompletion=complete_mission
    ),
]
"""Missions of an archive."""

KnownMissions = Annotated[
    list[str] | None,
    typer.Option(
        "--mission",
        metavar="NAME",
        help="Only this mission. May be repeated.",
        autocompletion=complete_known_mission,
    ),
]
"""Missions that daxa knows, whether an archive holds them or not."""

ObsIds = Annotated[
    list[str] | None,
    typer.Option(
        "--obs", metavar="OBSID", help="Only this observation. May be repeated.", autocompletion=complete_obs_id
    ),
]

Instruments = Annotated[
    list[str] | None,
    typer.Option("--instrument", metavar="NAME", help="Only this instrument, such as PN. May be repeated."),
]

Steps = Annotated[
    list[str] | None,
    typer.Option(
        "--step",
        metavar="STEP",
        help="Only this step: fetch, events, clean, images or sources. May be repeated.",
        autocompletion=complete_step,
    ),
]

AddedSteps = Annotated[
    list[str] | None,
    typer.Option(
        "--add-step",
        metavar="STEP",
        help="Also run this step, from an installed plug-in. May be repeated.",
        autocompletion=complete_step,
    ),
]

Kinds = Annotated[
    list[str] | None,
    typer.Option(
        "--kind",
        metavar="KIND",
        help=f"Only this kind of file: {', '.join(KINDS)}. May be repeated.",
        autocompletion=complete_kind,
    ),
]

Bands = Annotated[
    list[str] | None,
    typer.Option("--band", metavar="FROM-TO", help="Only this energy band, in keV, such as 0.5-2. May be repeated."),
]

Band = Annotated[
    str | None,
    typer.Option("--band", metavar="FROM-TO", help="Only this energy band, in keV, such as 0.5-2."),
]

Json = Annotated[bool, typer.Option("--json", help="Print one line of JSON per row.")]

Jobs = Annotated[
    int | None,
    typer.Option(
        "--jobs", "-j", metavar="N", help="Run at most N tasks at once; by default the number in the settings."
    ),
]


def _executor(name: str | None) -> str | None:
    """Refuse an unknown executor before anything is written."""
    from daxa.stages.run import check_executor

    if name is not None:
        check_executor(name)
    return name


Executor = Annotated[
    str | None,
    typer.Option(
        "--executor",
        metavar="local|dask",
        callback=_executor,
        help="Where tasks run: on this machine, or on the cluster that your configuration names.",
    ),
]

DryRun = Annotated[
    bool, typer.Option("--dry-run", "-n", help="Only show what would change and run, and why; write nothing.")
]

ThenRelease = Annotated[
    bool, typer.Option("--release", help="Then process what is new, commit, and tag the next version.")
]

Title = Annotated[str, typer.Option("--message", "-m", metavar="TEXT", help="Title of the release, with --release.")]
