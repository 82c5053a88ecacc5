"""``daxa pull``: get the data of a release."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from daxa.cli.completion import complete_mission, complete_tag
from daxa.cli.options import Kinds
from daxa.cli.show import counted, note, progress, say, show_json, show_text
from daxa.naming import number_of

__all__ = ["pull"]

EXAMPLES = (
    "daxa pull",
    "daxa pull v1.0.0",
    "daxa pull --mission xmm --obs 0404910601",
    "daxa pull v1.0.0 --kind image --kind expmap",
    "daxa pull --remote backup",
)

_SHOWN = 20


def pull(
    tag: Annotated[
        str,
        typer.Argument(
            metavar="TAG", help="A release; by default the one that is checked out.", autocompletion=complete_tag
        ),
    ] = "",
    *,
    obs: Annotated[list[str] | None, typer.Option("--obs", metavar="OBSID", help="Only these observations.")] = None,
    missions: Annotated[
        list[str] | None,
        typer.Option("--mission", "-m", metavar="NAME", help="Only these missions.", autocompletion=complete_mission),
    ] = None,
    kind: Kinds = None,
    remote: Annotated[
        str, typer.Option("--remote", "-r", metavar="NAME", help="Use this DVC remote instead of the default one.")
    ] = "",
    force: Annotated[
        bool,
        typer.Option("--force", help="Overwrite files that differ from the release, even if no other copy exists."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, including what is missing.")] = False,
) -> None:
    """Get the data from the archive's remote storage: all, or those of some missions, observations and kinds.

    Unlike `dvc pull`, it checks the archive's configuration and every listing before it writes any file, verifies each
    file by its digest, and reports what the remote lacks; it exits with code 11 if something is missing. After an
    interruption, the same command continues where it stopped.

    With TAG, that release is checked out first (`git switch -` goes back), provided that there are no uncommitted
    changes, and that nothing in it could do harm or contradicts what it was made with.
    """
    import daxa
    from daxa.publish.sharing.pull import missing_error, pull_data

    with progress("pull", "objects") as observe:
        report = pull_data(
            daxa.open().layout,
            tag,
            missions=missions or (),
            obs_ids=obs or (),
            kinds=kind or (),
            remote=remote,
            force=force,
            observe=counted(observe),
        )
    if as_json:
        show_json([{"ok": report.ok, **asdict(report)}])
    else:
        if report.checked_out:
            note(f"checked out {tag}; `git switch -` goes back")
        for what, paths in (("missing", report.missing), ("wrong", report.wrong)):
            for path in paths[:_SHOWN]:
                show_text(f"{what}: {path}")
            if len(paths) > _SHOWN:
                show_text(f"... and {len(paths) - _SHOWN} more; --json lists all")
        if report.unreleased_logs:
            note(f"{report.unreleased_logs} logs of runs that are in no release are left as they are")
        got = f"{report.fetched} of them fetched now from {report.remote}"
        show_text(f"{number_of(report.files, 'file')} here and verified, {got}")
    if not report.ok:
        raise missing_error(report)
    if as_json:
        return
    if obs or missions or kind:
        say("only a part was requested: `daxa verify` reports the rest as absent")
    else:
        say("next: `daxa verify` compares everything with the release")
