"""``daxa restore``: bring an archive back from a deposit."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from daxa.cli.show import counted, progress, say, show_json, show_text

__all__ = ["restore"]

EXAMPLES = (
    "daxa restore a907-v1.0.0 a907",
    "daxa restore a907-v1.0.0.tar a907",
    "daxa restore a907-v1.0.0.tar a907 --expect swh:1:rel:0a1b2c3d4e5f60718293a4b5c6d7e8f901234567",
)


def restore(
    deposit: Annotated[
        Path, typer.Argument(metavar="DEPOSIT", help="What `daxa publish` wrote: directory or tar file.")
    ],
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A new directory.")],
    *,
    expect: Annotated[
        str, typer.Option("--expect", metavar="SWHID", help="Refuse any other release than this (see `daxa cite`).")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object: root, tag, commit, swhids.")] = False,
) -> None:
    """Bring an archive back from a deposit, with all data of its release; no account and no network is needed.

    A deposit may come from a stranger. Every file is compared with the deposit's list, every object with its digest,
    and the archive must be one that runs nothing but what daxa writes; then every product is compared with the ledgers.
    DIR appears only when all this is done. With --expect, the identifier that a paper gives is compared as well.
    """
    from daxa.publish.deposits.restore import restore_deposit

    with progress("restore", "objects") as observe:
        made = restore_deposit(deposit, directory, expect=expect, observe=counted(observe))
    if as_json:
        show_json([asdict(made)])
        return
    show_text(f"{made.name} {made.tag} ({made.commit[:10]}) is in {made.root}: {made.files} files, all identical")
    show_text("\n".join(made.swhids.values()))
    say(f"next: cd {directory}; `daxa status` shows what is there")
