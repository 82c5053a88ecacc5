"""``daxa logs``: what was written while an observation was worked on."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from daxa.cli.completion import complete_obs_id, complete_step
from daxa.cli.show import show_json, show_text

__all__ = ["logs"]

EXAMPLES = ("daxa logs 0404910601", "daxa logs 0404910601 --step clean")


def logs(
    obs_id: Annotated[str, typer.Argument(metavar="OBSID", autocompletion=complete_obs_id)],
    step: Annotated[
        str | None,
        typer.Option(
            metavar="STEP",
            help="Only this step: fetch, events, clean, images or sources.",
            autocompletion=complete_step,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON per log.")] = False,
) -> None:
    """Show what was written while an observation was worked on, step after step."""
    import daxa
    from daxa.archive.history import find_logs

    archive = daxa.open()
    found = find_logs(archive.layout, archive.config, obs_id, step)
    if as_json:
        show_json(asdict(log) for log in found)
        return
    for log in found:
        show_text(f"== {log.mission} {log.step} {log.obs_id}\n{log.text.rstrip()}")
