"""Which pixels of an image lie in regions, shape by shape, in pixels or on the sky."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from astropy import units as u
from astropy.coordinates import ICRS, BaseCoordinateFrame, SkyCoord
from astropy.wcs import WCS

from daxa.errors import NotPossible
from daxa.xray.eventlists.frames import frame_of, reach_of, to_icrs, to_pixels

if TYPE_CHECKING:
    from regions import PixelRegion, SkyRegion

__all__ = ["SkyOfImage", "fill_pixels"]

_FLAT = 75.0
"""Degrees: what lies farther from the middle of a plane has no sound place in it."""

_SMALL, _NEAR = 0.25, 5.0
"""Degrees: shapes up to this size, so far from an image's middle, are in its plane what they are on the sky."""

_EVEN = 0.01
"""How much the scales of a plane may differ with direction for shapes to keep their form in it."""


def fill_pixels(region: PixelRegion, mask: np.ndarray) -> None:
    """Mark the pixels whose centre lies in a region in pixels."""
    from regions import PixCoord

    if not hasattr(region, "contains"):
        return
    box, (ny, nx) = region.bounding_box, mask.shape
    y0, y1 = max(box.iymin - 1, 0), min(box.iymax + 1, ny)
    x0, x1 = max(box.ixmin - 1, 0), min(box.ixmax + 1, nx)
    if y0 < y1 and x0 < x1:
        iy, ix = np.mgrid[y0:y1, x0:x1]
        mask[y0:y1, x0:x1] |= region.contains(PixCoord(ix.astype(float), iy.astype(float)))


