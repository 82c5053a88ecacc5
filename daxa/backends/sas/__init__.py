"""The backend sas: XMM-Newton through the Science Analysis System, from raw files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from daxa.backends.chains import CalibrationNeed, ChainBackend, Program
from daxa.backends.sas.clean import CLEAN
from daxa.backends.sas.constituents import constituents_of, used_identity
from daxa.backends.sas.events import EVENTS
from daxa.backends.sas.images import IMAGES
from daxa.backends.sas.sources import SOURCES
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
    return f"{_release(installed)}, CCF {names_identity(_folders(installed), '.ccf')}"


def _used(installed: Installation, need: CalibrationNeed) -> str:
    """Of the files, those that the index of the observation names; cleaning reads none."""
    if need.step == CLEAN.step:
        return _release(installed)
    folders = constituents_of(_folders(installed))
    return f"{_release(installed)}, CCF {used_identity(folders, need.instruments, need.start, need.end, need.as_of)}"


def _release(installed: Installation) -> str:
    return f"{installed.suite.title} {installed.release}"


def _folders(installed: Installation) -> list[Path]:
    return [Path(one) for one in installed.environ.get("SAS_CCFPATH", "").split(":") if one]


SAS = ChainBackend(
    Program(
        "sas",
        (EVENTS, CLEAN, IMAGES, SOURCES),
        calibration=_calibration,
        used=_used,
        dated=True,
        remedy="install SAS (https://www.cosmos.esa.int/web/xmm-newton/sas) and its calibration files, and run first "
        "the set-up script of HEASoft, then that of SAS",
    ),
    {"xmm": RAW},
)
