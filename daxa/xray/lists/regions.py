"""Regions of DS9: read from files or text, and as masks of pixels."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from astropy.utils.exceptions import AstropyUserWarning
from astropy.wcs import WCS

from daxa.errors import DataError, NotPossible

__all__ = ["parse_regions", "read_regions", "region_mask"]


def read_regions(path: Path):
    """The regions of a DS9 file.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    regions.Regions

    Raises
    ------
    DataError
        The file is absent, or is no DS9 region file.
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
    return parse_regions(text, path.name)


def parse_regions(text: str, name: str):
    r"""The regions of the text of a DS9 file.

    Parameters
    ----------
    text
        What stands in the file.
    name
        What messages call it.

    Returns
    -------
    regions.Regions

    Raises
    ------
    DataError
        It is no text of DS9 regions, or holds none.

    Examples
    --------
    >>> len(parse_regions('fk5\ncircle(149.59,-11.06,60")', "halo.reg"))
    1
    """
    from regions import Regions

    try:
        with warnings.catch_warnings():
            # A line that is passed over would be an area that is not left out.
            warnings.simplefilter("error", AstropyUserWarning)
            found = Regions.parse(text, format="ds9")
    except (ValueError, LookupError, TypeError, AttributeError, AstropyUserWarning) as problem:
        raise DataError(
            "regions", f"{name} cannot be read as DS9 regions: {problem}", remedy="save it from DS9 again"
        ) from problem
    if not len(found):
        raise DataError("regions", f"{name} holds no region", remedy="check the file, or give none")
    return found


def region_mask(regions, shape: tuple[int, int], wcs: WCS | None = None) -> np.ndarray:
    """Pixels whose centre lies in any of some regions.

    Parameters
    ----------
    regions
        Regions on the sky or in pixels (`regions.Regions`, or any sequence of regions).
    shape
        (ny, nx) of the image.
    wcs
        World coordinates of the image; regions on the sky need them.

    Returns
    -------
    numpy.ndarray
        bool, shape (ny, nx).

    Raises
    ------
    NotPossible
        A region on the sky, and no world coordinates.
    """
    from regions import PixCoord, SkyRegion

    iy, ix = np.indices(shape)
    pixels = PixCoord(ix.astype(float), iy.astype(float))
    mask = np.zeros(shape, dtype=bool)
    for region in regions:
        if isinstance(region, SkyRegion):
            if wcs is None:
                raise NotPossible(
                    "regions",
                    "regions on the sky cannot be placed on an image without world coordinates",
                    remedy="give the image's world coordinates, or regions in pixels",
                )
            region = region.to_pixel(wcs)  # noqa: PLW2901
        if hasattr(region, "contains"):
            mask |= region.contains(pixels)
    return mask
