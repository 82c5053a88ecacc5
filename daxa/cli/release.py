"""``daxa release``: commit and tag what is there."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from daxa.cli.show import counted, progress, say, show_json, show_text

__all__ = ["release"]

EXAMPLES = (
    "daxa release",
    'daxa release -m "first data release"',
    'daxa release -m "other authors" --include daxa.toml --force',
)


def release(
    message: Annotated[str, typer.Option("--message", "-m", metavar="TEXT", help="Title of the release.")] = "",
    include: Annotated[
        list[str] | None,
        typer.Option("--include", metavar="PATH", help="Take along a changed file that the release does not write."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Even when no selection, parameter, software or product has changed.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object: tag and message.")] = False,
) -> None:
    """Commit and tag what is there, if it is complete, current and allowed to be shared.

    The commit takes what the pipeline wrote, and the parameters that it ran with; other changed files are refused
    unless they are named with --include. Every object in DVC's cache is proved by its digest.

    The version follows from what changed: observations removed, a new major version; added, a minor one; processed
    anew, a patch.
    """
    import daxa
    from daxa.publish.release import make_release

    archive = daxa.open(acting=True)
    with progress("read", "objects") as observe:
        made = make_release(
            archive.layout,
            archive.config,
            message,
            include=include or (),
            force=force,
            observe=counted(observe),
        )
    if as_json:
        show_json([asdict(made)])
        return
    show_text(f"{made.tag}\n\n{made.message.rstrip()}")
    say("\nnext: `daxa push` shares its data")
