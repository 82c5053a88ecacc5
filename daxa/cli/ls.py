"""``daxa ls``: products as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from daxa.cli.options import Bands, Instruments, Kinds, Missions, ObsIds, Steps
from daxa.cli.show import say, show_json, show_table, size_text
from daxa.selection.headings import band_cell

__all__ = ["ls"]

EXAMPLES = (
    "daxa ls --kind image",
    "daxa ls --mission xmm --obs 0404910601",
    "daxa ls --instrument PN --band 0.5-2",
    "daxa ls --kind finalevents --json",
)


def ls(  # noqa: PLR0917 - options, which typer passes by name
    mission: Missions = None,
    step: Steps = None,
    obs_id: ObsIds = None,
    kind: Kinds = None,
    instrument: Instruments = None,
    band: Bands = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON per file.")] = False,
) -> None:
    """List the products of the archive, one line per file.

    Files that the ledger lists but that are not on this machine are marked "absent".
    """
    import daxa
    from daxa.archive.products import find_products

    archive = daxa.open()
    records: Sequence[Mapping[str, Any]] = find_products(
        archive.layout,
        archive.config,
        mission,
        step=step,
        obs_id=obs_id,
        kind=kind,
        instrument=instrument,
        band=band,
    )
    if as_json:
        show_json(records)
        return
    if not records:
        say("no such products: `daxa status` shows what is done")
        return
    show_table(
        ["mission", "ObsID", "instrument", "exposure ID", "band (keV)", "kind", "size", "here", "path"],
        [
            [
                *(record[name] for name in ("mission", "obs_id", "instrument")),
                record["exposure"] or "-",
                band_cell(record["lo_kev"], record["hi_kev"]),
                record["kind"],
                size_text(record["size"]),
                "yes" if record["present"] else "absent",
                record["relative"],
            ]
            for record in records
        ],
    )
    if absent := sum(not record["present"] for record in records):
        say(
            f"\n{absent} of {len(records)} files are absent: `daxa pull` gets them if the remote has them, "
            "otherwise `daxa run` makes them again"
        )