class SkyOfImage:
    """Where an image lies on the sky, and what of a region on the sky it sees."""

    def __init__(self, wcs: WCS, shape: tuple[int, int]) -> None:
        self.wcs, self.shape = wcs, shape
        ra, dec, self.radius = reach_of(wcs, shape)
        self.middle = SkyCoord(ra, dec, unit="deg") if np.isfinite([ra, dec]).all() else None
        self.even = False
        if self.middle is not None and self.radius <= _NEAR:
            # What holds in the middle and the corners of a small image holds everywhere in it.
            x, y = (np.array([0.5, 0.0, 1.0, 0.0, 1.0]), np.array([0.5, 0.0, 0.0, 1.0, 1.0]))
            places = SkyCoord(*to_icrs(wcs, x * (shape[1] - 1), y * (shape[0] - 1)), unit="deg")
            self.even = all(self._is_even(place) for place in places)

    def fill(self, region: SkyRegion, mask: np.ndarray) -> None:
        """Mark the pixels whose centre lies in a region on the sky."""
        if not hasattr(region, "contains"):
            return
        places = region.vertices if hasattr(region, "vertices") else region.center.reshape(1)
        reach = _reach(region)
        apart = self.middle.separation(places.icrs).deg if self.middle is not None else np.zeros(len(places))
        # A polygon lies within `reach` of its first vertex.
        if apart[0] > self.radius + reach:
            return
        small = self.middle is not None and reach <= _SMALL and apart[0] <= _NEAR and self._is_even(places[0].icrs)
        if small if len(places) == 1 else apart.max() <= _FLAT:
            fill_pixels(self._in_pixels(region), mask)
        elif hasattr(region, "radius") or hasattr(region, "outer_radius"):
            mask |= self._in_rings(region)
        elif len(places) == 1 and reach <= _FLAT:
            mask |= self._in_own_plane(region, reach)
        else:
            raise NotPossible(
                "regions",
                f"a region about {reach:.0f} degrees large has no shape in the plane of an image",
                remedy="give smaller regions, or a circle",
            )

    def _in_pixels(self, region: SkyRegion) -> PixelRegion:
        frame = frame_of(self.wcs)
        if frame is None or (self.wcs.wcs.radesys in {"FK4", "FK5"} and self.wcs.wcs.lngtyp == "RA"):
            return region.to_pixel(self.wcs)
        # Other frames are not known to the package: the same numbers under the names of a frame that is.
        plane = self.wcs.deepcopy()
        plane.wcs.ctype = [f"{'RA--' if kind[1:4] == 'LON' else 'DEC-'}{kind[4:]}" for kind in plane.wcs.ctype]
        plane.wcs.radesys, plane.wcs.equinox = "ICRS", np.nan
        plane.wcs.set()
        if hasattr(region, "vertices"):
            return region.copy(vertices=_renamed(region.vertices, frame)).to_pixel(plane)
        centre = _renamed(region.center, frame)
        if not hasattr(region, "angle"):
            return region.copy(center=centre).to_pixel(plane)
        north = _renamed(region.center.directional_offset_by(0 * u.deg, 1 * u.arcsec), frame)
        return region.copy(center=centre, angle=region.angle + centre.position_angle(north)).to_pixel(plane)

    def _is_even(self, place: SkyCoord) -> bool:
        """Whether the scale of the plane is the same in all directions at a place."""
        if self.even:
            return True
        around = [place, *(place.directional_offset_by(turn * u.deg, 1 * u.arcsec) for turn in (0, 90))]
        x, y = np.transpose([to_pixels(self.wcs, one.ra.deg, one.dec.deg) for one in around])
        moves = np.array([x[1:] - x[0], y[1:] - y[0]])
        if not np.isfinite(moves).all():
            return False
        steps = np.linalg.svd(moves, compute_uv=False)
        return bool(steps[0] - steps[1] < _EVEN * steps[0])

    def _pixels(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Right ascension and declination of all pixels, deg, 0 where they have none; and which have."""
        iy, ix = np.indices(self.shape)
        ra, dec = to_icrs(self.wcs, ix.ravel(), iy.ravel())
        known = np.isfinite(ra) & np.isfinite(dec)
        return np.where(known, ra, 0.0), np.where(known, dec, 0.0), known

    def _in_own_plane(self, region: SkyRegion, reach: float) -> np.ndarray:
        """In the plane that touches the sky at the region's centre, whatever the plane of the image."""
        from regions import PixCoord

        plane = WCS(naxis=2)
        plane.wcs.ctype, plane.wcs.cdelt = ("RA---TAN", "DEC--TAN"), (-reach / 1000, reach / 1000)
        plane.wcs.crval = region.center.icrs.ra.deg, region.center.icrs.dec.deg
        plane.wcs.radesys = "ICRS"
        plane.wcs.set()
        ra, dec, known = self._pixels()
        x, y = to_pixels(plane, ra, dec)
        known &= np.isfinite(x) & np.isfinite(y)
        inside = region.to_pixel(plane).contains(PixCoord(np.where(known, x, 0.0), np.where(known, y, 0.0)))
        return (known & inside).reshape(self.shape)

    def _in_rings(self, region: SkyRegion) -> np.ndarray:
        ra, dec, known = self._pixels()
        place = SkyCoord(ra, dec, unit="deg")
        apart = place.separation(region.center.icrs)
        inner = getattr(region, "inner_radius", -1 * u.deg)
        outer = region.radius if hasattr(region, "radius") else region.outer_radius
        return (known & (apart < outer) & (apart >= inner)).reshape(self.shape)


def _renamed(place: SkyCoord, frame: BaseCoordinateFrame) -> SkyCoord:
    """The numbers of positions in a frame, as if they were ICRS."""
    there = place.transform_to(frame).spherical
    return SkyCoord(there.lon, there.lat, frame=ICRS())


def _reach(region: SkyRegion) -> float:
    """Degrees from its centre, or first vertex, within which a region on the sky lies."""
    if hasattr(region, "vertices"):
        return float(region.vertices[0].separation(region.vertices).deg.max())
    for name in ("radius", "outer_radius"):
        if hasattr(region, name):
            return float(getattr(region, name).to_value(u.deg))
    start = "outer_" if hasattr(region, "outer_width") else ""
    sides = [getattr(region, f"{start}{name}").to_value(u.deg) for name in ("width", "height")]
    return float(np.hypot(*sides)) / 2
