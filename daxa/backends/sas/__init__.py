"""The backend sas: XMM-Newton through the Science Analysis System, from raw files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from daxa.backends.chains import ChainBackend, Program
from daxa.backends.sas.clean import CLEAN
from daxa.backends.sas.events import EVENTS
from daxa.backends.sas.images import IMAGES
from daxa.backends.tools.calibration import names_identity
from daxa.missions import NativeInput

if TYPE_CHECKING:
    from daxa.backends.tools.environment import Installation

__all__ = ["RAW", "SAS"]

_NAME = r"ODF/\d{{4}}_{{obs_id}}_{}[SUX]\d{{5}}\w{{3}}\.FIT(?:\.gz)?"

RAW = (
    *(NativeInput("raw", _NAME.format(name), name, required=True) for name in ("PN", "M1", "M2", "R1", "R2", "OM")),
    # Radiation monitor, spacecraft (attitude, times, housekeeping), and the summary that odfingest begins with.
    *(NativeInput("raw", _NAME.format(name)) for name in ("RM", "SC")),
    NativeInput("raw", r"ODF/\d{4}_{obs_id}_SCX00000SUM\.ASC(?:\.gz)?"),
)
"""The files of an observation (ODF), as the Data Files Handbook names them and HEASARC packs them."""


def _calibration(installed: Installation) -> str:
    """Release and calibration files: each is wrong without the other."""
    folders = [Path(one) for one in installed.environ.get("SAS_CCFPATH", "").split(":") if one]
    return f"{installed.suite.title} {installed.release}, CCF {names_identity(folders, '.ccf')}"


SAS = ChainBackend(
    Program(
        "sas",
        (EVENTS, CLEAN, IMAGES),
        calibration=_calibration,
        dated=True,
        remedy="install SAS (https://www.cosmos.esa.int/web/xmm-newton/sas) and its calibration files, and run first "
        "the set-up script of HEASoft, then that of SAS",
    ),
    {"xmm": RAW},
)
