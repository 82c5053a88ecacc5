"""``daxa push``: share the data of every release."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from daxa.cli.show import say, show_json, show_text

__all__ = ["push"]

EXAMPLES = ("daxa push", "daxa push --json")


def push(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object: remote, tags, objects, sent.")] = False,
) -> None:
    """Send the data of every release to the archive's storage, then list the storage to prove that they arrived.

    Sends data only; `git push --follow-tags` shares the repository itself.
    """
    import daxa
    from daxa.publish.push import push_releases

    report = push_releases(daxa.open(acting=True).layout)
    if as_json:
        show_json([asdict(report)])
        return
    show_text(
        f"{report.remote} holds the data of {', '.join(report.tags)}: {report.objects} objects, {report.sent} sent now"
    )
    say("next: `git push --follow-tags`, where the repository has an origin")
