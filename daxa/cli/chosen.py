"""Which products a verb reads: the options that such verbs share."""

from __future__ import annotations

from typing import Annotated

import typer

from daxa.cli.completion import complete_mission, complete_obs_id

__all__ = ["Instruments", "Missions", "ObsIds"]

Missions = Annotated[
    list[str] | None,
    typer.Option("--mission", metavar="NAME", help="May be repeated.", autocompletion=complete_mission),
]
ObsIds = Annotated[
    list[str] | None,
    typer.Option("--obs", metavar="OBSID", help="May be repeated.", autocompletion=complete_obs_id),
]
Instruments = Annotated[list[str] | None, typer.Option("--instrument", metavar="NAME", help="May be repeated.")]
