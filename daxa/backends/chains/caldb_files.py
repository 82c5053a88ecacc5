"""The calibration that one observation uses, for suites that choose it from a CALDB."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from daxa.backends.chains.declared import CalibrationNeed
from daxa.backends.tools.caldb import used_identity
from daxa.missions import find_mission

if TYPE_CHECKING:
    from daxa.backends.tools.environment import Installation

__all__ = ["used_calibration"]

_SHOWN = 16


def used_calibration(installed: Installation, need: CalibrationNeed, missions: Collection[str]) -> str:
    """A digest of the data sets that the processing of an observation may choose.

    Parameters
    ----------
    installed
        The software.
    need
        The observation; without chosen instruments, all of them count.
    missions
        As the CALDB names them.

    Returns
    -------
    str
        "of none" where the CALDB has nothing of these missions.

    Raises
    ------
    ProgramError
        There is no CALDB on this machine.
    """
    names = [one.name for one in find_mission(need.mission).instruments]
    others = [name for name in names if need.instruments and name not in need.instruments]
    found = used_identity(installed.environ, missions, others, (need.start, need.end))
    return found[:_SHOWN] or "of none"
