"""``daxa doctor``: what is missing or unusual on this machine, as one report."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from daxa.cli.options import Json
from daxa.cli.show import say, show_json, show_table, show_text
from daxa.errors import CriteriaError
from daxa.naming import did_you_mean, number_of

__all__ = ["doctor"]

EXAMPLES = (
    "daxa doctor",
    "daxa doctor --network",
    "daxa doctor --fix",
    "daxa doctor disk backends",
    "daxa doctor sas",
    "daxa doctor --json",
)


def doctor(
    parts: Annotated[
        list[str] | None, typer.Argument(metavar="PART", help="Only these parts or backends, such as git or disk.")
    ] = None,
    network: Annotated[bool, typer.Option("--network", help="Also ask the servers of the missions' archives.")] = False,
    fix: Annotated[
        bool,
        typer.Option("--fix", help="Let `git diff` show tables as rows: a setting in .git/config."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Check what daxa depends on: Git, DVC, Python packages, disks, backends, remotes, services, and this archive.

    `sas`, `esass`, `ciao`, `heasoft` and `cluster` are examined only if you name them, since they run programs or jobs.

    It works inside and outside of an archive, and changes nothing without --fix. The report can be pasted into a
    message: it holds no credentials, and ~ in place of your home directory. The exit code is 1 if something keeps
    daxa from working.
    """
    from daxa.backends import backend_names
    from daxa.doctor import ASKED, PARTS, STATES, examine

    if fix:
        import daxa
        from daxa.archive.table_diff import set_table_diff

        set_table_diff(daxa.open(acting=True).layout)
    own = {*PARTS, *ASKED}
    requested, known = set(parts or ()), tuple(dict.fromkeys((*PARTS, *ASKED, *backend_names())))
    for part in requested.difference(known):
        raise CriteriaError(
            "part",
            f"there is no part {part[:100]!r}{did_you_mean(part, known)}",
            remedy=f"choose from {', '.join(known)}",
        )
    whole = requested & own | ({"backends"} if requested - own else set())
    found = [
        one
        for one in examine(Path.cwd(), network=network or "services" in whole, parts=whole)
        if not requested or one.part in requested or one.name in requested
    ]
    counts = Counter(finding.state for finding in found)
    if as_json:
        show_json(finding.as_dict() for finding in found)
    else:
        show_table(["part", "what", "state", "found"], [[one.part, one.name, one.state, one.found] for one in found])
        for one in found:
            if one.remedy:
                show_text(f"\n{one.state}: {one.part}, {one.name}: {one.found}\n  -> {one.remedy}")
        worse = [(state, number) for state in STATES if state != "ok" and (number := counts[state])]
        summary = ", ".join(number_of(number, state) for state, number in reversed(worse))
        say(f"\n{summary or 'everything is as it should be'}")
    if counts["error"]:
        raise typer.Exit(1)
