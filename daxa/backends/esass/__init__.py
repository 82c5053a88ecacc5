"""eSASS as a backend: sky tiles of eRASS1 and pointings of CalPV, from the archive's lists to a catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daxa.backends.chains import CalibrationNeed, ChainBackend, Program
from daxa.backends.chains.caldb_files import used_calibration
from daxa.backends.esass.clean import CLEAN
from daxa.backends.esass.events import EVENTS
from daxa.backends.esass.images import IMAGES
from daxa.backends.esass.sources import SOURCES
from daxa.backends.tools.calibration import missions_identity
from daxa.missions import find_mission

if TYPE_CHECKING:
    from daxa.backends.tools.environment import Installation

__all__ = ["ESASS"]


_MISSIONS = ("EROSITA", "SRG")
"""As the configuration of its CALDB may name it."""


def _calibration(installed: Installation) -> str:
    """The release, and a digest of the index files of eROSITA in the CALDB that eSASS brings along."""
    return f"{installed.release}, CALDB {missions_identity(installed.environ, _MISSIONS)[:16]}"


def _used(installed: Installation, need: CalibrationNeed) -> str:
    """The release, and what the observation uses of these: a tile is seen for months, so that times matter little."""
    return f"{installed.release}, CALDB {used_calibration(installed, need, _MISSIONS)}"


ESASS = ChainBackend(
    Program(
        suite="esass",
        chains=(EVENTS, CLEAN, IMAGES, SOURCES),
        calibration=_calibration,
        used=_used,
        remedy="install eSASS4DR1, and run its set-up script (esass-init.sh) before daxa",
    ),
    {
        mission: tuple(one for one in find_mission(mission).native_inputs if one.kind == "events")
        for mission in ("erass1", "erosita_calpv")
    },
)
