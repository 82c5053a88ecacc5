"""Areas of the sky that users bring: DS9 regions and coverage maps (MOC).

Both are kept as text, so that criteria can be stored, and read again when they are applied.
"""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from daxa.errors import CriteriaError
from daxa.query.untrusted import PARSE_ERRORS, open_fits
from daxa.text import one_line

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord
    from astropy.wcs import WCS
    from mocpy import MOC
    from regions import SkyRegion

    from daxa.query.criteria.accepted_types import MocLike, RegionLike

__all__ = ["in_moc", "in_region", "read_moc", "read_region"]

_LARGEST_FILE = 4_000_000
_LARGEST_MOC = 64_000_000
_MOST_SHAPES = 10_000
_LARGEST_PLANE = 20.0
_DEEPEST_ORDER = 29
_MOC_TEXT = re.compile(r"\s*\d+/[\d\s,/-]*", re.ASCII)
_MOC_PART = re.compile(r"(\d{1,2})/|(\d{1,19})(?:-(\d{1,19}))?", re.ASCII)
_CIRCLE = re.compile(r"\bcircle\s*\(([^()]*)\)", re.IGNORECASE)
_PLANE_KINDS = ("EllipseSkyRegion", "EllipseAnnulusSkyRegion", "RectangleSkyRegion", "RectangleAnnulusSkyRegion")
_ROUND_KINDS = ("CircleSkyRegion", "CircleAnnulusSkyRegion")


def read_region(value: RegionLike, *, files: bool = True) -> str:
    """A DS9 region file or its text, checked.

    Parameters
    ----------
    value
        A `pathlib.Path`, the name of a file, or text that holds a shape.  Coordinates must be
        those of the sky (fk5, icrs, galactic, ...).
    files
        Whether a file may be read: never for criteria stored in an archive, which may be anybody's.

    Returns
    -------
    str
        The lines without comments and blanks.

    Raises
    ------
    CriteriaError
        It cannot be read, or holds shapes without area, in pixels or unknown.

    Examples
    --------
    >>> read_region("icrs; circle(149.59, -11.06, 15')")
    "icrs; circle(149.59, -11.06, 15')"
    """
    text = _text(value, files=files)
    lines = (line.strip() for line in text.replace("\r", "\n").split("\n"))
    kept = "\n".join(line for line in lines if line and not line.startswith("#"))
    _parse_region(kept)
    return kept


def in_region(text: str, ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
    """Which positions lie in the region: in a shape, and in no shape with a minus sign.

    Circles and annuli are exact on the sphere, polygons have great circles as sides; ellipses
    and boxes lie in the plane that touches the sky at their centre.

    Parameters
    ----------
    text
        From `read_region`.
    ra, dec
        (n,) degrees ICRS.

    Examples
    --------
    >>> in_region("icrs; circle(0, 90, 10')", np.array([123.0, 5.0]), np.array([89.9, 89.8]))
    array([ True, False])
    """
    shapes = _parse_region(text)
    included = [shape for shape in shapes if shape.meta.get("include", True)]
    # A file of excluded shapes alone means the sky without them, as in DS9.
    inside = np.full(len(ra), not included)
    for shape in included:
        inside |= _contains(shape, ra, dec)
    for shape in shapes:
        if not shape.meta.get("include", True):
            inside &= ~_contains(shape, ra, dec)
    return inside


def _parse_region(text: str) -> list[SkyRegion]:
    from astropy.utils.exceptions import AstropyUserWarning
    from regions import Regions, SkyRegion

    if text.count("(") > _MOST_SHAPES:
        raise _bad_region(f"the DS9 region holds more than {_MOST_SHAPES} shapes; give that many objects as a sample")
    # The library drops what follows the radius, where DS9 would draw another shape.
    if any(len(re.split(r"[\s,]+", inner.strip())) != 3 for inner in _CIRCLE.findall(text)):
        raise _bad_region("a circle of the DS9 region has parameters other than RA, Dec and radius")
    try:
        with warnings.catch_warnings():
            # The library skips what it does not know with a warning: half a region is a wrong region.
            warnings.simplefilter("error", AstropyUserWarning)
            shapes = list(Regions.parse(text, format="ds9"))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, AstropyUserWarning) as error:
        raise _bad_region(f"the DS9 region cannot be read: {one_line(error, 200)}") from None
    if not shapes:
        raise _bad_region("the DS9 region holds no shape")
    for shape in shapes:
        if not isinstance(shape, SkyRegion):
            raise _bad_region("the DS9 region is in pixels, not on the sky")
        _check_shape(shape)
    return shapes


