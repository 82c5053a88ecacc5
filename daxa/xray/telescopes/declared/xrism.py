"""XRISM Xtend and Resolve.

Sources: the XRISM Quick-Start Guide as public scripts quote it word for word (screening of
Resolve), ahpipeline of HEASoft (STATUS[1] of Xtend); the data reduction guide (6 eV and 0.5 eV
channels); xselect.mdb; the header of a real Resolve spectrum.
"""

from __future__ import annotations

from daxa.xray.telescopes.eventformat import EventFormat, Refusal
from daxa.xray.telescopes.imaging import Band, Imaging
from daxa.xray.telescopes.optics import PsfFacts, half_power
from daxa.xray.telescopes.rule import Either, Rule
from daxa.xray.telescopes.spec import Camera, Formats, Telescope

__all__ = ["TELESCOPE"]

_GUIDE = "XRISM Quick-Start Guide 2.1: additional screening of cleaned lists, as public scripts quote it"
_MJDREF = 58484.00080074074

_XTEND = EventFormat(
    mission="xrism",
    instrument="XTEND",
    pi_to_kev=(0.0, 0.006),
    pi_limits=(0, 4095),
    pixel_arcsec=1.768,
    field_arcmin=19.5,
    rules=(
        Rule("GRADE", "in", (0, 2, 3, 4, 6), _GUIDE),
        Rule("STATUS", "places_clear", (1,), _GUIDE),
    ),
    mjdref=_MJDREF,
)

_RESOLVE = EventFormat(
    mission="xrism",
    instrument="RESOLVE",
    pi_to_kev=(0.0, 0.0005),
    pi_limits=(0, 59999),
    rules=(
        Rule("PI", "between", (600, 59999), _GUIDE),
        Either(
            (
                (
                    Rule("RISE_TIME", "within", (46, 58), _GUIDE, plus=("DERIV_MAX", 0.00075)),
                    Rule("ITYPE", "between", (0, 3), _GUIDE),
                ),
                (Rule("ITYPE", "equal", 4, _GUIDE),),
            ),
            _GUIDE,
        ),
        Rule("STATUS", "places_clear", (4,), _GUIDE),
        # The calibration pixel sees a radioactive source, not the sky.
        Rule("PIXEL", "not_in", (12,), _GUIDE),
    ),
    refusals=(Refusal("image", "its 6 x 6 pixels are larger than the core of the point spread"),),
    mjdref=_MJDREF,
)

_FORMATS: Formats = {("XTEND",): _XTEND, ("RESOLVE",): _RESOLVE}

_PSF = PsfFacts(half_power(78.0), (0.3, 13.0), 20.0, "Gaussian, HPD 1.3 arcmin", "XTEND")


# Channels whose middle lies inside.
_IMAGING = Imaging(
    bands=(
        Band(0.5, 2.0, (83, 332), (("RESOLVE", (1000, 3999)),)),
        Band(2.0, 10.0, (333, 1666), (("RESOLVE", (4000, 19999)),)),
    ),
    pixel=14.144,
)

TELESCOPE = Telescope(
    name="xrism",
    telescop=("XRISM",),
    formats=_FORMATS,
    imaging={"xrism": _IMAGING},
    cameras=(Camera(("XTEND",), psf=_PSF),),
)
