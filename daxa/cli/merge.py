"""``daxa merge``: join what another person did to the same archive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from daxa.cli.options import Json
from daxa.cli.show import counted, note, progress, say, show_json, show_table
from daxa.naming import number_of

if TYPE_CHECKING:
    from daxa.publish.merging.merge_plan import MergePlan, MergeReport

__all__ = ["merge"]

EXAMPLES = (
    "daxa merge origin/main --dry-run",
    "daxa merge origin/main",
    "daxa merge anna --theirs 0404910601 --ours params/xmm.toml",
    "daxa merge anna --ours all",
)


def merge(
    branch: Annotated[
        str, typer.Argument(metavar="BRANCH", help="A branch, such as origin/main after `git fetch`, or a release.")
    ],
    *,
    ours: Annotated[
        list[str] | None,
        typer.Option("--ours", metavar="NAME", help="Where both changed this ObsID or file (or `all`), keep ours."),
    ] = None,
    theirs: Annotated[
        list[str] | None,
        typer.Option("--theirs", metavar="NAME", help="Where both changed it, take the one of the branch."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Show what would be merged, and change nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Merge another branch of the archive into the one that is checked out, in one commit or not at all.

    Selections and ledgers are joined by observation, parameters by key, dvc.lock by stage, other files line by line.
    An observation is taken whole, from one side; those that both changed are named, with what each side did, and then
    nothing is merged until --ours or --theirs says which is right. The branch is checked like a stranger's archive
    before anything of it is used. Products are put in place from DVC's cache; `daxa pull` gets others.
    """
    import daxa
    from daxa.publish.merging.merge_plan import conflict_error

    archive = daxa.open(acting=not dry_run)
    plan = archive.plan_merge(branch, ours=ours or (), theirs=theirs or ())
    report = None
    if not dry_run and not plan.conflicts:
        with progress("merge", "data") as observe:
            report = plan.apply(observe=counted(observe))
    if as_json:
        show_json([{**plan.as_dict(), "commit": report.commit if report else ""}])
    elif not plan.conflicts:
        _show(plan, report)
    if plan.conflicts:
        raise conflict_error(plan)


def _show(plan: MergePlan, report: MergeReport | None) -> None:
    if not plan:
        say(f"{plan.branch} is merged already")
    if plan.observations:
        rows = [[one.mission, one.obs_id, one.what] for one in plan.observations]
        show_table(["mission", "ObsID", f"{plan.branch} ..."], rows)
    if report is None:
        if plan:
            _note_released_twice(plan)
            say("nothing was changed")
        return
    if plan:
        note(f"merged as {report.commit[:12]}")
    _note_released_twice(plan)
    logs = "logs"
    if made := [path for path in plan.unlisted if path != logs]:
        note(f"neither here nor on the remote is which files {', '.join(made)} had: `daxa run` makes them")
    if logs in plan.unlisted:
        note(
            f"the logs of {plan.branch} are not merged, since neither here nor on the remote is which there are: "
            "let its author `daxa push`, and see them there (`daxa checkout`)"
        )
    if report.missing:
        note(f"not on this machine: {number_of(len(report.missing), 'product')}; `daxa pull` gets them")
    say("next: `daxa status` shows what must run, `daxa run` does it")


def _note_released_twice(plan: MergePlan) -> None:
    remote = plan.branch.partition("/")[0] if "/" in plan.branch else "origin"
    for tag in plan.released_twice:
        note(
            f"{tag} was released here and on {plan.branch}, as two different versions; only one of them can be shared. "
            f"If yours was not pushed, take the other one: `git tag -d {tag} && git fetch {remote} tag {tag}`; "
            "the next `daxa release` has a higher number"
        )