def _check_shape(shape: SkyRegion) -> None:
    kind = type(shape).__name__
    name = kind.removesuffix("SkyRegion").lower()
    if kind not in (*_PLANE_KINDS, *_ROUND_KINDS, "PolygonSkyRegion"):
        raise _bad_region(f"the DS9 region holds a {name}, which has no area or is not known")
    centre = shape.vertices if kind == "PolygonSkyRegion" else shape.center
    if not np.all(np.isfinite(centre.icrs.cartesian.xyz.value)):
        raise _bad_region(f"the {name} of the DS9 region has no finite position")
    sizes = [
        getattr(shape, side).to_value("deg")
        for side in ("radius", "inner_radius", "outer_radius", "width", "height", "outer_width", "outer_height")
        if hasattr(shape, side)
    ]
    largest = 180.0 if kind in _ROUND_KINDS else _LARGEST_PLANE
    if not all(0 < size <= largest for size in sizes):
        raise _bad_region(f"the {name} of the DS9 region has a size that is not valid (at most {largest:g} deg)")
    if kind == "PolygonSkyRegion":
        corners = shape.vertices.icrs.cartesian.xyz.value.T
        middle = corners.mean(axis=0)
        if len(corners) < 3 or not np.all(corners @ middle > 0.01 * np.linalg.norm(middle)):
            raise _bad_region("a polygon of the DS9 region has fewer than 3 corners, or is larger than half the sky")


