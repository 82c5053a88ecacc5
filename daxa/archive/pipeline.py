"""Run an archive's pipeline through DVC, trying again what failed before."""

from __future__ import annotations

from collections.abc import Sequence

from daxa.archive import dvc
from daxa.archive.config import ArchiveConfig
from daxa.archive.history import read_recorded
from daxa.archive.layout import STEPS, Layout
from daxa.errors import CriteriaError

__all__ = ["failed_stages", "run_pipeline"]


def failed_stages(layout: Layout, config: ArchiveConfig) -> list[str]:
    """Names of the stages whose ledger holds failed observations, in the order of the pipeline.

    DVC sees nothing changed there and would not run them again by itself.
    """
    return [
        f"{step}-{mission}"
        for mission in config.missions
        for step in STEPS
        if "failed" in read_recorded(layout, mission, step, {"outcome"}).outcomes().values()
    ]


def run_pipeline(layout: Layout, config: ArchiveConfig, missions: Sequence[str] = ()) -> None:
    """Do everything that is not done yet, and what failed before.

    Parameters
    ----------
    layout, config
        The archive.
    missions
        Only these missions; all of them by default.

    Raises
    ------
    CriteriaError
        A mission is not in the archive.
    ProgramError
        A stage stopped.
    """
    for mission in missions:
        if mission not in config.missions:
            raise CriteriaError(
                "mission", f"{mission} is not in this archive", remedy=f"choose from {', '.join(config.missions)}"
            )
    wanted = set(missions or config.missions)
    for stage in failed_stages(layout, config):
        if stage.partition("-")[2] in wanted:
            dvc.repro(layout.root, stage, force=True, single=True)
    dvc.repro(layout.root, *(f"{STEPS[-1]}-{mission}" for mission in missions))
