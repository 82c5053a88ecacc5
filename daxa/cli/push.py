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
        str, typer.Option("--remote", "-r", metavar="NAME", help="Use this DVC remote instead of the default one.")
    ] = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object: remote, tags, objects, sent, replaced, repaired.")
    ] = False,
) -> None:
    """Send the data of every release to the archive's remote storage, and verify that they arrived.

    First, DVC's cache is read: damaged objects are repaired from the work tree or the remote, or reported. Then the
    remote is listed; if it is a directory, every object is read, lost ones are sent again and wrong ones replaced.
    On other remotes (ssh, S3, HTTP) DVC reports sizes to three digits only and overwrites nothing: wrong objects are
    reported.

    Only data are sent; `git push --follow-tags` shares the repository itself.
    """
    import daxa
    from daxa.publish.remote import Remote
    from daxa.publish.sharing.push import push_releases

    with progress("read", "objects") as observe:
        report = push_releases(daxa.open(acting=True).layout, remote=remote, observe=counted(observe))
    if as_json:
        show_json([asdict(report)])
        return
    for path in report.repaired:
        note(f"damaged in DVC's cache, repaired: {path}")
    for path in report.replaced:
        note(f"wrong on {report.remote}, replaced: {path}")
    if Remote("", report.remote).directory is not None:
        note(f"{report.remote} is a directory on this machine, from which others cannot pull")
    else:
        note(
            f"objects on {report.remote} were compared only by size, which DVC rounds; "
            "`daxa verify --remote --deep` reads them"
        )
    show_text(
        f"{report.remote} holds the data of {', '.join(report.tags)}: {report.objects} objects, {report.sent} sent now"
    )
    say("next: `git push --follow-tags`, if the repository has a Git remote")
