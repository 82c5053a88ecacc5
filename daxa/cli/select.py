"""``daxa select``: change the selection of an archive, or export it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daxa.cli.conditions import ConditionsCommand, CriteriaOptions, MaxAge, Offline, Refresh, freshness
from daxa.cli.consent import TrustServices, remember_consent
from daxa.cli.criteria_options import missions_of_files, read_criteria_options
from daxa.cli.options import AddedSteps, DryRun, Missions
from daxa.cli.show import note, progress_of_missions, show_json, show_text
from daxa.errors import ArchiveError, CriteriaError
from daxa.naming import number_of
from daxa.quantities import seconds_text
from daxa.selection.headings import cell

if TYPE_CHECKING:
    import daxa
    from daxa.archive.choose import SelectionPlan
    from daxa.archive.drop import MissionDrop
    from daxa.archive.mission_change import MissionChange
    from daxa.query import Mission
    from daxa.query.tables.snapshot import Freshness

__all__ = ["COMMAND", "accepted", "can_ask", "not_accepted", "run_and_release", "select", "settle"]

COMMAND = ConditionsCommand

EXAMPLES = (
    "daxa select",
    'daxa select --mission xmm --target "Abell 907" --min-exposure 10ks --yes',
    "daxa select --also --mission nustar --position 149.59,-11.06 --radius 10arcmin",
    "daxa select --export a907.vot",
    "daxa select --export fields.moc.fits --mission xmm",
)

_SHOWN = 20


def select(
    context: typer.Context,
    *,
    missions: Missions = None,
    also: Annotated[bool, typer.Option("--also", help="Add the conditions to the present ones, as with --or.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Accept what is shown without asking.")] = False,
    dry_run: DryRun = False,
    refresh: Refresh = False,
    max_age: MaxAge = None,
    offline: Offline = False,
    export: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the present selection to a file, in the format of its name: .csv, .vot, .mrt (AAS), .moc.fits, "
            ".parquet.",
        ),
    ] = None,
    snapshot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the whole observation table of one mission, for use offline."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON per mission.")] = False,
    add_steps: AddedSteps = None,
    trust_services: TrustServices = False,
) -> None:
    """Show how the selection would change, and write the new one once you accept it.

    Without conditions, those in daxa.toml are evaluated again. Conditions that are given replace those in daxa.toml,
    and a mission that the archive does not have yet is added. Accepting makes one commit; the next `daxa run`
    processes what is new.
    """
    import daxa

    remember_consent(trust_services)
    archive = daxa.open(acting=True)
    if add_steps:
        if context.obj or missions:
            raise CriteriaError("steps", "--add-step applies to all observations", remedy="omit the conditions")
        note(f"committed as {archive.add_steps(*add_steps)[:12]}\nnext: `daxa run`")
        return
    if export is not None or snapshot is not None:
        if context.obj:
            raise CriteriaError(
                "export", "--export and --snapshot write the present selection", remedy="omit the conditions"
            )
        if export is not None:
            _export(archive, missions, export)
        if snapshot is not None:
            _write_snapshot(archive, missions, snapshot, freshness(refresh, max_age, offline))
        return
    fresh = freshness(refresh, max_age, offline)
    requested = _requested(archive, context.obj, missions, fresh, also=also)
    names = [one if isinstance(one, str) else one.name for one in requested]
    from daxa.archive.choose import plan_selection

    with progress_of_missions(names) as observe:
        plan = plan_selection(archive.layout, requested, also=also, observe=observe, **fresh)
    settle(plan, yes=yes, as_json=as_json, dry_run=dry_run)


def settle(
    plan: SelectionPlan | MissionDrop,
    *,
    yes: bool,
    as_json: bool,
    dry_run: bool = False,
    show_only: bool = False,
    then_release: bool = False,
    message: str = "",
    jobs: int | None = None,
    executor: str | None = None,
) -> None:
    """Show a plan, and carry it out when it is accepted.

    Parameters
    ----------
    plan
        From `daxa.archive.choose` or `daxa.archive.drop`.
    yes
        Do not ask.
    as_json
        Show records.
    dry_run
        Show also what the next run would do, and write nothing.
    show_only
        Do not ask, and write nothing.
    then_release, message, jobs, executor
        Then run the archive, with this many tasks at once and there, and make a release with this title.

    Raises
    ------
    ArchiveError
        It is not accepted, and there is no terminal on which to ask; or it cannot be applied.
    """
    _show(plan, as_json=as_json)
    if dry_run:
        _show_what_follows(plan, as_json=as_json)
        return
    if not plan:
        note("nothing changes")
    elif show_only:
        return
    elif accepted(yes=yes, as_json=as_json):
        commit = plan.apply()
        note(f"committed as {commit[:12]}" + ("" if then_release else "\nnext: `daxa run`"))
        _warn_without_branch(plan.root)
    if then_release:
        run_and_release(plan.root, message, jobs, executor, as_json=as_json)


def run_and_release(root: Path, message: str, jobs: int | None, executor: str | None = None, *, as_json: bool) -> None:
    """Do everything that is left to do in an archive, and make a release."""
    import daxa
    from daxa.cli.working import end_in_release, working

    archive = daxa.open(root, acting=True)
    with working(archive, os.environ, jobs, executor, as_json=as_json):
        archive.run()
    end_in_release(archive, message, recorded=True, as_json=as_json)


def accepted(*, yes: bool, as_json: bool, question: str = "Write and commit this?") -> bool:
    """Whether the user accepts what was shown.

    Raises
    ------
    ArchiveError
        There is no terminal on which to ask.
    """
    if yes:
        return True
    if not can_ask(as_json=as_json):
        raise not_accepted()
    if not typer.confirm(question, err=True):
        note("nothing was written")
        raise typer.Exit(1)
    return True


def can_ask(*, as_json: bool) -> bool:
    """Whether there is somebody to ask."""
    return not as_json and sys.stdin.isatty() and sys.stderr.isatty()


def not_accepted(command: str = "") -> ArchiveError:
    """The error to raise where nobody can be asked; `command` is the one that accepts."""
    remedy = (
        f"to write and commit it: `{command}`" if command else "run the same command with --yes to write and commit it"
    )
    return ArchiveError("not-accepted", "the change was only shown, nothing was written", remedy=remedy)


def _warn_without_branch(root: Path) -> None:
    from daxa.archive import git

    if not git.branch(root):
        note("no branch is checked out, so this commit is easily lost: `git switch -c NAME` creates a branch for it")


def _show(plan: SelectionPlan | MissionDrop, *, as_json: bool) -> None:
    from daxa.archive.drop import MissionDrop

    if isinstance(plan, MissionDrop):
        if as_json:
            show_json(plan.as_dicts())
        else:
            for mission, ids in plan.missions.items():
                show_text(f"{mission} goes, with {number_of(len(ids), 'observation')} and all products")
        return
    if as_json:
        show_json(change.as_dict() for change in plan.missions)
    else:
        for change in plan.missions:
            show_text("\n".join(_lines(change)))
    for change in plan.missions:
        if change.note:
            note(f"{change.mission}: {change.note}")
        if count := change.selection.approximate:
            note(f"{change.mission}: {count} chosen with a circle instead of the true field of view")


def _show_what_follows(plan: SelectionPlan | MissionDrop, *, as_json: bool) -> None:
    from daxa.archive.config import load_config
    from daxa.cli.plan import show_forecast
    from daxa.stages.forecast import forecast_run

    with plan.preview() as there:
        forecast = forecast_run(there, load_config(there))
    if not as_json:
        show_text("")
    show_forecast(forecast, as_json=as_json)


def _requested(
    archive: daxa.Archive, requested: CriteriaOptions, missions: list[str] | None, fresh: Freshness, *, also: bool
) -> list[Mission | str]:
    import daxa
    from daxa.archive.config import settings_of
    from daxa.missions import find_mission

    config = archive.config
    if not requested:
        if also:
            raise CriteriaError(
                "nothing-asked", "no condition was given with --also", remedy="give one, or leave it out"
            )
        return [find_mission(name).name for name in missions or config.missions]
    named = missions or missions_of_files(requested)
    specs = [find_mission(name) for name in named or config.missions]
    criteria = read_criteria_options(requested, specs, all_of_them=bool(named))
    settings = settings_of(config)
    return [daxa.Mission(name, settings, **fresh).filter(chosen) for name, chosen in criteria.items()]


def _export(archive: daxa.Archive, missions: list[str] | None, path: Path) -> None:
    from daxa.selection.selection_file import read_selection
    from daxa.selection.table_formats import FORMATS, table_format, write_export

    form = FORMATS[table_format(path)]
    names = _of_archive(archive, missions)
    tables = {name: read_selection(archive.layout.selection(name)) for name in names}
    write_export(path, tables, f"Observations of {archive.config.name}: {', '.join(names)}")
    note(f"{path}: {number_of(sum(map(len, tables.values())), 'observation')}, {form}")


def _write_snapshot(archive: daxa.Archive, missions: list[str] | None, path: Path, fresh: Mapping) -> None:
    import daxa
    from daxa.archive.config import settings_of
    from daxa.query.tables.snapshot import write_snapshot

    names = _of_archive(archive, missions)
    if len(names) > 1:
        raise CriteriaError("mission", "--snapshot writes the table of one mission", remedy=f"add --mission {names[0]}")
    table = daxa.Mission(names[0], settings_of(archive.config), **fresh).snapshot
    write_snapshot(path, table)
    note(f"{path}: {table.origin.rows} observations of {names[0]} as of {table.origin.time}")


def _of_archive(archive: daxa.Archive, missions: list[str] | None) -> tuple[str, ...]:
    from daxa.archive.named_choices import named_missions

    config = archive.config
    return named_missions(config, missions) or tuple(config.missions)


def _lines(change: MissionChange) -> Iterator[str]:
    difference, title = change.difference, change.selection.spec.title
    counts = [("added", difference.added), ("removed", difference.removed), ("changed", difference.changed)]
    summary = ", ".join(f"{len(ids)} {word}" for word, ids in counts if ids) or "the same observations"
    also = ", criteria changed" if change.criteria_changed and not change.is_new else ""
    new = "new, " if change.is_new else f"{change.before} -> "
    yield f"{title}: {new}{number_of(change.after, 'observation')} ({summary}{also})"
    rows = change.selection.table.set_index("obs_id")
    for obs_id in difference.added[:_SHOWN]:
        row = rows.loc[obs_id].to_dict()
        yield f"  + {obs_id}  {row['target']}  {seconds_text(row['exposure'])}  {row['instruments']}"
    yield from _rest(difference.added)
    overrides: dict[str, list[str]] = {}
    for step, obs_id in change.overrides:
        overrides.setdefault(obs_id, []).append(step)
    for obs_id in difference.removed[:_SHOWN]:
        steps = overrides.get(obs_id)
        yield f"  - {obs_id}" + (f"  with its override of {', '.join(steps)}" if steps else "")
    yield from _rest(difference.removed)
    for obs_id in difference.changed[:_SHOWN]:
        values = difference.values[obs_id]
        # Exposures of single instruments follow where instruments come or go.
        visible = {name: pair for name, pair in values.items() if name != "exposures" or "instruments" not in values}
        yield f"  ~ {obs_id}  " + ", ".join(
            f"{name}: {_value(name, old)} -> {_value(name, new)}" for name, (old, new) in visible.items()
        )
    yield from _rest(difference.changed)


def _rest(ids: tuple[str, ...]) -> Iterator[str]:
    if len(ids) > _SHOWN:
        yield f"    ... and {len(ids) - _SHOWN} more (--json lists all)"


def _value(name: str, value: object) -> str:
    if isinstance(value, float):
        shown = cell(name, value) if name in ("start", "end", "public_date") else f"{value:.10g}"
        return "unknown" if value != value else str(shown)  # noqa: PLR0124 - nan alone differs from itself
    return str(value) or "none"
