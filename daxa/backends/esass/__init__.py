"""eSASS as a backend: sky tiles of eRASS1, from the archive's lists to a catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daxa.backends.chains import ChainBackend, Program
from daxa.backends.esass.clean import CLEAN
from daxa.backends.esass.events import EVENTS
from daxa.backends.esass.images import IMAGES
from daxa.backends.esass.sources import SOURCES
from daxa.backends.tools.calibration import missions_identity
from daxa.missions import find_mission

if TYPE_CHECKING:
    from daxa.backends.tools.environment import Installation

__all__ = ["ESASS"]


def _calibration(installed: Installation) -> str:
    """The release, and a digest of the index files of eROSITA in the CALDB that eSASS brings along."""
    return f"{installed.release}, CALDB {missions_identity(installed.environ, ('EROSITA', 'SRG'))[:16]}"


ESASS = ChainBackend(
    Program(
        suite="esass",
        chains=(EVENTS, CLEAN, IMAGES, SOURCES),
        calibration=_calibration,
        remedy="install eSASS4DR1, and run its set-up script (esass-init.sh) before daxa",
    ),
    {"erass1": tuple(one for one in find_mission("erass1").native_inputs if one.kind == "events")},
)
