"""``daxa search``: which observations are there, without an archive."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daxa.cli.completion import complete_known_mission
from daxa.cli.show import say, seconds_text, show_json, show_table
from daxa.errors import CriteriaError, DaxaError, ServiceError

if TYPE_CHECKING:
    import pandas as pd

    import daxa

__all__ = ["search"]

EXAMPLES = (
    'daxa search --mission xmm --target "Abell 907"',
    "daxa search --sample clusters.csv --match overlaps --pairs --csv",
    "daxa search --mission chandra --region field.reg --min-exposure 20ks --start 2010-01-01 --json",
)

_AT_ONCE = 4


def search(
    *,
    missions: Annotated[
        list[str] | None,
        typer.Option(
            "--mission",
            metavar="NAME",
            help="By default all that can be listed.",
            autocompletion=complete_known_mission,
        ),
    ] = None,
    targets: Annotated[list[str] | None, typer.Option("--target", metavar="NAME", help="May be repeated.")] = None,
    positions: Annotated[
        list[str] | None, typer.Option("--position", metavar="RA,DEC", help="ICRS. May be repeated.")
    ] = None,
    radius: Annotated[str | None, typer.Option(metavar="SIZE", help="Such as 15arcmin.")] = None,
    sample: Annotated[Path | None, typer.Option(metavar="FILE", help="Objects: ra, dec, radius, start, end.")] = None,
    region: Annotated[Path | None, typer.Option(metavar="FILE", help="DS9 region in which the pointing lies.")] = None,
    moc: Annotated[Path | None, typer.Option(metavar="FILE", help="Coverage map in which the pointing lies.")] = None,
    match: Annotated[str | None, typer.Option(metavar="HOW", help="covers, overlaps or centre.")] = None,
    margin: Annotated[float | None, typer.Option(metavar="FACTOR", help="Widens the field of view.")] = None,
    start: Annotated[str | None, typer.Option(metavar="DATE", help="Observed after this date (or MJD).")] = None,
    end: Annotated[str | None, typer.Option(metavar="DATE", help="Observed before this date (or MJD).")] = None,
    min_exposure: Annotated[str | None, typer.Option(metavar="TIME", help="Such as '20 ks'.")] = None,
    access: Annotated[str | None, typer.Option(metavar="KIND", help="public (default), proprietary or any.")] = None,
    pairs: Annotated[bool, typer.Option("--pairs", help="One line per target and observation.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON per row.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Comma-separated values.")] = False,
) -> None:
    """Search the observation tables of one, several or all missions; needs no archive and fetches no data."""
    import pandas as pd

    import daxa

    asked = {
        "position": positions or None,
        "target": targets or None,
        "radius": radius,
        "sample": sample,
        "region": region,
        "moc": moc,
        "match": match,
        "margin": margin,
        "time": (start, end) if start or end else None,
        "min_exposure": min_exposure,
        "access": access,
    }
    if all(value is None for value in asked.values()):
        raise CriteriaError(
            "nothing-asked",
            "nothing says which observations are wanted",
            remedy="give --target, --position or --sample; `daxa search --help` shows examples",
        )
    chosen = [daxa.Mission(name).filter(**asked) for name in missions or _searchable()]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        answers = list(pool.map(lambda mission: _answer(mission, pairs=pairs), chosen))
    refusals = [answer for answer in answers if isinstance(answer, DaxaError)]
    if len(refusals) == len(answers):
        raise refusals[0]
    found = pd.concat([answer for answer in answers if not isinstance(answer, DaxaError)], ignore_index=True)
    if as_csv:
        found.to_csv(sys.stdout, index=False, lineterminator="\n")
    elif as_json:
        show_json(found.astype(object).to_dict("records"))
    else:
        _show(found)
        for refusal in refusals:
            if isinstance(refusal, CriteriaError):
                say(refusal.message)
    # What could be had is shown; that the answer is not whole is an error all the same.
    for refusal in refusals:
        if isinstance(refusal, ServiceError):
            raise refusal


def _searchable() -> list[str]:
    """Missions whose observations can be listed, without those that see nearly everything."""
    from daxa.missions import find_mission, mission_names

    specs = [find_mission(name) for name in mission_names()]
    return [spec.name for spec in specs if spec.listed and spec.default_instruments]


def _answer(mission: daxa.Mission, *, pairs: bool) -> pd.DataFrame | CriteriaError | ServiceError:
    """The rows, or why there are none: other missions may have some."""
    try:
        table = mission.pairs if pairs else mission.observations
    except ServiceError as error:
        return error
    except CriteriaError as error:
        if error.name != "empty":
            raise
        return error
    table.insert(0, "mission", mission.name)
    return table


def _show(found: pd.DataFrame) -> None:
    hidden = {"public_date", "end"}
    columns = [name for name in found.columns if name not in hidden]
    show_table(columns, [list(map(_cell, columns, row)) for row in found[columns].itertuples(index=False)])


def _cell(name: str, value: object) -> object:
    if name == "exposure":
        return seconds_text(value)  # type: ignore[arg-type]
    form = {"ra": ".4f", "dec": "+.4f", "target_ra": ".4f", "target_dec": "+.4f", "off_axis": ".2f", "start": ".3f"}
    return format(value, form[name]) if name in form else value
