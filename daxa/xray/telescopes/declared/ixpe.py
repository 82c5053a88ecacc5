"""IXPE: one list per detector unit, whose name is in DETNAM.

Sources: the IXPE level 2 data format document; real headers of products of a level 2
list (375 channels; DEADC is 1 there while LIVETIME is less than ONTIME).
"""

from __future__ import annotations

from daxa.xray.telescopes.eventformat import EventFormat
from daxa.xray.telescopes.imaging import Band, Imaging
from daxa.xray.telescopes.optics import PsfFacts, half_power
from daxa.xray.telescopes.spec import Camera, Formats, Telescope

__all__ = ["TELESCOPE"]


def _unit(instrument: str) -> EventFormat:
    return EventFormat(
        mission="ixpe",
        instrument=instrument,
        pi_to_kev=(0.0, 0.04),
        pi_limits=(0, 374),
        pixel_arcsec=2.6,
        reference_pixel=300.0,
        sky_limits=(1, 600),
        mjdref=57754.00080074074,
        live_cards=("LIVETIME/ONTIME", "DEADC"),
    )


_FORMATS: Formats = {("GPD", name): _unit(name) for name in ("DU1", "DU2", "DU3")}

_PSF = PsfFacts(half_power(27.5), (2.0, 8.0), 6.5, "Gaussian, HPD 25 to 30 arcsec", "IXPE", starts=("DU",))


TELESCOPE = Telescope(
    name="ixpe",
    telescop=("IXPE",),
    formats=_FORMATS,
    imaging={"ixpe": Imaging(bands=(Band(2.0, 8.0, (50, 199)),), pixel=2.6)},
    cameras=(Camera(("DU1", "DU2", "DU3"), psf=_PSF),),
)
