"""An image with its exposure map, as our products hold them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits

from daxa.errors import DataError
from daxa.xray.eventlists.formats import card_number, card_text
from daxa.xray.eventlists.frames import to_icrs
from daxa.xray.eventlists.sky_grid import header_wcs, pointing_pixel
from daxa.xray.imaging.outoftime import read_counted
from daxa.xray.imaging.pairing import check_pair, exposed_seconds

__all__ = ["Field", "read_field"]


@dataclass(frozen=True, eq=False)
class Field:
    """An image with its exposure map.

    Parameters
    ----------
    counts, exposure
        Shape (ny, nx), counts and s.
    header
        World coordinates of both.
    axis
        Optical axis, or the pointing, right ascension and declination, deg, ICRS.
    vignetted
        Whether the map includes vignetting.
    checked
        Angle from the axis to which that was checked, arcmin.
    background
        Counts expected of the background, shape (ny, nx); None: they come from around the position.
    readout
        Counts, among `counts`, that are expected to come from no sky (out-of-time events), shape (ny, nx); None
        where they are not subtracted.  They are a part of the background, however that is measured.
    measured
        False where the map is one of last resort (``EXPMETH`` is ``FIELD``): a circle in which
        the detector may have seen something.
    """

    counts: np.ndarray
    exposure: np.ndarray
    header: fits.Header
    axis: tuple[float, float]
    vignetted: bool = False
    checked: float = 0.0
    background: np.ndarray | None = None
    measured: bool = True
    readout: np.ndarray | None = None


def read_field(image: Path, exposure: Path, readout: Path | None = None) -> Field:
    """An image and its exposure map, as our products hold them.

    Parameters
    ----------
    image, exposure
        The files.
    readout
        The image of out-of-time events, needed where they were subtracted from the image (``OOTCORR``): errors
        and limits are those of what was counted.

    Returns
    -------
    Field
        With the pointing that the map names, else its middle, and what the map says of its vignetting.

    Raises
    ------
    DataError
        They do not belong together, or name a pointing that is none.
    """
    (counts, taken), header = read_counted(image, readout), fits.getheader(image)
    seconds, map_header = exposed_seconds(fits.getdata(exposure)), fits.getheader(exposure)
    check_pair(header, map_header)
    if "XCEN" in map_header and "YCEN" in map_header:
        x, y = card_number(map_header, "XCEN"), card_number(map_header, "YCEN")
    elif "RA_PNT" in map_header or "DEC_PNT" in map_header:
        x, y = pointing_pixel(map_header, header_wcs(map_header), 1) or (math.nan, math.nan)
    else:
        # A survey has no axis: the middle of its tile counts, as in tables of coverage.
        y, x = ((side + 1) / 2 for side in seconds.shape)
    if not (math.isfinite(x) and math.isfinite(y)):
        raise DataError(
            "pointing",
            f"{exposure.name} names no place on the sky as its pointing (XCEN and YCEN, or RA_PNT and DEC_PNT)",
            remedy="make the map again, or correct these cards in its header",
        )
    ra, dec = to_icrs(header_wcs(map_header), x, y, 1)
    axis = float(ra), float(dec)
    vignetted = card_text(map_header, "VIGNET") == "True"
    is_measured = card_text(map_header, "EXPMETH") != "FIELD"
    checked = card_number(map_header, "VIGNMAX", 0.0)
    return Field(counts, seconds, header, axis, vignetted, checked, measured=is_measured, readout=taken)