def _contains(shape: SkyRegion, ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
    from astropy.coordinates import SkyCoord

    sky = SkyCoord(ra, dec, unit="deg", frame="icrs")
    kind = type(shape).__name__
    if kind in _ROUND_KINDS:
        separation = sky.separation(shape.center.icrs)
        if kind == "CircleSkyRegion":
            return np.asarray(separation <= shape.radius)
        return np.asarray((separation >= shape.inner_radius) & (separation <= shape.outer_radius))
    if kind == "PolygonSkyRegion":
        middle = shape.vertices.icrs.cartesian.mean()
        centre = SkyCoord(middle, frame="icrs")
        centre = SkyCoord(centre.spherical.lon, centre.spherical.lat, frame="icrs").transform_to(shape.vertices.frame)
    else:
        centre = shape.center
    front = np.flatnonzero(sky.separation(centre.icrs).deg < 89)
    inside = np.zeros(len(ra), dtype=bool)
    if len(front):
        plane = _tangent_plane(centre)
        inside[front] = shape.contains(sky[front].transform_to(centre.frame), plane)
    return inside


def _tangent_plane(centre: SkyCoord) -> WCS:
    """A gnomonic projection: great circles are straight lines, and north is up at the centre."""
    from astropy.wcs import WCS

    spherical = centre.spherical
    plane = WCS(naxis=2)
    galactic = centre.frame.name == "galactic"
    plane.wcs.ctype = ["GLON-TAN", "GLAT-TAN"] if galactic else ["RA---TAN", "DEC--TAN"]
    if not galactic:
        plane.wcs.radesys = {"icrs": "ICRS", "fk5": "FK5", "fk4": "FK4"}.get(centre.frame.name, "ICRS")
    plane.wcs.crval = [spherical.lon.deg, spherical.lat.deg]
    plane.wcs.cdelt = [-1 / 3600, 1 / 3600]
    plane.wcs.crpix = [1.0, 1.0]
    return plane


def read_moc(value: MocLike, *, files: bool = True) -> str:
    """A coverage map as the ASCII text of the MOC standard (IVOA MOC 2.0).

    Parameters
    ----------
    value
        A `mocpy.MOC`, a `pathlib.Path` or name of a FITS, JSON or ASCII file, or ASCII text such as
        ``5/1-4 6/33``.
    files
        Whether a file may be read: never for criteria stored in an archive.

    Raises
    ------
    CriteriaError
        It cannot be read, names cells that do not exist, or is empty.

    Examples
    --------
    >>> read_moc("3/1-2 3 4/64")
    '3/1-3 4/64'
    """
    moc = value if hasattr(value, "to_string") and hasattr(value, "empty") else _load_moc(value, files=files)
    if moc.empty():
        raise CriteriaError("moc", "the MOC is empty", remedy="give a MOC that holds at least one cell")
    return " ".join(moc.to_string(format="ascii").split())


def _load_moc(value: MocLike, *, files: bool) -> MOC:
    try:
        if isinstance(value, str) and _MOC_TEXT.fullmatch(value):
            return _parse_moc(value)
        if not files or not isinstance(value, str | Path):
            raise TypeError("it is not an ASCII MOC")
        return _read_moc_file(Path(value))
    except (*PARSE_ERRORS, RecursionError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or error
        raise CriteriaError(
            "moc",
            f"{one_line(value, 100)!r} cannot be read as a MOC: {one_line(why, 200)}",
            remedy="give a complete MOC as FITS, JSON or ASCII text, such as 5/1-4 6/33",
        ) from None


def _read_moc_file(path: Path) -> MOC:
    with path.open("rb") as stream:
        content = stream.read(_LARGEST_MOC + 1)
    if len(content) > _LARGEST_MOC:
        raise ValueError(f"it is larger than {_LARGEST_MOC} bytes")
    suffix = path.suffix.lower()
    if suffix in (".fits", ".fit", ".moc"):
        return _read_moc_fits(path, content)
    if suffix != ".json":
        return _parse_moc(content.decode("utf-8-sig"))
    orders = json.loads(content)
    if not isinstance(orders, dict) or not all(
        isinstance(cells, list) and all(type(cell) is int for cell in cells) for cells in orders.values()
    ):
        raise ValueError("it does not give lists of cells by order")
    return _parse_moc(" ".join(f"{order}/{' '.join(map(str, cells))}" for order, cells in orders.items()))


def _read_moc_fits(path: Path, content: bytes) -> MOC:
    from mocpy import MOC

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        open_fits(content).close()
    return MOC.load(path, format="fits")


def _parse_moc(text: str) -> MOC:
    """Read ASCII; refuse what the library would silently correct: cells that do not exist, reversed ranges."""
    from mocpy import MOC

    order, parts = None, re.split(r"[\s,]+", text.replace("/", "/ ").strip(" \t\r\n,"))
    for part in parts:
        found = _MOC_PART.fullmatch(part)
        if found is None:
            raise ValueError(f"{part[:30]!r} is not part of an ASCII MOC")
        if found[1]:
            order = int(found[1])
            if order > _DEEPEST_ORDER:
                raise ValueError(f"orders go up to {_DEEPEST_ORDER}")
        else:
            first, last = int(found[2]), int(found[3] or found[2])
            if order is None or not first <= last < 12 * 4**order:
                raise ValueError(f"there are no cells {part} at order {order}")
    return MOC.from_string(" ".join(parts))


def in_moc(cells: str, ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
    """Which positions (n,) degrees ICRS lie in the map; `cells` is from `read_moc`."""
    import astropy.units as u
    from mocpy import MOC

    return np.asarray(MOC.from_string(cells).contains_lonlat(ra * u.deg, dec * u.deg), dtype=bool)


def _text(value: object, *, files: bool) -> str:
    if isinstance(value, str) and ("(" in value or not files):
        text = value
    elif files and isinstance(value, str | Path) and str(value).isprintable():
        text = _read_file(Path(value))
    else:
        raise _bad_region(f"{one_line(value, 100)!r} is not a region")
    if len(text) > _LARGEST_FILE:
        raise _bad_region(f"the DS9 region is larger than {_LARGEST_FILE} characters")
    return text


def _read_file(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            return file.read(_LARGEST_FILE + 1)
    except UnicodeDecodeError:
        raise _bad_region(f"{one_line(path.name, 60)} is not text in UTF-8") from None
    except OSError as error:
        raise _bad_region(f"{one_line(path.name, 60)} cannot be read: {error.strerror or error}") from None


def _bad_region(message: str) -> CriteriaError:
    return CriteriaError(
        "region", message, remedy="give circles, ellipses, boxes, annuli or polygons in sky coordinates such as icrs"
    )
