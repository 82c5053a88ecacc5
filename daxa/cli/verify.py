"""``daxa verify``: compare every file with what a release says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from daxa.cli.completion import complete_tag
from daxa.cli.show import say, show_json, show_table, show_text, size_text
from daxa.errors import VerifyError

if TYPE_CHECKING:
    from daxa.publish.verify import Problem, Verification

__all__ = ["verify"]

EXAMPLES = ("daxa verify", "daxa verify v1.0.0", "daxa verify v1.0.0 --fetched --json")

_SHOWN_PROBLEMS = 50


def verify(
    tag: Annotated[
        str, typer.Argument(metavar="[TAG]", help="A release; the last commit by default.", autocompletion=complete_tag)
    ] = "",
    fetched: Annotated[
        bool, typer.Option("--fetched", help="Fetched files must be here too, though they can be fetched again.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, problems included.")] = False,
) -> None:
    """Compare selection, ledgers and every product with what a release says, byte for byte.

    Ends with exit code 7 when anything differs.
    """
    import daxa

    found = daxa.open().verify(tag, fetched=fetched)
    if as_json:
        show_json([{"ok": found.ok, **found.as_dict()}])
    else:
        _show(found)
    if not found.ok:
        raise VerifyError(
            "differs",
            f"{_count(len(found.problems), 'problem')} against {found.revision}, such as {found.problems[0].path} "
            f"({found.problems[0].what})",
            remedy="`dvc pull` restores the data of the work tree's commit; `dvc repro` makes what nobody has",
        )


def _show(found: Verification) -> None:
    _show_problems(found.problems)
    name = found.revision if found.revision != "HEAD" else "the last commit"
    counts = f"{_count(found.missions, 'mission')}, {_count(found.observations, 'observation')}"
    compared = f"{_count(found.files, 'file')} ({size_text(found.size)})"
    if found.ok:
        show_text(f"{name} ({found.commit[:10]}), {counts}: {compared} compared, all are as it says")
    else:
        show_text(f"{name} ({found.commit[:10]}), {counts}: {compared} compared")
    if found.absent_fetched:
        say(f"{_count(found.absent_fetched, 'fetched file')} not here; they are fetched again when they are needed")


def _show_problems(problems: Sequence[Problem]) -> None:
    if not problems:
        return
    show_table(
        ["problem", "mission", "step", "ObsID", "path"],
        [[item.what, item.mission, item.step, item.obs_id, item.path] for item in problems[:_SHOWN_PROBLEMS]],
    )
    if len(problems) > _SHOWN_PROBLEMS:
        show_text(f"... and {len(problems) - _SHOWN_PROBLEMS} more; --json lists all")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
