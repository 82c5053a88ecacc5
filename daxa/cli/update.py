"""``daxa update``: which observations the archives have gained, and those into the selection."""

from __future__ import annotations

from typing import Annotated

import typer

from daxa.cli.completion import complete_mission
from daxa.cli.consent import TrustServices, remember_consent
from daxa.cli.options import DryRun, Jobs, Missions, ThenRelease, Title
from daxa.cli.select import settle
from daxa.cli.show import progress_of_missions

__all__ = ["update"]

EXAMPLES = (
    "daxa update",
    "daxa update --mission xmm --yes",
    "daxa update --yes --release",
    "daxa update --dry-run --json",
)


def update(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[MISSION]...", hidden=True, autocompletion=complete_mission)
    ] = None,
    *,
    missions: Missions = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Accept what is shown without asking.")] = False,
    then_release: ThenRelease = False,
    message: Title = "",
    dry_run: DryRun = False,
    jobs: Jobs = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON per mission.")] = False,
    trust_services: TrustServices = False,
) -> None:
    """Query the services again, show how the selection would change, and write the new one once you accept it.

    The criteria in daxa.toml stay as they are; `daxa select` changes them. The next `daxa run` processes what is new.
    """
    import daxa
    from daxa.archive.named_choices import named_missions

    remember_consent(trust_services)
    archive = daxa.open(acting=True)
    wanted = named_missions(archive.config, [*(missions or ()), *(names or ())])
    with progress_of_missions(wanted or list(archive.config.missions)) as observe:
        plan = archive.update(wanted, observe=observe)
    settle(plan, yes=yes, as_json=as_json, dry_run=dry_run, then_release=then_release, message=message, jobs=jobs)
