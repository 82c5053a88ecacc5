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
from string import ascii_uppercase
from typing import TYPE_CHECKING

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning
from astropy.wcs import WCS

from daxa.errors import DataError, NotPossible
from daxa.xray.eventlists.cards import card_number, card_text
from daxa.xray.eventlists.regionshapes import SkyOfImage, fill_pixels

if TYPE_CHECKING:
    from regions import PixelRegion, Region, Regions

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

_IMAGE_PIXELS = re.compile(r"[\d.]i\b")

_CORNERS, _OF_CIRCLE = 3, 3


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
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError("absent", f"there is no file {path.name}", remedy="check the name of the region file") from None
    except (ValueError, OSError) as problem:
        raise _unreadable(path.name, str(problem)) from problem
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
            yield frame, shape, word[2] + piece[word.start(3) :]


def _check_shape(name: str, frame: str, shape: str, piece: str) -> None:
    if _OTHER_FRAMES.fullmatch(shape):
        raise _unreadable(name, f"coordinates of the kind {shape!r} are not read")
    if shape not in _AREAS | _NO_AREAS:
        raise _unreadable(name, f"shapes of the kind {shape!r} are not read")
    if not frame:
        raise _unreadable(name, f"it does not say in which coordinates {piece[:60]!r} is")
    plain = _TEXT.sub("", piece).partition("#")[0]
    if re.search(r"\|\||&&", plain):
        raise _unreadable(name, f"combinations of shapes are not read: {piece[:60]!r}")
    if frame == "physical" and _IMAGE_PIXELS.search(plain):
        raise _unreadable(name, f"image pixels among physical coordinates are not read: {piece[:60]!r}")
    if shape == "circle" and len(re.findall(r"[^\s,()]+", _WORD.sub("", plain, count=1))) != _OF_CIRCLE:
        raise _unreadable(name, f"a circle has a middle and a radius: {piece[:60]!r}")


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
    return DataError(
        "regions",
        f"{name} cannot be read as DS9 regions: {what}",
        remedy="correct it, or save it from DS9 again: circles, ellipses, boxes, annuli and polygons in fk5 or icrs",
    )


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
        Of the image; regions in physical pixels need its LTMi_i and LTVi, or world coordinates called PHYSICAL.

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
    sky = SkyOfImage(wcs, shape) if wcs is not None else None
    included = 0
    for region in regions:
        excluded = region.meta.get("include", 1) in {0, "-"}
        included += not excluded
        plain = region.copy(meta={})
        mask = taken if excluded else chosen
        if not isinstance(region, SkyRegion):
            fill_pixels(_scaled(plain, header) if region.meta.get("frame") == "physical" else plain, mask)
        elif sky is not None:
            sky.fill(plain, mask)
        else:
            raise NotPossible(
                "regions",
                "regions on the sky cannot be placed on an image without world coordinates",
                remedy="give the image's world coordinates, or regions in pixels",
            )
    return (chosen if included or not len(regions) else np.ones(shape, dtype=bool)) & ~taken


def _physical_pixels(header: fits.Header) -> tuple[list[float], list[float]]:
    """Scale and shift of each axis, from physical pixels to those of an image.

    LTM and LTV, else the world coordinates that are called PHYSICAL, or have the letter P (CIAO's).
    """
    scales = [card_number(header, f"LTM{axis}_{axis}", 1.0) for axis in (1, 2)]
    shifts = [card_number(header, f"LTV{axis}", 0.0) for axis in (1, 2)]
    named = (one for one in ascii_uppercase if card_text(header, f"WCSNAME{one}").upper() == "PHYSICAL")
    letter = next(named, "P")
    if any(key in header for key in ("LTM1_1", "LTM2_2", "LTV1", "LTV2")) or f"CRVAL1{letter}" not in header:
        return scales, shifts
    steps = [card_number(header, f"CDELT{axis}{letter}", 1.0) for axis in (1, 2)]
    scales = [1.0 / step if step else 0.0 for step in steps]
    places = [[card_number(header, f"{key}{axis}{letter}", 0.0) for axis in (1, 2)] for key in ("CRPIX", "CRVAL")]
    return scales, [pixel - value * scale for pixel, value, scale in zip(*places, scales, strict=True)]


def _scaled(region: PixelRegion, header: fits.Header | None) -> PixelRegion:
    """A region in physical pixels (from 1, numbered as image pixels by the reader) in image pixels."""
    from regions import PixCoord

    if header is None:
        raise NotPossible(
            "regions",
            "regions in physical pixels need the header of the image (LTM1_1, LTV1)",
            remedy="give regions on the sky",
        )
    scales, shifts = _physical_pixels(header)
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
