"""HEASoft as a backend: the pipelines of NuSTAR, Swift, NICER, Suzaku and XRISM make calibrated and screened lists."""

from __future__ import annotations

from daxa.backends.chains import ChainBackend, Program
from daxa.backends.heasoft.calibrated import heasoft_calibration, used_by_task
from daxa.backends.heasoft.events import CHAINS
from daxa.missions import find_mission

__all__ = ["HEASOFT"]

HEASOFT = ChainBackend(
    Program(
        suite="heasoft",
        chains=CHAINS,
        calibration=heasoft_calibration,
        used=used_by_task,
        remedy="install HEASoft with the tasks and the CALDB of the mission; run headas-init.sh and caldbinit.sh first",
    ),
    {mission: find_mission(mission).raw_inputs for chain in CHAINS for mission in chain.missions},
)
