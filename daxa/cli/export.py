"""``daxa export``: one small file from which a release can be made again."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from daxa.cli.completion import complete_tag
from daxa.cli.show import say, show_json, show_text, size_text

__all__ = ["export"]

EXAMPLES = ("daxa export", "daxa export v1.0.0 -o a907-v1.0.0.bundle")


def export(
    tag: Annotated[
        str,
        typer.Argument(metavar="TAG", help="A release; by default the latest.", autocompletion=complete_tag),
    ] = "",
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="The file; by default <archive>-<tag>.bundle.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object: file, size and digests.")] = False,
) -> None:
    """Write a release into one small file, from which `daxa recreate` makes the archive again.

    The file is a Git bundle (`git clone FILE` reads it, too) with a manifest. It contains no data: those are fetched
    from the archives of the missions and processed again. Equal releases give equal files.
    """
    import daxa

    made = daxa.open().export(tag, output)
    if as_json:
        show_json([asdict(made)])
        return
    show_text(f"{made.path}: {made.tag} ({made.commit[:10]}), {size_text(made.size)}, SHA-256 {made.sha256}")
    say(f"next: `daxa recreate {made.path} DIRECTORY`, on any machine")
