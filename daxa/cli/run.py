"""``daxa run``: bring the archive up to date."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from daxa.cli.completion import complete_mission
from daxa.cli.consent import TrustServices, remember_consent
from daxa.cli.show import show_text
from daxa.cli.status import show_outcomes

__all__ = ["run"]

EXAMPLES = ("daxa run", "daxa run xmm")


def run(
    missions: Annotated[
        list[str] | None,
        typer.Argument(metavar="[MISSION]...", help="Only these missions.", autocompletion=complete_mission),
    ] = None,
    trust_services: TrustServices = False,
) -> None:
    """Fetch and process what is not done yet, and retry what failed.

    This runs `dvc repro`, and forces the stages in which observations failed.
    """
    import daxa
    from daxa.errors import ConfigError, CriteriaError, DaxaError
    from daxa.run.forkserver import share

    remember_consent(trust_services)
    archive = daxa.open(acting=True)
    try:
        with share(os.environ):
            outcomes = archive.run(missions or ())
    except DaxaError as error:
        # What was done before the pipeline stopped counts, and the failures may explain why it did.
        if error.name != "busy" and not isinstance(error, ConfigError | CriteriaError):
            show_outcomes(archive.status())
        raise
    show_text("")
    show_outcomes(outcomes)
