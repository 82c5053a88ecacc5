"""``daxa certificate``: people's certificates of a release."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from daxa.cli.show import say, show_json, show_table, show_text
from daxa.errors import CriteriaError
from daxa.naming import number_of

if TYPE_CHECKING:
    from daxa.archive.layout import Layout
    from daxa.publish.remaking.certificates import Kept

__all__ = ["certificate"]

EXAMPLES = (
    "daxa certificate list",
    "daxa certificate list v1.0.0 --json",
    "daxa certificate add ../a907.certificate.json",
    "daxa certificate show v1.0.0 4f1d2c",
)


def certificate(
    action: Annotated[
        Literal["add", "list", "show"], typer.Argument(metavar="ACTION", help="add, list or show.")
    ] = "list",
    what: Annotated[
        list[str] | None,
        typer.Argument(metavar="WHAT", help="add: FILE; list: [TAG]; show: TAG and the first digits of its digest."),
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per certificate.")] = False,
) -> None:
    """Keep certificates of `daxa recreate` with the release that they certify, list them, or show one.

    A certificate is checked whenever it is read: it must name the commit and the tag that are here, and its verdicts
    must follow from its digests and those of the release. It carries no signature. The tag never moves: certificates
    are on refs/daxa/certificates/TAG. `git push origin 'refs/daxa/certificates/*'` shares them, and
    `git fetch origin 'refs/daxa/certificates/*:refs/daxa/certificates/*'` gets those of others.
    """
    import daxa
    from daxa.publish.remaking.certificates import add_certificate, find_certificate

    given = what or []
    numbers = {"add": (1,), "list": (0, 1), "show": (2,)}
    if len(given) not in numbers[action]:
        raise CriteriaError(
            "certificate",
            f"`daxa certificate {action}` does not take {number_of(len(given), 'argument')}",
            remedy=f"such as `{next(one for one in EXAMPLES if f' {action}' in one)}`",
        )
    layout = daxa.open(acting=action == "add").layout
    if action == "add":
        path = Path(given[0])
        if not path.exists():
            raise CriteriaError("file", f"there is no file {path}", remedy="give the file that `daxa recreate` wrote")
        tag, kept = add_certificate(layout, path)
        _show(tag, [kept], as_json=as_json)
        say("share it: git push origin 'refs/daxa/certificates/*'")
    elif action == "show":
        _show_whole(find_certificate(layout, given[0], given[1]), as_json=as_json)
    else:
        _list(layout, given[0] if given else "", as_json=as_json)


def _list(layout: Layout, tag: str, *, as_json: bool) -> None:
    from daxa.archive import git
    from daxa.publish.remaking.certificates import list_certificates
    from daxa.publish.version import release_tags

    for one in [tag] if tag else release_tags(git.tags(layout.root)):
        _show(one, list_certificates(layout, one), as_json=as_json)


def _show(tag: str, kept: list[Kept], *, as_json: bool) -> None:
    if as_json:
        show_json([_record(tag, one) for one in kept])
        return
    same = [one for one in kept if one.statement and one.statement["predicate"]["verdict"].startswith("identical")]
    show_text(f"{tag}: {number_of(len(kept), 'certificate')}, recreated identically {number_of(len(same), 'time')}")
    if kept:
        rows = [
            [record[name] for name in ("digest", "when", "by", "observations", "verdict")]
            for record in (_record(tag, one) for one in kept)
        ]
        show_table(["digest", "when", "by", "observations", "verdict"], [[row[0][:12], *row[1:]] for row in rows])


def _record(tag: str, one: Kept) -> dict[str, str]:
    if one.statement is None:
        return {"tag": tag, "digest": one.digest, "when": "", "by": "", "observations": "", "verdict": one.problem}
    predicate = one.statement["predicate"]
    scope = predicate["scope"]
    return {
        "tag": tag,
        "digest": one.digest,
        "when": predicate["when"],
        "by": predicate["by"],
        "observations": f"{scope['observations']} of {scope['of']}",
        "verdict": predicate["verdict"],
    }


def _show_whole(one: Kept, *, as_json: bool) -> None:
    from daxa.publish.remaking.certificate_page import certificate_text

    if one.statement is None:
        show_text(f"{one.digest[:12]}: {one.problem}")
    elif as_json:
        show_json([dict(one.statement)])
    else:
        show_text(certificate_text(one.statement).rstrip("\n"))
