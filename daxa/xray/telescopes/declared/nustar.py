"""NuSTAR.

Sources: the NuSTAR data analysis software guide; what nuscreen records in real lists.  The
status expression b0000xxx00xxxx000, which keeps more, is what that guide's authors advise for
bright sources.  Grades 25 and 26 at the edge of a detector, which nuscreen takes out besides,
are not in cleaned lists and are not looked for.
Scales of the detectors: Harrison et al. 2013, ApJ 770, 103.

Point spread function: FWHM and half-power diameter of Harrison et al. 2013; the wings are those of a list of
SS 433 (30002041016, FPMA), in whose detector coordinates, with the motion of the mast of 74 arcsec taken
into account, 80.1, 92.6, 96.5 and 98.5 % of the counts lie within 80, 120, 150 and 180 arcsec of the middle.
"""

from __future__ import annotations

from daxa.xray.telescopes.detector import Detector
from daxa.xray.telescopes.eventformat import EventFormat
from daxa.xray.telescopes.imaging import Band, Imaging
from daxa.xray.telescopes.optics import Eef, PsfFacts, exponential, king, weighted
from daxa.xray.telescopes.rule import Rule
from daxa.xray.telescopes.spec import Camera, Formats, Telescope

__all__ = ["TELESCOPE"]

_NUSCREEN = "NuSTARDAS nuscreen, as lists record it: STATUS==b000000000x0xx000&&SHIELD==0, GRADE 0:26"


def _fpm(instrument: str) -> EventFormat:
    return EventFormat(
        mission="nustar",
        instrument=instrument,
        pi_to_kev=(1.6, 0.04),
        pi_limits=(0, 4095),
        pixel_arcsec=2.4581,
        reference_pixel=500.5,
        sky_limits=(1, 1000),
        field_arcmin=9.5,
        rules=(
            # b000000000x0xx000, first bit leftmost
            Rule("STATUS", "bits_clear", 0b1111111110100111, _NUSCREEN, bits=16),
            Rule("SHIELD", "equal", 0, _NUSCREEN),
            Rule("GRADE", "between", (0, 26), _NUSCREEN),
        ),
        mjdref=55197.00076601852,
        livetime_scheme="deadc",
        cell_arcsec=40.0,
    )


_FORMATS: Formats = {("FPMA",): _fpm("FPMA"), ("FPMB",): _fpm("FPMB")}

_DETECTOR = Detector(
    raw=("RAWX", "RAWY"),
    first=0,
    size=(32, 32),
    plane=("DET1X", "DET1Y"),
    raw_scale=5.0,
    sky_scale=1.0,
    roll="PA_PNT",
    sense=1,
    dither=100.0,
    rim=0.5,
    module="DET_ID",
    turns=4,
    turn_centre=180.5,
    field=9.2,
)


def _spread(_kev: float, _arcmin: float) -> Eef:
    return weighted((0.588, exponential(10.68)), (0.412, king(150.0, 5.01)))


_PSF = PsfFacts(
    _spread,
    (3.0, 79.0),
    10.0,
    "exponential and King function: FWHM 18, HPD 58 arcsec, wings of SS 433, 3-20 keV",
    "FPM",
    starts=("FPM",),
)


TELESCOPE = Telescope(
    name="nustar",
    telescop=("NUSTAR",),
    formats=_FORMATS,
    imaging={"nustar": Imaging(bands=(Band(3.0, 10.0, (35, 209)), Band(10.0, 30.0, (210, 709))), pixel=2.458)},
    cameras=(Camera(("FPMA", "FPMB"), detector=_DETECTOR, psf=_PSF),),
)
