"""``daxa push``: share the data of every release."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from daxa.cli.show import counted, note, progress, say, show_json, show_text

__all__ = ["push"]

EXAMPLES = ("daxa push", "daxa push --remote backup", "daxa push --json")


def push(
    remote: Annotated[
        str, typer.Option("--remote", "-r", metavar="NAME", help="Another remote of DVC than the default one.")
    ] = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object: remote, tags, objects, sent, replaced, mended.")
    ] = False,
) -> None:
    """Send the data of every release to the archive's storage, and prove that it holds them.

    DVC's cache is read before: what is damaged there is mended from the work tree or the storage, or named. Then the
    storage is listed, and read where it is a directory; what it lost is sent again, and what is wrong in a directory is
    replaced. Elsewhere (ssh, S3, HTTP) DVC tells sizes to three digits, and replaces nothing: a wrong object is named.

    Sends data only; `git push --follow-tags` shares the repository itself.
    """
    import daxa
    from daxa.publish.push import push_releases
    from daxa.publish.remote import Remote

    with progress("read", "objects") as observe:
        report = push_releases(daxa.open(acting=True).layout, remote=remote, observe=counted(observe))
    if as_json:
        show_json([asdict(report)])
        return
    for path in report.mended:
        note(f"damaged in DVC's cache, mended: {path}")
    for path in report.replaced:
        note(f"wrong on {report.remote}, replaced: {path}")
    if Remote("", report.remote).directory is not None:
        note(f"{report.remote} is a directory on this machine: others cannot pull from it")
    else:
        note(
            f"objects on {report.remote} were compared by their sizes alone, as DVC rounds them; "
            "`daxa verify --remote --deep` reads them"
        )
    show_text(
        f"{report.remote} holds the data of {', '.join(report.tags)}: {report.objects} objects, {report.sent} sent now"
    )
    say("next: `git push --follow-tags`, where the repository has an origin")
