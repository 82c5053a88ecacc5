"""ASCA SIS and GIS.

Sources: the ASCA data reduction guide (grades, pixels, channels); the mkfilter rules of
HEASoft; xselect.mdb; the header of a real SIS0 spectrum (seconds since MJD 48988).
"""

from __future__ import annotations

from daxa.xray.lists.eventformat import EventFormat, Refusal
from daxa.xray.lists.rules import Rule

__all__ = ["FORMATS"]

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
        mjdref=48988.0,
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
        mjdref=48988.0,
        gti_tables=("STDGTI", "GTI"),
        named=False,
    )


FORMATS = {
    ("ASCA", "SIS0"): _sis("SIS0"),
    ("ASCA", "SIS1"): _sis("SIS1"),
    ("ASCA", "GIS2"): _gis("GIS2"),
    ("ASCA", "GIS3"): _gis("GIS3"),
}
