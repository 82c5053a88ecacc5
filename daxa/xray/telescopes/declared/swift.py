"""Swift XRT.

Sources: xrtscreen and xrtpipeline of the XRT data analysis software (grades, status);
real headers of spectra in both modes (grades 0:12 and 0:2, STATUS==b0, pixel 6.548089e-4 deg,
1024 channels, DEADC).  Vignetting: the formula in the source of HEASoft's XIMAGE.  Pile-up: that
of photon counting mode.
"""

from __future__ import annotations

import numpy as np

from daxa.xray.telescopes.eventformat import EventFormat, Refusal
from daxa.xray.telescopes.imaging import Band, Imaging
from daxa.xray.telescopes.optics import Eef, PsfFacts, Vignetting, king
from daxa.xray.telescopes.rule import Rule
from daxa.xray.telescopes.spec import Camera, Formats, Telescope

__all__ = ["TELESCOPE"]

_XRTSCREEN = "XRTDAS xrtscreen: default grades and status"


def _xrt(mode: str, grades: int, refusals: tuple[Refusal, ...] = ()) -> EventFormat:
    return EventFormat(
        mission="swift",
        instrument="XRT",
        mode=mode,
        pi_to_kev=(0.0, 0.01),
        pi_limits=(0, 1023),
        pixel_arcsec=2.35731,
        reference_pixel=500.5,
        sky_limits=(1, 1000),
        field_arcmin=11.8,
        rules=(
            Rule("GRADE", "between", (0, grades), _XRTSCREEN),
            Rule("STATUS", "bits_clear", 0xFFFF, _XRTSCREEN, bits=16),
        ),
        refusals=refusals,
        mjdref=51910.00074287037,
    )


_ONE_COORDINATE = Refusal("image", "windowed timing keeps one coordinate only")
_NO_COORDINATE = Refusal("image", "its photodiode mode keeps no coordinates")

_FORMATS: Formats = {
    ("XRT", "PHOTON"): _xrt("", 12),
    ("XRT", "WINDOWED"): _xrt("WT", 2, (_ONE_COORDINATE,)),
    ("XRT", "LOWRATE"): _xrt("PD", 5, (_NO_COORDINATE,)),
    ("XRT", "PILEDUP"): _xrt("PD", 5, (_NO_COORDINATE,)),
}


def _area(t: np.ndarray, energy: float) -> np.ndarray:
    share: np.ndarray = 1.0 - (1.248e-4 * 1.55219**energy + 1.85628e-3) * t * t
    return share


_CURVE = Vignetting(
    (0.3, 10.0), True, 17.0, 0.0, (0.0, 0.0), _area, "HEASoft XIMAGE, XRT", unproved="vignetting of XRT"
)


def _spread(kev: float, arcmin: float) -> Eef:
    t, e, te = 10.0 * arcmin, 10.0 * kev, 100.0 * kev * arcmin
    rc = 2.34732 - 3.33966e-3 * t - 8.40089e-4 * e + 2.52944e-4 * te
    return king(2.36 * rc, 1.52877 + 7.65975e-4 * t - 2.94131e-4 * e + 3.72197e-5 * te)


_PSF = PsfFacts(_spread, (0.2, 10.0), 12.0, "King function of HEASoft's XIMAGE", "XRT")

# The bands of the XRT point source catalogues (1SXPS, Evans et al. 2014, ApJS 210, 8).
_IMAGING = Imaging(
    bands=(Band(0.3, 1.0, (30, 99)), Band(1.0, 2.0, (100, 199)), Band(2.0, 10.0, (200, 999))),
    pixel=2.36,
)

TELESCOPE = Telescope(
    name="swift",
    telescop=("SWIFT",),
    formats=_FORMATS,
    imaging={"swift": _IMAGING},
    cameras=(Camera(("XRT",), vignetting=(_CURVE,), psf=_PSF, pile_up={"": 0.5}),),
    not_native={
        "BAT": "it looks through a coded mask, whose images need HEASoft",
        "UVOT": "it records no X-ray photons; use the archive's level 2 images",
    },
)
