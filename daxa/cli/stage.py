"""``daxa stage``: what the commands in ``dvc.yaml`` run."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from daxa.archive.repair import repair
from daxa.cli.show import note, progress
from daxa.errors import ArchiveError

__all__ = ["stage"]

EXAMPLES = ("daxa stage fetch xmm", "daxa stage collect")


def stage(
    step: Annotated[str, typer.Argument(help="fetch, events, clean, images, sources or collect.")],
    mission: Annotated[str, typer.Argument(help="Mission; none for collect.")] = "",
) -> None:
    """Run one stage of the pipeline in the current directory.

    People run `dvc repro` or `daxa run`, which call this.
    """
    from daxa.archive.gate import check_archive
    from daxa.archive.layout import Layout
    from daxa.run.parent import after_parent, die_with_parent

    check_archive(Layout(Path.cwd()), acting=True)
    after_parent(partial(repair, Path.cwd()), Layout(Path.cwd()).guard)
    die_with_parent()
    if step == "collect":
        from daxa.stages.collect import run_collect

        run_collect(Path.cwd())
        return
    if not mission:
        raise ArchiveError("no-stage", f"the stage {step} needs a mission", remedy=f"run `daxa stage {step} xmm`")
    if step == "kept":
        from daxa.archive.keeping import run_kept

        run_kept(Path.cwd(), mission)
        return
    from daxa.stages.step import run_step

    with progress(mission, step) as observe:
        run_step(Path.cwd(), step, mission, observe=observe, say=note)
