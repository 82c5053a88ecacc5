"""``daxa ls``: products as a table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated

import typer

from daxa.cli.completion import complete_kind, complete_mission, complete_obs_id
from daxa.cli.show import say, show_json, show_table, size_text

__all__ = ["ls"]

EXAMPLES = ("daxa ls --kind image", "daxa ls --mission xmm --obs 0404910601", "daxa ls --kind finalevents --json")


def ls(
    obs_id: Annotated[
        str | None,
        typer.Option("--obs", metavar="OBSID", help="Only this observation.", autocompletion=complete_obs_id),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help="Only this kind: fetched, events, finalevents, gti, image, expmap, ratemap, lightcurve, quicklook, "
            "auxiliary.",
            autocompletion=complete_kind,
        ),
    ] = None,
    mission: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this mission.", autocompletion=complete_mission)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON per file.")] = False,
) -> None:
    """List the products of the archive, one line per file."""
    import daxa

    table = daxa.open().products(mission, obs_id=obs_id, kind=kind)
    records = table.astype(object).to_dict("records")
    if as_json:
        show_json(records)
        return
    if not records:
        say("no such products: `daxa status` says what is done")
        return
    show_table(
        ["mission", "ObsID", "instrument", "exposure", "keV", "kind", "size", "path"],
        [
            [
                *(record[name] for name in ("mission", "obs_id", "instrument", "exposure")),
                _band(record),
                record["kind"],
                size_text(record["size"]),
                record["path"],
            ]
            for record in records
        ],
    )


def _band(record: Mapping[str, object]) -> str:
    lo, hi = record["lo_kev"], record["hi_kev"]
    return f"{lo}-{hi}" if isinstance(lo, float) and math.isfinite(lo) else ""
