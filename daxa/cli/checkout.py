"""``daxa checkout``: go to another version, with its data."""

from __future__ import annotations

from typing import Annotated

import typer

from daxa.cli.completion import complete_tag
from daxa.cli.show import counted, note, progress, say, show_json, show_text
from daxa.naming import number_of

__all__ = ["checkout"]

EXAMPLES = ("daxa checkout v1.0.0", "daxa checkout main", "daxa checkout -")

_SHOWN = 20


def checkout(
    version: Annotated[
        str,
        typer.Argument(
            metavar="TAG",
            help="A release or a branch; - goes back to where you were before.",
            autocompletion=complete_tag,
        ),
    ],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, including what is missing.")] = False,
) -> None:
    """Go to a release or a branch: `git checkout`, then its data, as far as they are on this machine.

    Products come from DVC's cache and fetched files from the store; nothing is downloaded. The version is checked
    before any of its files takes its place, and the command refuses if a change is not committed or a product is kept
    nowhere else. After an interruption, the same command completes.

    Exits with code 11 if products are not on this machine: `daxa pull` gets them.
    """
    import daxa
    from daxa.publish.sharing.checkout import absent_error

    with progress("checkout", "objects") as observe:
        report = daxa.open(acting=True).checkout(version, observe=counted(observe))
    if as_json:
        show_json([report.as_dict()])
    else:
        for path in report.missing[:_SHOWN]:
            show_text(f"missing: {path}")
        if len(report.missing) > _SHOWN:
            show_text(f"... and {len(report.missing) - _SHOWN} more; --json lists all")
        if report.not_fetched:
            note(f"not here: {number_of(report.not_fetched, 'fetched file')}; a run fetches again what it needs")
        show_text(f"{report.version} is checked out: {report.files} products and logs, {report.fetched} fetched files")
    if not report.ok:
        raise absent_error(report)
    if not as_json:
        say("next: `daxa checkout -` goes back")
