"""What fields of view hold, computed with astropy's offset frames, without any code of daxa."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord, SkyOffsetFrame, angular_separation

STEPS = 400


def separation(one, other):
    """Angle between two places, arcmin."""
    return 60 * math.degrees(angular_separation(*np.radians([one[0], one[1], other[0], other[1]])))


@cache
def square(pointing, roll, half):
    """Poles of the four great circles that bound a square, and places along its border, radians.

    Astropy sends what lies at the position angle `rotation` to the positive latitudes of the offset frame.
    """
    frame = SkyOffsetFrame(origin=SkyCoord(*pointing, unit="deg"), rotation=roll * u.deg)
    side = np.radians(half / 60)
    poles = [(90 + half / 60, 0), (-90 - half / 60, 0), (180, 90 - half / 60), (180, -90 + half / 60)]
    along = np.tan(side) * np.linspace(-1, 1, STEPS)
    edge = np.full(STEPS, np.tan(side))
    x, y = np.concatenate([along, along, edge, -edge]), np.concatenate([edge, -edge, along, along])
    border = np.degrees(np.arctan(x)), np.degrees(np.arctan2(y, np.hypot(1, x)))
    return tuple(_icrs(frame, lon, lat) for lon, lat in (np.transpose(poles), border))


def _icrs(frame, lon, lat):
    places = SkyCoord(lon * u.deg, lat * u.deg, frame=frame).icrs
    return places.ra.rad, places.dec.rad


def depth_in_square(place, pointing, roll, half):
    """Distance to the nearest side (arcmin) of a place inside, or its negative to the border for one outside."""
    (pole_ra, pole_dec), border = square(pointing, roll, half)
    here = np.radians(place)
    inside = np.degrees(angular_separation(*here, pole_ra, pole_dec)).min() * 60 - 5400
    return inside if inside >= 0 else -60 * np.degrees(angular_separation(*here, *border).min())


def decides(view, place, row, radius, how, margin):  # noqa: PLR0917 - as the strategies give them
    """Whether field and target meet (arcmin), and by how much they miss the opposite answer."""
    apart, radius = separation(place, row["place"]), radius or 0.0
    if how == "centre":
        room = radius - apart
    elif view.shape == "square" and not math.isnan(row["roll"]):
        depth = depth_in_square(place, row["place"], row["roll"], view.size * margin)
        room = depth - radius if how == "covers" else depth + radius
    else:
        outer = view.radius * margin
        room = outer - apart - radius if how == "covers" else outer - apart + radius
        if view.shape == "annulus":
            hole = view.inner / margin
            room = min(room, apart - radius - hole if how == "covers" else apart + radius - hole)
    return room >= 0, abs(room)
