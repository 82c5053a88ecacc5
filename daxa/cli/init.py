"""``daxa init``: choose observations and generate an archive."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daxa.cli.completion import complete_mission
from daxa.cli.conditions import ConditionsCommand, MaxAge, Offline, Refresh, freshness
from daxa.cli.criteria_options import missions_of_files, read_criteria_options, require_conditions
from daxa.cli.options import AddedSteps
from daxa.cli.show import note, say, show_table, show_text
from daxa.errors import CriteriaError
from daxa.naming import number_of
from daxa.selection.headings import cell, headings

if TYPE_CHECKING:
    import pandas as pd

    import daxa
    from daxa.missions import MissionSpec

__all__ = ["COMMAND", "init", "report_selection"]

COMMAND = ConditionsCommand

EXAMPLES = (
    'daxa init a907 --mission xmm --mission chandra --target "Abell 907"',
    "daxa init survey --mission xmm --position 149.59,-11.06 --radius 15arcmin --start 2004-01-01 --end 2010-01-01",
    "daxa init two --mission xmm --mission nustar --obs 0404910601 --obs nustar:30101031002 --instrument xmm:M1,M2",
    "daxa init pair --mission xmm --position 149.59,-11.06 --or --obs 0201901401 --not --end 2001-01-01",
    'daxa init shared --mission chandra --target "Abell 907" --remote s3://bucket/a907 --title "Abell 907 in X-rays"',
    "daxa init cleaned --mission xmm --mission chandra --position 149.59,-11.06 --backend sas --backend clean=ciao",
    'daxa init cited --mission xmm --obs 0404910601 --creator "Carberry, Josiah <0000-0002-1825-0097>"',
)

_COLUMNS = ("obs_id", "target", "ra", "dec", "start", "exposure", "instruments")
_SHOWN_ROWS = 20


def init(
    context: typer.Context,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A new directory; its name is the archive's name.")],
    *,
    missions: Annotated[
        list[str] | None,
        typer.Option(
            "--mission",
            metavar="NAME",
            help="Use this mission; by default those in the --criteria file. May be repeated.",
            autocompletion=complete_mission,
        ),
    ] = None,
    refresh: Refresh = False,
    max_age: MaxAge = None,
    offline: Offline = False,
    remote: Annotated[
        str, typer.Option(metavar="URL", help="Storage for sharing the data (any address that DVC accepts).")
    ] = "",
    title: Annotated[str, typer.Option(metavar="TEXT", help="Title of the archive, for citations.")] = "",
    creators: Annotated[
        list[str] | None,
        typer.Option(
            "--creator",
            metavar="NAME",
            help='Who makes the archive, as "Family, Given <ORCID>"; by default the author in Git. May be repeated.',
        ),
    ] = None,
    steps: AddedSteps = None,
    backends: Annotated[
        list[str] | None,
        typer.Option(
            "--backend",
            metavar="[MISSION:][STEP=]NAME",
            help="Process with mission software instead of Python (sas, esass, ciao, heasoft): all steps that it "
            "does, or one. May be repeated.",
        ),
    ] = None,
) -> None:
    """Choose observations and generate an archive: a Git repository with its first commit.

    An observation must meet all conditions; --or and --not combine sets of conditions.
    """
    from daxa.archive.creators import parse_creator
    from daxa.missions import find_mission

    people = [parse_creator(text) for text in creators or ()]
    require_conditions(context.obj, "init")
    named = missions or missions_of_files(context.obj)
    if not named:
        raise CriteriaError("no-mission", "no mission was chosen", remedy="name one, for instance --mission xmm")
    specs = [find_mission(name) for name in named]
    criteria = read_criteria_options(context.obj, specs)
    fresh = freshness(refresh, max_age, offline)
    import daxa
    from daxa.archive.address import is_local
    from daxa.archive.software import load_software
    from daxa.archive.upstream import read_origin
    from daxa.backends import find_backend
    from daxa.backends.tools.reading import suite_names
    from daxa.selection.selection_file import read_selection

    requested = [daxa.Mission(spec.name, **fresh).filter(criteria[spec.name]) for spec in specs]
    archive = daxa.Archive.create(
        directory,
        requested,
        title=title,
        creators=people,
        remote=remote,
        steps=steps or (),
        backends=backends or (),
    )
    for mission in requested:
        left_out = read_origin(archive.layout.upstream(mission.name)).get("left_out")
        _show_selection(
            mission.spec,
            read_selection(archive.layout.selection(mission.name)),
            left_out if isinstance(left_out, dict) else {},
        )
        report_selection(mission)
    if remote and is_local(remote):
        note(f"{remote} is a directory on this machine, from which others cannot pull; `daxa remote add` adds another")
    for name in sorted({one.backend for one in load_software(archive.layout).values() if one.backend in suite_names()}):
        if not find_backend(name).locate().found:
            note(f"{name} was not found on this machine: `daxa doctor {name}` says what is missing")
    say(f"next:\n  cd {directory}\n  dvc repro            # or `daxa run`: fetch and process\n  daxa release -m ...")


def report_selection(mission: daxa.Mission) -> None:
    """Print remarks on a mission's table and on how it was matched."""
    if mission.note:
        note(f"{mission.name}: {mission.note}")
    if count := mission.select().approximate:
        note(f"{mission.name}: {count} chosen with a circle instead of the true field of view")


def _show_selection(spec: MissionSpec, table: pd.DataFrame, left_out: Mapping[str, int]) -> None:
    show_text(f"{spec.title}: {number_of(len(table), 'observation')}")
    show_table(
        headings(_COLUMNS),
        [list(map(cell, _COLUMNS, row)) for row in table.head(_SHOWN_ROWS)[list(_COLUMNS)].itertuples(index=False)],
    )
    if len(table) > _SHOWN_ROWS:
        show_text(f"  ... and {len(table) - _SHOWN_ROWS} more")
    for reason, rows in left_out.items():
        say(f"  left out: {rows} ({reason})")
    show_text("")
