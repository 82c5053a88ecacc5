"""``daxa verify``: compare every file with the release."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daxa.cli.completion import complete_tag
from daxa.cli.options import ObsIds
from daxa.cli.show import counted, note, progress, say, show_json, show_table, show_text, size_text
from daxa.errors import CriteriaError, VerifyError
from daxa.naming import number_of

if TYPE_CHECKING:
    from daxa.publish.file_check import FileProblem
    from daxa.publish.releases.verify import Verification

__all__ = ["verify"]

EXAMPLES = (
    "daxa verify",
    "daxa verify v1.0.0",
    "daxa verify v1.0.0 --fetched --json",
    "daxa verify v1.0.0 --present --obs 0404910601",
    "daxa verify --remote --sample 1/20",
    "daxa verify v1.0.0 --remote --deep --sample 5%",
    "daxa verify v1.0.0 --recompute 2",
)

_SHOWN_PROBLEMS = 50


def verify(
    tag: Annotated[
        str, typer.Argument(metavar="TAG", help="A release; by default the last commit.", autocompletion=complete_tag)
    ] = "",
    *,
    fetched: Annotated[
        bool, typer.Option("--fetched", help="Require the fetched files too, although they can be fetched again.")
    ] = False,
    present: Annotated[
        bool, typer.Option("--present", help="Check only the data on this machine; absent files are not a problem.")
    ] = False,
    obs: ObsIds = None,
    remote: Annotated[
        bool, typer.Option("--remote", help="Check the copy on the remote storage instead of the one on disk.")
    ] = False,
    remote_name: Annotated[
        str, typer.Option("--remote-name", metavar="NAME", help="Use this DVC remote instead of the default one.")
    ] = "",
    sample: Annotated[
        str,
        typer.Option(
            "--sample",
            metavar="PART",
            help="With --remote: check only a part; 1/20 is the first of 20 parts, 5% is drawn at random.",
        ),
    ] = "",
    deep: Annotated[
        bool, typer.Option("--deep", help="With --remote: read every object, even if the remote is not a directory.")
    ] = False,
    recompute: Annotated[
        int,
        typer.Option(
            "--recompute",
            metavar="N",
            min=0,
            help="Fetch and process N random observations of TAG again in a scratch place, and compare them.",
        ),
    ] = 0,
    seed: Annotated[
        int | None, typer.Option("--seed", metavar="NUMBER", help="With --recompute: which observations are drawn.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, including the problems.")] = False,
) -> None:
    """Compare everything on disk with the release, byte for byte.

    This covers every file that Git tracks, every product and the pipeline, and reports foreign files that could run
    something. Logs are compared only if TAG is given, since every run rewrites them. With --remote, the copy on the
    remote storage is checked instead: by digest if it is a directory or with --deep, otherwise by size.

    Exits with code 7 if anything differs.
    """
    import daxa

    if not remote and (sample or deep or remote_name):
        raise CriteriaError(
            "remote", "--sample, --deep and --remote-name need --remote", remedy="add --remote, or omit them"
        )
    if (present or obs) and (remote or recompute):
        raise CriteriaError(
            "remote", "--present and --obs are about the data here", remedy="omit --remote and --recompute, or them"
        )
    if recompute:
        _recompute(tag, recompute, seed, remote=remote, as_json=as_json)
        return
    if remote:
        _verify_remote(tag, remote_name, sample, deep=deep, as_json=as_json)
        return
    with progress("verify", "stages") as observe:
        found = daxa.open().verify(tag, fetched=fetched, present=present, obs_ids=obs, observe=counted(observe))
    if as_json:
        show_json([{"ok": found.ok, **found.as_dict()}])
    else:
        _show(found)
    if not found.ok:
        raise _error(found.problems, _name(found.revision), _way_back(found))


def _way_back(found: Verification) -> str:
    from daxa.archive import git

    if found.commit != git.commit_of(Path.cwd()):
        return f"another version is checked out: first `daxa checkout {found.revision}`"
    return "`daxa pull` restores the data, `git checkout` the files that Git tracks"


def _recompute(tag: str, sample: int, seed: int | None, *, remote: bool, as_json: bool) -> None:
    import daxa
    from daxa.cli.recreate import observer, show_recreation
    from daxa.stages.recreation import RecreationRequest, recompute_release

    if not tag or remote:
        raise CriteriaError(
            "recompute",
            "--recompute needs a release, and no --remote",
            remedy="name one: `daxa verify v1.0.0 --recompute 2`",
        )
    layout = daxa.open(acting=True).layout
    made = recompute_release(layout, tag, RecreationRequest(sample, seed), observe=observer, say=note)
    show_recreation(made, as_json=as_json)


def _verify_remote(tag: str, name: str, sample: str, *, deep: bool, as_json: bool) -> None:
    import daxa
    from daxa.publish.sharing.remotecheck import verify_remote

    with progress("read", "objects") as observe:
        found = verify_remote(daxa.open().layout, tag, remote=name, sample=sample, deep=deep, observe=counted(observe))
    if as_json:
        show_json([{"ok": found.ok, **found.as_dict()}])
    else:
        _show_problems(found.problems)
        part = f", {found.sample} of them checked" if found.sample else ""
        show_text(
            f"{_name(found.revision)} ({found.commit[:10]}) on {found.remote}: "
            f"{number_of(found.objects, 'object')}{part}; "
            f"{found.by_digest} compared by digest, {found.by_size} by size, {found.by_presence} by presence alone"
        )
    if not found.ok:
        raise _error(
            found.problems,
            f"{_name(found.revision)} on {found.remote}",
            "`daxa push` sends the intact files that are here",
        )


def _error(problems: Sequence[FileProblem], what: str, remedy: str) -> VerifyError:
    first = problems[0]
    return VerifyError(
        "differs",
        f"{number_of(len(problems), 'problem')} against {what}, such as {first.path} ({first.what})",
        remedy=f"{remedy}; `daxa run` recreates what exists nowhere else",
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
        show_text(f"{name} ({found.commit[:10]}), {counts}: {compared} compared, all identical")
    else:
        show_text(f"{name} ({found.commit[:10]}), {counts}: {compared} compared")
    if found.absent_fetched:
        say(f"fetched files that are not here: {found.absent_fetched}; `daxa run` fetches them again if needed")


def _show_problems(problems: Sequence[FileProblem]) -> None:
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
