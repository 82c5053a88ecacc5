"""``daxa add``: more observations into an archive, or another mission."""

from __future__ import annotations

from typing import Annotated

import typer

from daxa.cli.completion import complete_known_mission
from daxa.cli.conditions import ConditionsCommand, MaxAge, Offline, Refresh, freshness
from daxa.cli.consent import TrustServices, remember_consent
from daxa.cli.criteria_options import missions_of_files, read_criteria_options, require_conditions
from daxa.cli.options import DryRun, Executor, Jobs, KnownMissions, ThenRelease, Title
from daxa.cli.select import settle
from daxa.cli.show import progress_of_missions

__all__ = ["COMMAND", "add"]

COMMAND = ConditionsCommand

EXAMPLES = (
    "daxa add xmm --obs 0201901401",
    'daxa add nustar --target "Abell 907" --radius 15arcmin --dry-run',
    "daxa add chandra --position 149.59,-11.06 --min-exposure 10ks --yes --release",
)


def add(
    context: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MISSION", help="Missions, of the archive or new.", autocompletion=complete_known_mission
        ),
    ] = None,
    *,
    missions: KnownMissions = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Accept what is shown without asking.")] = False,
    refresh: Refresh = False,
    max_age: MaxAge = None,
    offline: Offline = False,
    then_release: ThenRelease = False,
    message: Title = "",
    dry_run: DryRun = False,
    jobs: Jobs = None,
    executor: Executor = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON per mission.")] = False,
    trust_services: TrustServices = False,
) -> None:
    """Add the observations that meet some conditions to those of the archive.

    This is `daxa select --also`: the present selection stays. Nothing is written before you accept what is
    shown; then it is one commit, and the next `daxa run` processes what is new.
    """
    import daxa
    from daxa.archive.choose import plan_selection
    from daxa.archive.config import settings_of
    from daxa.missions import find_mission

    require_conditions(context.obj, "add")
    remember_consent(trust_services)
    archive = daxa.open(acting=True)
    config = archive.config
    named = [*(names or ()), *(missions or ())] or missions_of_files(context.obj)
    specs = [find_mission(name) for name in named or config.missions]
    criteria = read_criteria_options(context.obj, specs, all_of_them=bool(named))
    fresh, settings = freshness(refresh, max_age, offline), settings_of(config)
    requested = [daxa.Mission(name, settings, **fresh).filter(chosen) for name, chosen in criteria.items()]
    with progress_of_missions(list(criteria)) as observe:
        plan = plan_selection(archive.layout, requested, also=True, observe=observe, **fresh)
    settle(
        plan,
        yes=yes,
        as_json=as_json,
        dry_run=dry_run,
        then_release=then_release,
        message=message,
        jobs=jobs,
        executor=executor,
    )
