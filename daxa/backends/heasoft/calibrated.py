"""Which calibration HEASoft finds on a machine: the index files of the CALDB, and geomagnetic data of NICER."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from daxa.backends.chains import CalibrationNeed
from daxa.backends.chains.caldb_files import used_calibration
from daxa.backends.tools.calibration import folder_identity, missions_identity

if TYPE_CHECKING:
    from daxa.backends.tools.environment import Installation

__all__ = ["heasoft_calibration", "used_by_task"]

_GEOMAGNETIC = "nicer"
"""The mission whose screening needs geomagnetic data."""

_MISSIONS = ("NUSTAR", "SWIFT", "NICER", "SUZAKU", "XRISM")


def heasoft_calibration(installed: Installation) -> str:
    """The identity of the calibration of an installation.

    Parameters
    ----------
    installed
        The software.

    Returns
    -------
    str
        The release, digests of the CALDB of the missions that are processed, and of the geomagnetic data where there
        are some.

    Raises
    ------
    ProgramError
        There is no CALDB on this machine.
    """
    found = f"HEASoft {installed.release}, CALDB {missions_identity(installed.environ, _MISSIONS)[:16]}"
    if place := installed.environ.get("GEOMAG_PATH", ""):
        found += f", geomag {folder_identity(Path(place))[:16]}"
    return found


def used_by_task(installed: Installation, need: CalibrationNeed) -> str:
    """The identity of that part of it which one observation uses.

    Parameters
    ----------
    installed
        The software.
    need
        The observation.

    Returns
    -------
    str
        The release, a digest of the data sets of the mission that it may choose, and for NICER of the geomagnetic data.
    """
    found = f"HEASoft {installed.release}, CALDB {used_calibration(installed, need, (need.mission,))}"
    if need.mission == _GEOMAGNETIC and (place := installed.environ.get("GEOMAG_PATH", "")):
        found += f", geomag {folder_identity(Path(place))[:16]}"
    return found
