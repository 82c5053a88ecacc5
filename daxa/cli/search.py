"""``daxa search``: list observations, without an archive."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daxa.cli.conditions import ConditionsCommand, CriteriaOptions, MaxAge, Offline, Refresh, freshness
from daxa.cli.criteria_options import missions_of_files, read_criteria_options, require_conditions
from daxa.cli.options import KnownMissions
from daxa.cli.show import note, progress_of_missions, say, show_csv, show_json, show_table
from daxa.errors import CriteriaError, ServiceError
from daxa.selection.headings import cell, headings

if TYPE_CHECKING:
    import pandas as pd

    import daxa
    from daxa.query import SearchResult
    from daxa.query.tables.snapshot import Freshness, Snapshot

__all__ = ["COMMAND", "report_tables", "search"]

COMMAND = ConditionsCommand

EXAMPLES = (
    'daxa search --mission xmm --target "Abell 907"',
    'daxa search --mission xmm --mission nustar --target "Abell 907" --radius 15arcmin --pairs --csv',
    "daxa search --mission xmm --box 149,150,-12,-10 --min-exposure 5ks --start 2010-01-01 --json",
    'daxa search --mission xmm --target "Abell 907" --end 2018-08-01 --or --obs 0900000201 --not --box 10,20,-5,5',
    "daxa search --mission xmm --position 149.59,-11.06 --radius 1deg --offline --votable",
)


def search(
    context: typer.Context,
    *,
    missions: KnownMissions = None,
    refresh: Refresh = False,
    max_age: MaxAge = None,
    offline: Offline = False,
    snapshot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Import and search this table, written by `daxa select --snapshot`."),
    ] = None,
    pairs: Annotated[bool, typer.Option("--pairs", help="Print one line per target and observation.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON per row.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values.")] = False,
    as_votable: Annotated[bool, typer.Option("--votable", help="Print a VOTable with units, for TOPCAT.")] = False,
) -> None:
    """Search the observation tables of one, several or all missions. This needs no archive and fetches no data.

    All missions that can be listed are searched unless some are named. An observation must meet all conditions; --or
    and --not combine sets of conditions. With --pairs, off-axis angles are measured from the pointing.
    """
    if as_json + as_csv + as_votable > 1:
        raise CriteriaError(
            "output", "only one output format can be chosen", remedy="choose one of --json, --csv and --votable"
        )
    fresh, table = freshness(refresh, max_age, offline), None
    if snapshot is not None:
        table = _import(snapshot, missions)
        missions, fresh = [table.mission], {}
        if not context.obj:
            return
    from daxa.query.many_missions import join_failures, query_missions

    chosen = _missions(context.obj, missions, table, fresh)
    with progress_of_missions([mission.name for mission in chosen]) as observe:
        found = query_missions(chosen, pairs=pairs, observe=observe)
    if not len(found.table):
        raise join_failures(found.failures)
    if as_votable:
        from daxa.selection.table_formats import votable_bytes

        sys.stdout.buffer.write(votable_bytes(found.table, "Observations found"))
    elif as_csv:
        show_csv(found.table)
    elif as_json:
        records = found.table.astype(object).to_dict("records")
        show_json({str(name): value for name, value in record.items()} for record in records)
    else:
        _show(found.table)
        for failure in found.failures.values():
            if isinstance(failure, CriteriaError):
                say(failure.message)
    report_tables(found)
    # What was found is shown; an incomplete answer is still an error.
    if any(isinstance(failure, ServiceError) for failure in found.failures.values()):
        raise join_failures(found.failures)


def report_tables(found: SearchResult) -> None:
    """Print remarks on the tables that were searched, beside the results."""
    for name, text in found.notes.items():
        note(f"{name}: {text}")
    for name, count in found.approximate.items():
        note(
            f"{name}: {count} {'row is' if count == 1 else 'rows are'} approximate: "
            "a circle was used instead of the true field of view"
        )


def _missions(
    given: CriteriaOptions, names: list[str] | None, table: Snapshot | None, fresh: Freshness
) -> list[daxa.Mission]:
    import daxa
    from daxa.missions import find_mission
    from daxa.query.many_missions import searchable

    require_conditions(given, "search")
    named = names or missions_of_files(given)
    specs = [find_mission(name) for name in dict.fromkeys(named or searchable())]
    criteria = read_criteria_options(given, specs, all_of_them=bool(named))
    return [daxa.Mission(name, snapshot=table, **fresh).filter(clauses) for name, clauses in criteria.items()]


def _import(path: Path, missions: list[str] | None) -> Snapshot:
    """Put the table into the user's cache."""
    from daxa.missions import find_mission
    from daxa.query.tables.snapshot import import_snapshot
    from daxa.settings import load_settings

    snapshot = import_snapshot(path, load_settings())
    others = {find_mission(name).name for name in missions or ()} - {snapshot.mission}
    if others:
        raise CriteriaError(
            "mission", f"{path} holds the table of {snapshot.mission}", remedy=f"leave out --mission {min(others)}"
        )
    note(f"imported the table of {snapshot.mission} of {snapshot.origin.time}: {snapshot.origin.rows} observations")
    return snapshot


def _show(found: pd.DataFrame) -> None:
    hidden = {"public_date", "end", "exposures", "roll"}
    columns = [name for name in found.columns if name not in hidden]
    show_table(headings(columns), [list(map(cell, columns, row)) for row in found[columns].itertuples(index=False)])
