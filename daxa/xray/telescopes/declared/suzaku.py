"""Suzaku XIS.

Sources: aepipeline of HEASoft (grades, and those of the P-sum mode); what xisputpixelquality records in a real list
(STATUS: the 19 lowest bits, up to 524287, are safe); the Suzaku data reduction guide
(3.65 eV channels, TCDLT 2.895e-4 deg); xselect.mdb.
"""

from __future__ import annotations

from daxa.xray.telescopes.eventformat import EventFormat, Refusal
from daxa.xray.telescopes.imaging import Band, Imaging
from daxa.xray.telescopes.optics import Eef, PsfFacts, exponential, gaussian, weighted
from daxa.xray.telescopes.rule import Rule
from daxa.xray.telescopes.spec import Camera, Formats, Telescope

__all__ = ["TELESCOPE"]

_SOURCE = "aepipeline: standard event screening of the XIS; lists record GRADE 0:0,2:4,6:6"
_PSUM = "aepipeline: event screening of the XIS in P-sum mode, grades 0 to 2"
_QUALITY = "xisputpixelquality, as lists record it: 524287 SAFE(B0-18)"


def _xis(instrument: str, mode: str, grades: Rule) -> EventFormat:
    return EventFormat(
        mission="suzaku",
        instrument=instrument,
        mode=mode,
        pi_to_kev=(0.0, 3.65e-3),
        pi_limits=(0, 4095),
        pixel_arcsec=1.0422,
        reference_pixel=768.5,
        sky_limits=(1, 1536),
        field_arcmin=12.5,
        rules=(
            grades,
            Rule("STATUS", "between", (0, 524287), _QUALITY),
        ),
        refusals=(Refusal("image", "its P-sum mode keeps one coordinate only", card="DATAMODE", values=("TIMING",)),),
        mjdref=51544.00074287,
    )


_NAMES = ("XIS0", "XIS1", "XIS2", "XIS3")
_GRADES = Rule("GRADE", "in", (0, 2, 3, 4, 6), _SOURCE)
_PSUM_GRADES = Rule("GRADE", "between", (0, 2), _PSUM)

_FORMATS: Formats = {
    **{(name,): _xis(name, "", _GRADES) for name in _NAMES},
    **{(name, "TIMING"): _xis(name, "PSUM", _PSUM_GRADES) for name in _NAMES},
}


def _spread(_kev: float, _arcmin: float) -> Eef:
    near, middle, far = 60.0 * 0.221, 60.0 * 0.970, 60.0 * 1.937
    return weighted(
        (1.101 * near**2, exponential(near)),
        (0.0919 * middle**2, gaussian(middle)),
        (0.00539 * far**2, exponential(far)),
    )


_PSF = PsfFacts(
    _spread,
    (0.2, 12.0),
    12.0,
    "XIS0: exponentials and a Gaussian of HEASoft's XIMAGE",
    "XIS",
    starts=("XIS", "XI"),
)

TELESCOPE = Telescope(
    name="suzaku",
    telescop=("SUZAKU", "ASTRO-E2"),
    formats=_FORMATS,
    # Channels whose middle lies inside.
    imaging={"suzaku": Imaging(bands=(Band(0.5, 2.0, (137, 547)), Band(2.0, 10.0, (548, 2739))), pixel=8.3376)},
    cameras=(Camera(("XIS0", "XIS1", "XIS2", "XIS3"), psf=_PSF),),
    not_native={
        "HXD": "its background comes from simulated events, which HEASoft combines",
    },
)
