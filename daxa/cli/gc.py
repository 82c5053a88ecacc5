"""``daxa gc``: free what no version needs."""

from __future__ import annotations

from typing import Annotated

import typer

from daxa.cli.show import say, show_json, show_text, size_text
from daxa.naming import number_of

__all__ = ["gc"]

EXAMPLES = ("daxa gc", "daxa gc --json", "daxa gc --yes")


def gc(
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Only show what would be removed; the default.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Remove what no version needs.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, including the digests.")] = False,
) -> None:
    """Show, or remove, objects of DVC's cache that no version needs.

    Every tag, every branch and the working tree keep their data, so that `daxa checkout` of any release still works.
    What goes are products of runs that were never released or committed. The store of fetched files and a cache
    outside of the archive are left alone: other archives may use them.

    Nothing is removed without --yes.
    """
    import daxa

    archive = daxa.open(acting=yes and not dry_run)
    acts = yes and not dry_run
    found = archive.gc(remove=acts)
    if as_json:
        show_json([{"removed": acts, **found.as_dict()}])
        return
    show_text(
        f"{number_of(found.kept, 'object')} ({size_text(found.kept_bytes)}) kept for "
        f"{number_of(found.versions, 'commit')} and the working tree"
    )
    what = f"{number_of(len(found.unneeded), 'object')} ({size_text(found.size)}) that no version needs"
    show_text(f"removed {what}" if acts else what)
    if found.unneeded and not acts:
        say("next: `daxa gc --yes` removes them")
