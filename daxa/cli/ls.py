"""``daxa ls``: products as a table."""

from __future__ import annotations

from typing import Annotated

import typer

from daxa.cli.listing import list_products
from daxa.cli.options import Bands, Instruments, Kinds, Missions, ObsIds, Steps

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
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON per file.")] = False,
) -> None:
    """List the products of the archive, one line per file.

    A file that the ledger names and that is not on this machine is marked "absent".
    """
    list_products(
        mission=mission, step=step, obs_id=obs_id, kind=kind, instrument=instrument, band=band, as_json=as_json
    )
