"""Regions of DS9: read from files or text, and as masks of pixels.

What a sign means is as funtools documents it ("Region Exclusion" of its *Regions* page),
whose filters DS9 uses: a shape after ``-`` is taken away from all others, wherever it
is in the file, and such shapes alone leave the whole field except them.  Shapes without
an area (lines, points, texts) select nothing there either.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from astropy import units as u
from astropy.coordinates import ICRS, BaseCoordinateFrame, SkyCoord
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning
from astropy.wcs import WCS

from daxa.errors import DataError, NotPossible
from daxa.xray.eventlists.cards import card_number
from daxa.xray.eventlists.frames import frame_of, to_icrs

if TYPE_CHECKING:
    from regions import PixelRegion, Region, Regions, SkyRegion

__all__ = ["parse_regions", "read_regions", "region_mask"]

_FRAMES = frozenset({"image", "physical", "icrs", "fk5", "j2000", "fk4", "b1950", "galactic", "ecliptic"})
_OTHER_FRAMES = re.compile(r"linear|amplifier|detector|tile|wcs[0a-z]?")
_AREAS = frozenset({"circle", "ellipse", "box", "annulus", "polygon"})
_COMMENTED = frozenset({"composite", "panda", "epanda", "bpanda", "cpanda", "pie"})
_NO_AREAS = frozenset({"line", "point", "text", "vector", "segment", "ruler", "compass", "projection"})
_PIECES = re.compile(r"((?:\{[^}\n]*\}|[^;\n])*)[;\n]?")
_EXCLUDED = re.compile(r"\binclude\s*=\s*0")
_TEXT = re.compile(r"\{[^}\n]*\}")
_WORD = re.compile(r"(#?)\s*([+-]?)\s*([A-Za-z]+\d*)")

_CORNERS = 3

_FLAT = 75.0
"""Degrees: what lies farther from an image's middle has no sound place in its plane."""


