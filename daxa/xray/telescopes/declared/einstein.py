"""Einstein IPC and HRI.

Sources: xselect.mdb; the header of a real IPC list (8 arcsec pixels, DTCOR); vignetting: the
formula in the source of HEASoft's XIMAGE.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from daxa.xray.telescopes.eventformat import EventFormat, Refusal
from daxa.xray.telescopes.optics import Vignetting
from daxa.xray.telescopes.spec import Camera, Formats, Telescope

__all__ = ["TELESCOPE"]

_IPC = EventFormat(
    mission="einstein",
    instrument="IPC",
    pi_to_kev=None,
    pi_limits=(0, 15),
    pixel_arcsec=8.0,
    reference_pixel=512.0,
    sky_limits=(1, 1024),
    refusals=(Refusal("energy-band", "the energies of its 16 channels change with the gain"),),
    mjdref=43508.0,
    live_cards=("DTCOR", "LIVETIME/ONTIME"),
    named=False,
)

_HRI = replace(
    _IPC,
    instrument="HRI",
    pi_column="PHA",
    # Its pixels must be in the header: no available source gives them.
    pixel_arcsec=0.0,
    reference_pixel=None,
    sky_limits=None,
    refusals=(Refusal("energy-band", "its microchannel plates measure next to no energy"),),
)

_FORMATS: Formats = {("IPC",): _IPC, ("HRI",): _HRI}


def _area(t: np.ndarray, energy: float) -> np.ndarray:
    return np.select([t < 12.0, t < 40.0], [1.0 - t * (0.00825 + t / 3200.0), 1.11232 - 0.02136 * t], 0.25792)


_CURVE = Vignetting(
    (0.0, math.inf),
    False,
    60.0,
    0.0,
    (0.0, 0.0),
    _area,
    "HEASoft XIMAGE, Einstein",
    unproved="vignetting of IPC; its ribs are left out",
)

TELESCOPE = Telescope(
    name="einstein",
    telescop=("EINSTEIN",),
    formats=_FORMATS,
    cameras=(Camera(("IPC",), vignetting=(_CURVE,)),),
)
