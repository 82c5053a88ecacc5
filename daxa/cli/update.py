"""``daxa update``: find new observations, and add them to the selection."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from daxa.cli.completion import complete_mission
from daxa.cli.consent import TrustServices, remember_consent
from daxa.cli.options import DryRun, Executor, Jobs, Missions, ThenRelease, Title
from daxa.cli.plan import show_forecast
from daxa.cli.select import accepted, can_ask, not_accepted, run_and_release, settle
from daxa.cli.show import note, progress, progress_of_missions, show_json, show_text, size_text

if TYPE_CHECKING:
    from daxa.fetch.replaced_files import Replaced
    from daxa.stages.redelivery import Redelivery

__all__ = ["update"]

_SHOWN = 20

EXAMPLES = (
    "daxa update",
    "daxa update --mission xmm --yes",
    "daxa update --yes --release",
    "daxa update --dry-run --json",
)


def update(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="MISSION", hidden=True, autocompletion=complete_mission)
    ] = None,
    *,
    missions: Missions = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Accept what is shown without asking.")] = False,
    keep_old: Annotated[
        bool,
        typer.Option(
            "--keep-old", help="Refuse replaced files: keep the old ones for good, in DVC, and do not ask again."
        ),
    ] = False,
    files: Annotated[
        bool, typer.Option("--files/--no-files", help="Look for files that the archives have replaced; the default.")
    ] = True,
    then_release: ThenRelease = False,
    message: Title = "",
    dry_run: DryRun = False,
    jobs: Jobs = None,
    executor: Executor = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one line of JSON per mission, and per observation with other files.")
    ] = False,
    trust_services: TrustServices = False,
) -> None:
    """Query the services again, show how the selection would change, and write the new one once you accept it.

    Also compares what was fetched with what the archives serve now (one listing per observation, one request per file),
    and shows which files they have replaced. Accepting fetches these again; the next `daxa run` processes what is new.

    The criteria in daxa.toml stay as they are; `daxa select` changes them.
    """
    import daxa
    from daxa.archive.named_choices import named_missions

    remember_consent(trust_services)
    archive = daxa.open(acting=True)
    chosen = named_missions(archive.config, [*(missions or ()), *(names or ())])
    with progress_of_missions(chosen or list(archive.config.missions)) as observe:
        plan = archive.update(chosen, observe=observe)
    # Where nobody can be asked, both parts are shown before the answer that is missing is an error.
    show_only = not (yes or dry_run or can_ask(as_json=as_json))
    settle(plan, yes=yes, as_json=as_json, dry_run=dry_run, show_only=show_only)
    waiting = bool(plan)
    if files:
        with progress("compare", "files") as watch:
            found = archive.redelivered(chosen, observe=watch)
        left = show_only and (waiting or not keep_old)
        _settle_files(found, yes=yes, as_json=as_json, dry_run=dry_run, keep_old=keep_old, show_only=left)
        waiting |= bool(found) and not keep_old
    if show_only and waiting:
        switches = {"--no-files": not files, "--keep-old": keep_old, "--release": then_release, "--json": as_json}
        options = [*(f"--mission {name}" for name in chosen), *(name for name, given in switches.items() if given)]
        options += [f"--message {shlex.quote(message)}"] if message else []
        raise not_accepted(" ".join(["daxa update", *options, "--yes"]))
    if then_release and not dry_run:
        run_and_release(archive.root, message, jobs, executor, as_json=as_json)


def _settle_files(
    found: Redelivery, *, yes: bool, as_json: bool, dry_run: bool, keep_old: bool, show_only: bool
) -> None:
    """Show which files were replaced, and take the new ones, or keep the old ones for good."""
    for why in found.failed[:_SHOWN]:
        note(f"not compared: {why}")
    if as_json:
        show_json(one.as_dict() for one in found.observations)
    else:
        for one in found.observations[:_SHOWN]:
            show_text(f"{one.mission} {one.obs_id}: the archive has replaced {len(one.files)} of its files")
            show_text("\n".join(f"  {_line(file)}" for file in one.files[:_SHOWN]))
        if len(found.observations) > _SHOWN:
            show_text(f"... and {len(found.observations) - _SHOWN} more observations (--json lists all)")
    if not found or show_only:
        return
    if dry_run:
        if not keep_old:
            show_forecast(found.forecast(), as_json=as_json)
        return
    if keep_old:
        commit = found.refuse()
        note(f"committed as {commit[:12]}: the old files are kept, and go into DVC with the next `daxa run`")
    elif accepted(yes=yes, as_json=as_json, question="Fetch these files again, and process them with the next run?"):
        with progress("fetch", "replaced files") as observe:
            found.accept(observe=observe)
        note("fetched again; the next `daxa run` processes them")


def _line(file: Replaced) -> str:
    if file.what == "withdrawn":
        return f"- {file.path}  {size_text(file.old_size)}, no longer served"
    if file.what == "added":
        return f"+ {file.path}  {size_text(file.new_size)}, {file.new_date or 'no date'}"
    parts = [f"{file.old_size} -> {file.new_size} bytes"] if file.old_size != file.new_size else ["other bytes"]
    parts += [f"{file.old_date or 'no date'} -> {file.new_date or 'no date'}"]
    parts += [f"{card} {old or 'none'} -> {new or 'none'}" for card, (old, new) in file.versions.items()]
    return f"~ {file.path}  {'; '.join(parts)}"
