"""Facts about the detectors behind the event lists: pixels, focal planes, fields of view."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType

__all__ = ["DETECTORS", "Detector"]


@dataclass(frozen=True)
class Detector:
    """Facts about the chips of an instrument and their columns.

    Parameters
    ----------
    raw, first, size
        Columns of the pixel on the chip, number of the first pixel, pixels along both.
    plane
        Columns of the place in the focal plane.
    raw_scale, sky_scale
        Focal-plane units per chip pixel, and event sky pixels per focal-plane unit.
    roll, sense
        Card with the roll angle, and +1 where it turns like a position angle (from north
        to east) or -1.
    wander
        Most that the focal plane moves on the sky, event sky pixels.
    border
        Pixels along each edge of a chip from which no event comes.
    rim
        How far the outermost pixels reach beyond their nominal half, chip pixels.
    module
        Column that tells modules apart that share good times ('' when chips do not).
    turns, turn_centre
        Number of equal modules, each turned by 90 degrees about this point of the focal plane.
    circle
        Field of view in the focal plane, (x, y, radius), None when the chips bound it.
    window
        Table cards (first x, first y, width, height) of the part that is read out, and
        the table: ``EXPOSU`` per chip or ``EVENTS``.
    field
        Radius of the field about the pointing in arcmin: the last resort.
    """

    raw: tuple[str, str]
    first: int
    size: tuple[int, int]
    plane: tuple[str, str]
    raw_scale: float
    sky_scale: float
    roll: str
    sense: int
    wander: float
    border: int = 0
    rim: float = 0.0
    module: str = ""
    turns: int = 1
    turn_centre: float = 0.0
    circle: tuple[float, float, float] | None = None
    window: str = ""
    field: float = 15.0


_MOS = Detector(
    raw=("RAWX", "RAWY"),
    first=1,
    size=(600, 600),
    plane=("DETX", "DETY"),
    raw_scale=22.02,
    sky_scale=1.0,
    roll="PA_PNT",
    sense=1,
    wander=200.0,
    window="EXPOSU",
)
_FPM = Detector(
    raw=("RAWX", "RAWY"),
    first=0,
    size=(32, 32),
    plane=("DET1X", "DET1Y"),
    raw_scale=5.0,
    sky_scale=1.0,
    roll="PA_PNT",
    sense=1,
    wander=100.0,
    rim=0.5,
    module="DET_ID",
    turns=4,
    turn_centre=180.5,
    field=9.2,
)

DETECTORS = MappingProxyType(
    {
        # Fields of view: XMM-ESAS (Snowden et al. 2008, A&A 478, 615) for MOS1 and pn.  MOS2: the radius of
        # MOS1 about the centre that fits a map of SAS best (0404910601, 0.5-2 keV).
        "M1": replace(_MOS, circle=(97.0, -172.0, 17152.0)),
        "M2": replace(_MOS, circle=(-64.0, -291.0, 17152.0)),
        "PN": replace(_MOS, size=(64, 200), raw_scale=82.0, circle=(-2200.0, -1110.0, 17980.0)),
        "ACIS": Detector(
            raw=("chipx", "chipy"),
            first=1,
            size=(1024, 1024),
            plane=("detx", "dety"),
            raw_scale=0.998,
            sky_scale=1.0,
            roll="ROLL_NOM",
            sense=-1,
            wander=64.0,
            border=1,
            window="EVENTS",
            field=12.0,
        ),
        "FPMA": _FPM,
        "FPMB": _FPM,
    }
)
"""Instrument to its detector.  Scales: the XMM-Newton and Chandra handbooks; Harrison et al. 2013, ApJ 770, 103."""
