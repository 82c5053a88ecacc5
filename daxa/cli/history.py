"""``daxa history``: what the releases did to one observation."""

from __future__ import annotations

from typing import Annotated

import typer

from daxa.cli.completion import complete_obs_id
from daxa.cli.options import Json
from daxa.cli.show import show_json, show_text

__all__ = ["history"]

EXAMPLES = ("daxa history 0404910601", "daxa history 0404910601 --json")


def history(
    obs_id: Annotated[str, typer.Argument(metavar="OBSID", help="An observation.", autocompletion=complete_obs_id)],
    *,
    as_json: Json = False,
) -> None:
    """Show every release that changed an observation: what was done to it, why, and what it changed.

    The last entry may be the working tree, with what is not released yet. Observations that were dropped are found,
    too. Everything comes from the ledgers that Git keeps: the data need not be here.
    """
    import daxa
    from daxa.publish.comparing.diff_page import observation_lines

    found = daxa.open().history(obs_id)
    if as_json:
        show_json(one.as_dict() for one in found)
        return
    for one in found:
        name = f"{one.release.tag}  {one.release.when[:10]}  {one.release.title}" if one.release else "not released yet"
        show_text("\n".join([name, *(f"  {line}" for line in observation_lines(one.change))]))
