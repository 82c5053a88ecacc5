"""CIAO as a backend: Chandra from level 1 to sources."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daxa.backends.chains import CalibrationNeed, ChainBackend, Program
from daxa.backends.chains.caldb_files import used_calibration
from daxa.backends.ciao.clean import CLEAN
from daxa.backends.ciao.events import EVENTS
from daxa.backends.ciao.images import IMAGES
from daxa.backends.ciao.sources import SOURCES
from daxa.backends.tools.calibration import missions_identity
from daxa.missions import find_mission

if TYPE_CHECKING:
    from daxa.backends.tools.environment import Installation

__all__ = ["CIAO"]


_MISSIONS = ("CHANDRA",)


def _calibration(installed: Installation) -> str:
    """The release, and a digest of the index files of Chandra in CIAO's CALDB."""
    return f"CIAO {installed.release}, CALDB {missions_identity(installed.environ, _MISSIONS)[:16]}"


def _used(installed: Installation, need: CalibrationNeed) -> str:
    """The release, and what an observation at these times with this camera uses of them."""
    return f"CIAO {installed.release}, CALDB {used_calibration(installed, need, _MISSIONS)}"


CIAO = ChainBackend(
    Program(
        suite="ciao",
        chains=(EVENTS, CLEAN, IMAGES, SOURCES),
        calibration=_calibration,
        used=_used,
        remedy="install CIAO with its CALDB, and start daxa in its environment (conda activate ciao)",
    ),
    {"chandra": find_mission("chandra").raw_inputs},
)
