"""``daxa log``: the releases, and what each of them changed."""

from __future__ import annotations

from typing import Annotated

import typer

from daxa.cli.options import Json
from daxa.cli.show import say, show_json, show_text

__all__ = ["log"]

EXAMPLES = ("daxa log", "daxa log --latest 1", "daxa log --json")


def log(
    latest: Annotated[
        int, typer.Option("--latest", "-n", metavar="N", min=0, help="Only the N latest releases; 0 for all.")
    ] = 0,
    *,
    as_json: Json = False,
) -> None:
    """List the releases, the newest first: when and by whom each was made, what it holds and what it changed.

    This is the message of its tag; CHANGES.md in the archive has the same. `daxa diff A B` compares any two versions,
    and `daxa history OBSID` lists the releases that changed one observation.
    """
    import daxa

    found = daxa.open().log()[::-1][: latest or None]
    if as_json:
        show_json(one.as_dict() for one in found)
        return
    if not found:
        say("no release yet\nnext: `daxa release`")
    for at, one in enumerate(found):
        lines = [f"    {line}".rstrip() for line in one.message.split("\n")]
        who = f"  {one.by}" if one.by else ""
        show_text("\n".join([*([""] if at else []), f"{one.tag}  {one.when[:10]}{who}", *lines]))
