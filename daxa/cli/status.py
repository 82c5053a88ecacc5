"""``daxa status``: what is done, failed and still to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Annotated

import typer

from daxa.cli.show import say, show_json, show_table, show_text
from daxa.records import Outcome

__all__ = ["show_outcomes", "status"]

EXAMPLES = ("daxa status", "daxa status --json")

_COLUMNS = ("done", "failed", "skipped", "todo")


def status(
    as_json: Annotated[
        bool, typer.Option("--json", help="One line of JSON per mission, step and observation.")
    ] = False,
) -> None:
    """Show what is done, failed and still to do, per mission and step, and why observations failed.

    Works while the pipeline runs.
    """
    import daxa

    outcomes = daxa.open().status()
    if as_json:
        show_json(outcome.as_dict() for outcome in outcomes)
    else:
        show_outcomes(outcomes)


def show_outcomes(outcomes: Sequence[Outcome]) -> None:
    """Write the table of counts and, below it, the failures with their reasons."""
    counts = Counter((outcome.mission, outcome.step, outcome.status) for outcome in outcomes)
    stages = dict.fromkeys((outcome.mission, outcome.step) for outcome in outcomes)
    show_table(
        ["mission", "step", "done", "failed", "skipped", "to do"],
        [[*stage, *(counts[*stage, column] for column in _COLUMNS)] for stage in stages],
    )
    failures = [outcome for outcome in outcomes if outcome.status == "failed"]
    if failures:
        show_text("")
        show_table(
            ["failed", "step", "ObsID", "reason"],
            [[failure.mission, failure.step, failure.obs_id, failure.reason] for failure in failures],
        )
        say(f"\nread `daxa logs {failures[0].obs_id} --step {failures[0].step}`; `daxa run` tries them again")
