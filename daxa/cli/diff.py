"""``daxa diff``: what differs between two versions of an archive."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from daxa.cli.completion import complete_tag
from daxa.cli.show import note, show_json, show_text
from daxa.errors import StorageError, VerifyError

__all__ = ["diff"]

EXAMPLES = (
    "daxa diff",
    "daxa diff v1.0.0",
    "daxa diff v1.0.0 v1.1.0",
    "daxa diff v1.0.0 v1.1.0 --html ../changes.html",
    "daxa diff v1.0.0 v1.1.0 --json",
)

_SHOWN = 50


def diff(
    before: Annotated[
        str,
        typer.Argument(metavar="A", help="A tag or commit; by default the last release.", autocompletion=complete_tag),
    ] = "",
    now: Annotated[
        str,
        typer.Argument(metavar="B", help="Another one; by default the working tree.", autocompletion=complete_tag),
    ] = "",
    *,
    files: Annotated[
        int,
        typer.Option(
            "--files",
            metavar="N",
            min=0,
            help="Compare the content of at most N differing files; 0 shows only what the ledgers say.",
        ),
    ] = 200,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Also write one self-contained page.")
    ] = None,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit with code 7 if any observation differs, as `daxa compare` does.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON per observation.")] = False,
) -> None:
    """Show which observations were added, removed or reprocessed, why, and what it changed.

    The cause is new parameters (from what to what), files that the mission's archive has replaced, other software or
    calibration. The effect is what was measured (clean exposure, events, sources) and which files differ. How their
    content differs is shown if both contents are on this machine: in the working tree, in DVC's cache, or in the store
    of fetched files.

    Reads nothing but Git and this machine's files, and writes nothing but the page that is asked for.
    """
    import daxa
    from daxa.publish.comparing.diff_page import diff_lines, diff_page

    found = daxa.open().diff(before, now, files=files)
    if html is not None:
        try:
            html.write_text(diff_page(found), encoding="utf-8")
        except OSError as error:
            raise StorageError(
                "unwritable", f"{html} cannot be written: {error.strerror}", remedy="name another file"
            ) from None
        note(f"written: {html}")
    if as_json:
        show_json(one.as_dict() for one in found.observations)
    else:
        show_text("\n".join(diff_lines(found, _SHOWN)))
    if exit_code and found:
        raise typer.Exit(VerifyError.exit_code)
