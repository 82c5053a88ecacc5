"""``daxa verify``: compare every file with what a release says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from daxa.cli.completion import complete_tag
from daxa.cli.show import counted, progress, say, show_json, show_table, show_text, size_text
from daxa.errors import CriteriaError, VerifyError
from daxa.naming import number_of

if TYPE_CHECKING:
    from daxa.publish.verify import Problem, Verification

__all__ = ["verify"]

EXAMPLES = (
    "daxa verify",
    "daxa verify v1.0.0",
    "daxa verify v1.0.0 --fetched --json",
    "daxa verify --remote --sample 1/20",
    "daxa verify v1.0.0 --remote --deep --sample 5%",
)

_SHOWN_PROBLEMS = 50


def verify(
    tag: Annotated[
        str, typer.Argument(metavar="[TAG]", help="A release; the last commit by default.", autocompletion=complete_tag)
    ] = "",
    *,
    fetched: Annotated[
        bool, typer.Option("--fetched", help="Fetched files must be here too, though they can be fetched again.")
    ] = False,
    remote: Annotated[
        bool, typer.Option("--remote", help="Prove what the storage holds of it, in place of what is on disk.")
    ] = False,
    remote_name: Annotated[
        str, typer.Option("--remote-name", metavar="NAME", help="Another remote of DVC than the default one.")
    ] = "",
    sample: Annotated[
        str,
        typer.Option("--sample", metavar="PART", help="With --remote: 1/20 is the first of 20 parts, 5% a random one."),
    ] = "",
    deep: Annotated[
        bool, typer.Option("--deep", help="With --remote: read every object, not only those of a directory.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, problems included.")] = False,
) -> None:
    """Compare everything that a release says with what is on disk, byte for byte.

    Every file that Git tracks, every product, the pipeline, and what else could act. Logs are compared with a release
    alone, since every run writes them anew. With --remote, what the storage holds of the release: by digest where
    reading is cheap (a directory) or with --deep, else by size.

    Ends with exit code 7 when anything differs.
    """
    import daxa

    if not remote and (sample or deep or remote_name):
        raise CriteriaError(
            "remote", "--sample, --deep and --remote-name are about a remote", remedy="add --remote, or leave them out"
        )
    if remote:
        _verify_remote(tag, remote_name, sample, deep=deep, as_json=as_json)
        return
    with progress("verify", "stages") as observe:
        found = daxa.open().verify(tag, fetched=fetched, observe=counted(observe))
    if as_json:
        show_json([{"ok": found.ok, **found.as_dict()}])
    else:
        _show(found)
    if not found.ok:
        raise _error(
            found.problems, _name(found.revision), "`daxa pull` restores data, `git checkout` the files of Git"
        )


def _verify_remote(tag: str, name: str, sample: str, *, deep: bool, as_json: bool) -> None:
    import daxa
    from daxa.publish.remotecheck import verify_remote

    with progress("read", "objects") as observe:
        found = verify_remote(daxa.open().layout, tag, remote=name, sample=sample, deep=deep, observe=counted(observe))
    if as_json:
        show_json([{"ok": found.ok, **found.as_dict()}])
    else:
        _show_problems(found.problems)
        part = f", {found.sample} of them looked at" if found.sample else ""
        show_text(
            f"{_name(found.revision)} ({found.commit[:10]}) on {found.remote}: "
            f"{number_of(found.objects, 'object')}{part}; "
            f"{found.by_digest} compared by digest, {found.by_size} by size, {found.by_presence} by presence alone"
        )
    if not found.ok:
        raise _error(
            found.problems, f"{_name(found.revision)} on {found.remote}", "`daxa push` sends what is here and whole"
        )


def _error(problems: Sequence[Problem], what: str, remedy: str) -> VerifyError:
    first = problems[0]
    return VerifyError(
        "differs",
        f"{number_of(len(problems), 'problem')} against {what}, such as {first.path} ({first.what})",
        remedy=f"{remedy}; `daxa run` makes what nobody has",
    )


def _name(revision: str) -> str:
    from daxa.publish.contents import LAST

    return LAST if revision == "HEAD" else revision


def _show(found: Verification) -> None:
    _show_problems(found.problems)
    name = _name(found.revision)
    counts = f"{number_of(found.missions, 'mission')}, {number_of(found.observations, 'observation')}"
    compared = f"{number_of(found.files, 'file')} ({size_text(found.size)})"
    if found.ok:
        show_text(f"{name} ({found.commit[:10]}), {counts}: {compared} compared, all are as it says")
    else:
        show_text(f"{name} ({found.commit[:10]}), {counts}: {compared} compared")
    if found.absent_fetched:
        say(f"{number_of(found.absent_fetched, 'fetched file')} not here; they are fetched again when they are needed")


def _show_problems(problems: Sequence[Problem]) -> None:
    if not problems:
        return
    show_table(
        ["problem", "mission", "step", "ObsID", "path", ""],
        [
            [item.what, item.mission, item.step, item.obs_id, item.path, item.detail]
            for item in problems[:_SHOWN_PROBLEMS]
        ],
    )
    if len(problems) > _SHOWN_PROBLEMS:
        show_text(f"... and {len(problems) - _SHOWN_PROBLEMS} more; --json lists all")
