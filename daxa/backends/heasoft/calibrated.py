"""Which calibration HEASoft finds on a machine: the index files of the CALDB, and geomagnetic data of NICER."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from daxa.backends.tools.calibration import folder_identity, missions_identity

if TYPE_CHECKING:
    from daxa.backends.tools.environment import Installation

__all__ = ["heasoft_calibration"]

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
