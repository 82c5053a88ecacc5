"""``daxa release``: commit and tag what is there."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from daxa.cli.show import say, show_json, show_text

__all__ = ["release"]

EXAMPLES = ("daxa release", 'daxa release -m "first data release"')


def release(
    message: Annotated[str, typer.Option("--message", "-m", metavar="TEXT", help="Title of the release.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object: tag and message.")] = False,
) -> None:
    """Commit and tag what is there, if it is complete, current and allowed to be shared.

    The version follows from what changed: observations removed, a new major version; added, a minor one; processed
    anew, a patch.
    """
    import daxa
    from daxa.publish.release import make_release

    archive = daxa.open(acting=True)
    made = make_release(archive.layout, archive.config, message)
    if as_json:
        show_json([asdict(made)])
        return
    show_text(f"{made.tag}\n\n{made.message.rstrip()}")
    say("\nnext: `daxa push` shares its data")
