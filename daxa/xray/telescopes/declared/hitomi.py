"""Hitomi SXI and SXS, as XRISM's Xtend and Resolve but with the archive's own screening.

Sources: the Hitomi data reduction guide (6 eV and 0.5 eV channels, pixel 1.768 arcsec);
xselect.mdb.
"""

from __future__ import annotations

from daxa.xray.telescopes.eventformat import EventFormat, Refusal
from daxa.xray.telescopes.spec import Formats, Telescope

__all__ = ["TELESCOPE"]

_MJDREF = 56658.00077759

_FORMATS: Formats = {
    ("SXI",): EventFormat(
        mission="hitomi",
        instrument="SXI",
        pi_to_kev=(0.0, 0.006),
        pi_limits=(0, 4095),
        pixel_arcsec=1.768,
        field_arcmin=19.5,
        mjdref=_MJDREF,
    ),
    ("SXS",): EventFormat(
        mission="hitomi",
        instrument="SXS",
        pi_to_kev=(0.0, 0.0005),
        pi_limits=(0, 32767),
        refusals=(Refusal("image", "its 6 x 6 pixels are larger than the core of the point spread"),),
        mjdref=_MJDREF,
    ),
}

TELESCOPE = Telescope(
    name="hitomi",
    telescop=("HITOMI", "ASTRO-H"),
    formats=_FORMATS,
)
