"""The detectors behind the event lists: pixels, focal planes, fields of view."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Detector"]


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
    dither
        Most that the focal plane moves on the sky, event sky pixels.
    border
        Pixels along each edge of a chip from which no event comes.
    rim
        How far the outermost pixels reach beyond their nominal half, chip pixels.
    module
        Column that distinguishes modules that share good times ('' when chips do not).
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
    dither: float
    border: int = 0
    rim: float = 0.0
    module: str = ""
    turns: int = 1
    turn_centre: float = 0.0
    circle: tuple[float, float, float] | None = None
    window: str = ""
    field: float = 15.0
