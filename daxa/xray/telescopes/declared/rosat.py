"""ROSAT PSPC and HRI, pointed and survey.

Sources: the ROSAT Users' Handbook; Snowden et al. 1994, ApJ 424, 714 (PSPC channels of
10 eV); xselect.mdb; the header of a real PROS list (XS- cards).  The accepted events
(STDEVT) of the archive are screened.  Vignetting: the formula in the source of HEASoft's XIMAGE.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from daxa.xray.telescopes.eventformat import EventFormat, Refusal
from daxa.xray.telescopes.imaging import Band, Imaging
from daxa.xray.telescopes.optics import Eef, PsfFacts, Vignetting, exponential, gaussian, lorentzian, weighted
from daxa.xray.telescopes.rule import Rule
from daxa.xray.telescopes.spec import Camera, Formats, Telescope

__all__ = ["TELESCOPE"]

_PSPC = EventFormat(
    mission="rosat",
    instrument="PSPC",
    pi_to_kev=(0.0, 0.01),
    # 0.07 to 2.4 keV
    pi_limits=(7, 239),
    pixel_arcsec=0.5,
    reference_pixel=7680.0,
    sky_limits=(1, 15360),
    tables=("STDEVT", "EVENTS"),
    mjdref=48043.8797453704,
    gti_tables=("STDGTI", "GTI"),
    live_cards=("DTCOR", "XS-DTCOR", "DEADC", "LIVETIME/ONTIME"),
    obs_id_cards=("OBS_ID", "XS-OBSID"),
    named=False,
)

_HRI = replace(
    _PSPC,
    instrument="HRI",
    pi_to_kev=None,
    pi_limits=(0, 15),
    pi_column="PHA",
    reference_pixel=4096.0,
    sky_limits=(1, 8192),
    unverified=(Rule("PHA", "between", (2, 10), "custom: HRI channels with few background events"),),
    refusals=(Refusal("energy-band", "its microchannel plates measure next to no energy"),),
)

_PSPCS = ("PSPC", "PSPCB", "PSPCC")

_FORMATS: Formats = {
    **{(name,): replace(_PSPC, instrument=name) for name in _PSPCS},
    **{(name, "SCAN"): replace(_PSPC, mission="rass") for name in _PSPCS},
    ("HRI",): _HRI,
}


def _area(t: np.ndarray, energy: float) -> np.ndarray:
    a, e = t / 60.0, energy / 2.0
    mirror = np.select([a <= 0.2333, a <= 0.8885], [np.ones_like(a), 1.1065 - 0.4565 * a], 5.9287 - 5.8837 * a)
    return np.maximum(0.0, mirror * (1.0 + 0.4244 * a * e - 0.3313 * a * a * e - 0.8248 * a * e * e))


_CURVE = Vignetting(
    (0.0, 2.0),
    True,
    60.0,
    0.0,
    (0.0, 0.0),
    _area,
    "HEASoft XIMAGE, PSPC without ribs",
    unproved="vignetting of PSPC; its ribs are left out",
)


def _pspc(kev: float, arcmin: float) -> Eef:
    sigma = math.sqrt(108.7 * kev**-0.888 + 1.121 * kev**6 + 0.219 * arcmin**2.848)
    length = math.sqrt(50.61 * kev**-1.472 + 6.80 * kev**5.62)
    far = 10 ** (-1.635 + 0.639 * kev + 0.052 * kev**2) * math.exp(-0.5 * (arcmin / 12.0) ** 2)
    scattered = 0.075 * kev**1.43
    wings = lorentzian(39.95 / kev, 861.9 / kev, 2.119 + 0.212 * kev)
    return weighted((1.0 - far - scattered, gaussian(sigma)), (far, exponential(length)), (scattered, wings))


def _hri(_kev: float, arcmin: float) -> Eef:
    wide = 3.3 + 0.019 * arcmin - 0.016 * arcmin**2 + 0.0044 * arcmin**3
    return weighted(
        (0.9638 * 2.1858**2, gaussian(2.1858)),
        (0.1798 * wide**2, gaussian(wide)),
        (0.0009 * 31.69**2, exponential(31.69)),
    )


# Above 2 keV the parts of the formula sum to more than all counts.
_PSPC_PSF = PsfFacts(
    _pspc, (0.1, 2.0), 57.0, "Gaussian, exponential and Lorentzian of HEASoft's XIMAGE", "PSPC", starts=("PSPC",)
)
_HRI_PSF = PsfFacts(_hri, (0.1, 2.4), 20.0, "two Gaussians and an exponential of HEASoft's XIMAGE", "HRI")

_CAMERAS = (
    Camera(_PSPCS, missions=("rosat",), vignetting=(_CURVE,), psf=_PSPC_PSF),
    Camera(("HRI",), missions=("rosat",), psf=_HRI_PSF),
)

_IMAGING = Imaging(
    bands=(Band(0.1, 0.4, (11, 41)), Band(0.5, 2.0, (52, 201))),
    pixel=15.0,
    pixels={"HRI": 5.0},
)

TELESCOPE = Telescope(
    name="rosat",
    telescop=("ROSAT",),
    formats=_FORMATS,
    imaging={"rosat": _IMAGING, "rass": _IMAGING},
    cameras=_CAMERAS,
)
