"""ASCA SIS and GIS.

Sources: the ASCA data reduction guide (grades, pixels, channels); the mkfilter rules of
HEASoft; xselect.mdb; the header of a real SIS0 spectrum (seconds since MJD 48988).
"""

from __future__ import annotations

from daxa.xray.telescopes.eventformat import EventFormat, Refusal
from daxa.xray.telescopes.imaging import Band, Imaging
from daxa.xray.telescopes.optics import PsfFacts, half_power
from daxa.xray.telescopes.rule import Rule
from daxa.xray.telescopes.spec import Camera, Formats, Telescope

__all__ = ["TELESCOPE"]

_MJDREF = 48988.0
_GUIDE = "mkfilter rules of HEASoft (REV2): standard grades of the SIS"


def _sis(instrument: str) -> EventFormat:
    return EventFormat(
        mission="asca",
        instrument=instrument,
        pi_to_kev=(0.0, 3.65e-3),
        pi_limits=(0, 4095),
        pixel_arcsec=1.59,
        rules=(Rule("GRADE", "in", (0, 2, 3, 4), _GUIDE),),
        refusals=(Refusal("image", "fast mode keeps one coordinate only", card="DATAMODE", values=("FAST",)),),
        mjdref=_MJDREF,
        gti_tables=("STDGTI", "GTI"),
        named=False,
    )


def _gis(instrument: str) -> EventFormat:
    return EventFormat(
        mission="asca",
        instrument=instrument,
        pi_to_kev=(0.0, 11.8e-3),
        pi_limits=(0, 1023),
        pixel_arcsec=14.73,
        refusals=(Refusal("image", "its MPC mode keeps no coordinates", card="DATAMODE", values=("MPC",)),),
        mjdref=_MJDREF,
        gti_tables=("STDGTI", "GTI"),
        named=False,
    )


_FORMATS: Formats = {
    ("SIS0",): _sis("SIS0"),
    ("SIS1",): _sis("SIS1"),
    ("GIS2",): _gis("GIS2"),
    ("GIS3",): _gis("GIS3"),
}

_PSF = PsfFacts(half_power(180.0), (0.5, 10.0), 25.0, "Gaussian, HPD 3 arcmin", "ASCA", starts=("SIS", "GIS"))


# Channels whose middle lies inside.
_IMAGING = Imaging(
    bands=(
        Band(0.7, 2.0, (192, 547), (("GIS2", (59, 168)), ("GIS3", (59, 168)))),
        Band(2.0, 10.0, (548, 2739), (("GIS2", (169, 846)), ("GIS3", (169, 846)))),
    ),
    pixel=14.73,
    pixels={"SIS0": 6.36, "SIS1": 6.36},
)

TELESCOPE = Telescope(
    name="asca",
    telescop=("ASCA", "ASTRO-D"),
    formats=_FORMATS,
    imaging={"asca": _IMAGING},
    cameras=(Camera(("SIS0", "SIS1", "GIS2", "GIS3"), psf=_PSF),),
)