def read_regions(path: Path, *, say: Callable[[str], None] | None = None) -> Regions:
    """The regions of a DS9 file.

    Parameters
    ----------
    path
        The file.
    say
        As in `parse_regions`.

    Returns
    -------
    regions.Regions
        As `parse_regions` gives them.

    Raises
    ------
    DataError
        The file is absent, or is not a DS9 region file.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DataError("absent", f"there is no file {path.name}", remedy="check the name of the region file") from None
    except (ValueError, OSError) as problem:
        raise DataError(
            "regions", f"{path.name} cannot be read as DS9 regions: {problem}", remedy="save it from DS9 again"
        ) from problem
    return parse_regions(text, path.name, say=say)


def parse_regions(text: str, name: str, *, say: Callable[[str], None] | None = None) -> Regions:
    r"""The regions of the text of a DS9 file.

    Parameters
    ----------
    text
        What is in the file.
    name
        What messages call it.
    say
        Called, with a sentence, for each kind of shape that has no area and is passed over; a
        Python warning when left out.

    Returns
    -------
    regions.Regions
        Shapes with an area.  ``meta["include"]`` is 0 for those after a minus sign,
        ``meta["frame"]`` is ``"physical"`` for those in physical pixels.

    Raises
    ------
    DataError
        It is not a text of DS9 regions, holds none, or one of a kind that is not read.

    Examples
    --------
    >>> len(parse_regions('fk5\ncircle(149.59,-11.06,60")', "halo.reg"))
    1
    """
    from regions import Regions

    kept: dict[bool, list[str]] = {False: [], True: []}
    passed: set[str] = set()
    for frame, shape, piece in _shapes(text, name):
        if shape in _NO_AREAS:
            passed.add(shape)
        else:
            kept[frame == "physical"] += ["image" if frame == "physical" else frame, piece]
    for shape in sorted(passed):
        sentence = f"{name}: shapes of the kind {shape!r} have no area and select nothing"
        if say is None:
            warnings.warn(sentence, AstropyUserWarning, stacklevel=2)
        else:
            say(sentence)
    try:
        with warnings.catch_warnings():
            # A line that is passed over would be an area that is not left out.
            warnings.simplefilter("error", AstropyUserWarning)
            found, physical = (Regions.parse("\n".join(kept[kind]), format="ds9") for kind in (False, True))
    except (ValueError, LookupError, TypeError, AttributeError, AstropyUserWarning) as problem:
        raise _unreadable(name, str(problem)) from problem
    for region in (*found, *physical):
        _check_numbers(name, region)
    for region in physical:
        region.meta["frame"] = "physical"
    if not len(found) + len(physical) and not passed:
        raise DataError("regions", f"{name} holds no region", remedy="check the file, or give none")
    return Regions([*found, *physical])


def _shapes(text: str, name: str) -> Iterator[tuple[str, str, str]]:
    """Frame, shape and text of each shape."""
    frame = ""
    for match in _PIECES.finditer(text):
        piece = match[1].strip()
        word = _WORD.match(piece)
        if piece.lower().startswith("global") and _EXCLUDED.search(_TEXT.sub("", piece)):
            raise _unreadable(name, "'global include=0' is not read: write a minus sign before each shape")
        if not piece or piece.lower().startswith("global") or (piece[0] == "#" and not word):
            continue
        if not word:
            raise _unreadable(name, f"there is no shape in {piece[:60]!r}")
        shape, rest = word[3].lower(), piece[word.end() :].strip()
        if word[1]:
            # DS9 writes what other programs do not know as comments.
            if shape in _COMMENTED and rest.startswith("("):
                raise _unreadable(name, f"shapes of the kind {shape!r} are not read")
            if shape in _NO_AREAS and rest.startswith("("):
                yield frame, shape, piece
        elif shape in _FRAMES and not rest:
            frame = shape
        else:
            _check_shape(name, frame, shape, piece)
            yield frame, shape, piece


def _check_shape(name: str, frame: str, shape: str, piece: str) -> None:
    if _OTHER_FRAMES.fullmatch(shape):
        raise _unreadable(name, f"coordinates of the kind {shape!r} are not read")
    if shape not in _AREAS | _NO_AREAS:
        raise _unreadable(name, f"shapes of the kind {shape!r} are not read")
    if not frame:
        raise _unreadable(name, f"it does not say in which coordinates {piece[:60]!r} is")
    if re.search(r"\|\||&&", _TEXT.sub("", piece)):
        raise _unreadable(name, f"combinations of shapes are not read: {piece[:60]!r}")


def _check_numbers(name: str, region: Region) -> None:
    """Refuse what would select nothing in silence: numbers that are none, and polygons without an area."""
    if hasattr(region, "vertices") and np.size(region.vertices) < _CORNERS:
        raise _unreadable(name, f"a polygon has {np.size(region.vertices)} corners")
    for part in region._params:  # noqa: SLF001
        value = getattr(region, part)
        parts = value.xy if hasattr(value, "xy") else value
        if isinstance(value, SkyCoord):
            parts = value.spherical.lon.deg, value.spherical.lat.deg
        if not all(np.isfinite(np.asarray(getattr(one, "value", one), float)).all() for one in np.atleast_1d(parts)):
            raise _unreadable(name, f"a shape has a {part} that is not a finite number")


def _unreadable(name: str, what: str) -> DataError:
    return DataError("regions", f"{name} cannot be read as DS9 regions: {what}", remedy="save it from DS9 again")


def region_mask(
    regions: Regions | Sequence[Region],
    shape: tuple[int, int],
    wcs: WCS | None = None,
    *,
    header: fits.Header | None = None,
) -> np.ndarray:
    """Pixels whose centre lies in the area that some regions select.

    Parameters
    ----------
    regions
        Regions on the sky or in pixels (`regions.Regions`, or any sequence of regions).
    shape
        (ny, nx) of the image.
    wcs
        World coordinates of the image; regions on the sky need them.
    header
        Of the image; regions in physical pixels need its LTMi_i and LTVi.

    Returns
    -------
    numpy.ndarray
        bool, shape (ny, nx): in any of the regions, and in none whose ``meta["include"]`` is 0.
        Where all are such, the whole image but them.

    Raises
    ------
    NotPossible
        A region on the sky and no world coordinates, a region in physical pixels and no
        header that has them, or one so large that it has no shape in the image's plane.
    """
    from regions import SkyRegion

    chosen, taken = (np.zeros(shape, dtype=bool) for _ in range(2))
    sky = _Sky(wcs, shape) if wcs is not None else None
    included = 0
    for region in regions:
        excluded = region.meta.get("include", 1) in {0, "-"}
        included += not excluded
        plain = region.copy(meta={})
        mask = taken if excluded else chosen
        if not isinstance(region, SkyRegion):
            _fill(_scaled(plain, header) if region.meta.get("frame") == "physical" else plain, mask)
        elif sky is not None:
            sky.fill(plain, mask)
        else:
            raise NotPossible(
                "regions",
                "regions on the sky cannot be placed on an image without world coordinates",
                remedy="give the image's world coordinates, or regions in pixels",
            )
    return (chosen if included or not len(regions) else np.ones(shape, dtype=bool)) & ~taken


def _fill(region: PixelRegion, mask: np.ndarray) -> None:
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


def _scaled(region: PixelRegion, header: fits.Header | None) -> PixelRegion:
    """A region in physical pixels (from 1, numbered as image pixels by the reader) in image pixels."""
    from regions import PixCoord

    if header is None:
        raise NotPossible(
            "regions",
            "regions in physical pixels need the header of the image (LTM1_1, LTV1)",
            remedy="give regions on the sky",
        )
    scales = [card_number(header, f"LTM{axis}_{axis}", 1.0) for axis in (1, 2)]
    shifts = [card_number(header, f"LTV{axis}", 0.0) for axis in (1, 2)]
    turned = any(card_number(header, key, 0.0) for key in ("LTM1_2", "LTM2_1"))
    if turned or not scales[0] > 0 or abs(scales[0] - scales[1]) > 1e-9 * abs(scales[0]):
        raise NotPossible(
            "regions", "physical pixels that are turned or not square are not read", remedy="give regions on the sky"
        )

    def moved(place: PixCoord) -> PixCoord:
        both = zip(place.xy, scales, shifts, strict=True)
        return PixCoord(*(scale * (one + 1.0) + shift - 1.0 for one, scale, shift in both))

    if hasattr(region, "vertices"):
        return region.copy(vertices=moved(region.vertices))
    lengths = {
        name: getattr(region, name) * scales[0]
        for name in region._params  # noqa: SLF001
        if name not in {"center", "angle"}
    }
    return region.copy(center=moved(region.center), **lengths)


class _Sky:
    """Where an image lies on the sky, and what of a region on the sky it sees."""

    def __init__(self, wcs: WCS, shape: tuple[int, int]) -> None:
        ny, nx = shape
        self.wcs, self.shape = wcs, shape
        ra, dec = to_icrs(wcs, (nx - 1) / 2, (ny - 1) / 2)
        x, y = (np.array(side) for side in ((-0.5, nx - 0.5, -0.5, nx - 0.5), (-0.5, -0.5, ny - 0.5, ny - 0.5)))
        self.middle = SkyCoord(ra, dec, unit="deg") if np.isfinite([ra, dec]).all() else None
        self.radius = 180.0
        if self.middle is not None:
            reach = self.middle.separation(SkyCoord(*to_icrs(wcs, x, y), unit="deg")).deg
            self.radius = float(reach.max()) if np.isfinite(reach).all() else 180.0

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
        if apart.max() + (reach if len(places) == 1 else 0.0) <= _FLAT:
            _fill(self._in_pixels(region), mask)
        elif hasattr(region, "radius") or hasattr(region, "outer_radius"):
            mask |= self._in_rings(region)
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
        plane.wcs.ctype = [f"{name}{kind[4:]}" for name, kind in zip(("RA--", "DEC-"), plane.wcs.ctype, strict=True)]
        plane.wcs.radesys, plane.wcs.equinox = "ICRS", np.nan
        plane.wcs.set()
        if hasattr(region, "vertices"):
            return region.copy(vertices=_renamed(region.vertices, frame)).to_pixel(plane)
        centre = _renamed(region.center, frame)
        if not hasattr(region, "angle"):
            return region.copy(center=centre).to_pixel(plane)
        north = _renamed(region.center.directional_offset_by(0 * u.deg, 1 * u.arcsec), frame)
        return region.copy(center=centre, angle=region.angle + centre.position_angle(north)).to_pixel(plane)

    def _in_rings(self, region: SkyRegion) -> np.ndarray:
        iy, ix = np.indices(self.shape)
        ra, dec = to_icrs(self.wcs, ix.ravel(), iy.ravel())
        known = np.isfinite(ra) & np.isfinite(dec)
        place = SkyCoord(np.where(known, ra, 0.0), np.where(known, dec, 0.0), unit="deg")
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
