"""``daxa release``: commit and tag the present state."""

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
        typer.Option("--include", metavar="PATH", help="Also commit this changed file, which daxa did not write."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Release even if no selection, parameter, software or product has changed.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object: tag and message.")] = False,
) -> None:
    """Commit and tag the present state, if it is complete, up to date and may be shared.

    The commit contains what the pipeline wrote and the parameters it ran with; the release is refused if other files
    have changed, unless they are named with --include. Every object in DVC's cache is verified by its digest.

    The version number follows from the changes: major if observations were removed, minor if some were added, patch
    if some were only reprocessed.
    """
    import daxa
    from daxa.publish.releases.release import make_release

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
    say("\nnext: `daxa push` shares the data")
