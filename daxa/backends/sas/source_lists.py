"""What SAS says of sources and of the sky around them, in the form of the native step sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daxa.backends.adopting import adopt_sources
from daxa.backends.adopting.images import read_pixels
from daxa.backends.tools.foreign_fits import open_fits
from daxa.errors import DataError
from daxa.run.product import Product
from daxa.run.task import Task

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Searched", "draw_sources", "write_map", "write_plain_list", "write_sources"]

_INSTRUMENTS = {"PN": 1, "M1": 2, "M2": 3}
"""ID_INST of emldetect (ESA, emldetect, "Output Files"); 0 is the sum over cameras, and ID_BAND 0 that over bands."""

_OF_FIT = {
    "RA": "RA",
    "DEC": "DEC",
    "X_IMA_ERR": "X_ERR",
    "Y_IMA_ERR": "Y_ERR",
    "DET_ML": "LIKELIHOOD",
    "EXT": "EXTENT",
    "EXT_ML": "EXT_LIKE",
}
"""Columns of the fit to all images, which stand in its row for the sum, under our names."""

_OF_IMAGE = {"SCTS": "COUNTS", "RATE": "RATE", "RATE_ERR": "RATE_ERR", "EXP_MAP": "EXPOSURE", "BG_MAP": "BACKGROUND"}
"""Columns of one image, under our names."""

_COLUMNS = {
    "counts": "COUNTS",
    "rate": "RATE",
    "rate_low": "RATE_LOW",
    "rate_high": "RATE_HIGH",
    "exposure": "EXPOSURE",
    "background": "BACKGROUND",
    "x_error": "X_ERR",
    "y_error": "Y_ERR",
    "likelihood": "LIKELIHOOD",
    "extent": "EXTENT",
    "extent_likelihood": "EXT_LIKE",
}

_RADIUS = 45.0
"""Arcsec, of circles around sources: 93 % of the light of a point source on the axis (ESA, edetect_chain)."""


@dataclass(frozen=True)
class Searched:
    """An image that was searched.

    Parameters
    ----------
    product
        The image.
    image, expmap
        Its path and that of its exposure map.
    band
        The number of its band among those of its camera, from 1.
    sources
        The list of emldetect; '' if the boxes hold no source.
    likelihood
        The least that a source may have.
    alone
        Whether it was the only image of the search.
    """

    product: Product
    image: str
    expmap: str
    band: int
    sources: str
    likelihood: float
    alone: bool

    @property
    def plain(self) -> str:
        """The list with one row for each source, below the working directory."""
        return f"{self.product.instrument}-{self.product.exposure}-sources.fits"


def write_plain_list(searched: Searched, work: Path) -> str:
    """Write a table with one row for each source: position and likelihood of the fit, counts of this image.

    Raises
    ------
    DataError
        The list of emldetect cannot be read, or has other columns.
    """
    import numpy as np
    from astropy.io import fits

    place = work / searched.plain
    if place.is_file():
        return searched.plain
    columns: Mapping[str, np.ndarray] = _rows(searched, work) if searched.sources else {}
    names = (*_OF_FIT.values(), *_OF_IMAGE.values(), "RATE_LOW", "RATE_HIGH")
    values = {name: np.asarray(columns.get(name, ()), np.float64) for name in names}
    fits.BinTableHDU.from_columns([fits.Column(name, "D", array=one) for name, one in values.items()]).writeto(place)
    return searched.plain


def _rows(searched: Searched, work: Path) -> dict[str, np.ndarray]:
    import numpy as np
    from astropy.io import fits

    try:
        with open_fits(work / searched.sources) as parts:
            table = next(part for part in parts if isinstance(part, fits.BinTableHDU)).data
            read = {
                name: np.asarray(table[name], np.float64)
                for name in ("ML_ID_SRC", "ID_INST", "ID_BAND", *_OF_FIT, *_OF_IMAGE)
            }
    except ValueError as error:
        raise DataError(
            "unreadable", f"{searched.sources} is not a list of emldetect: {error}", remedy="read the log above"
        ) from None
    if not all(np.isfinite(read[name]).all() for name in ("ML_ID_SRC", "ID_INST", "ID_BAND")):
        raise DataError(
            "unreadable", f"{searched.sources} has rows without a source, camera or band", remedy="read the log above"
        )
    source, camera, band = (read[name].astype(int) for name in ("ML_ID_SRC", "ID_INST", "ID_BAND"))
    number = _INSTRUMENTS.get(searched.product.instrument, -1)
    # The row for the sum comes first, if the list has one.
    order = np.lexsort((band, camera, source))
    fits_of = dict(zip(source[order][::-1].tolist(), order[::-1].tolist(), strict=True))
    own = {one: at for at, one in enumerate(source.tolist()) if camera[at] == number and band[at] == searched.band}
    fitted = np.array([at for _, at in sorted(fits_of.items())], int)
    counted = np.array([own.get(one, at if searched.alone else -1) for one, at in sorted(fits_of.items())], int)
    values = {ours: read[name][fitted] for name, ours in _OF_FIT.items()}
    values |= {ours: np.where(counted >= 0, read[name][counted], np.nan) for name, ours in _OF_IMAGE.items()}
    sigma = values.pop("RATE_ERR")
    return values | {"RATE_LOW": values["RATE"] - sigma, "RATE_HIGH": values["RATE"] + sigma}


def _side(work: Path, searched: Searched) -> float:
    """Arcsec of a pixel."""
    from daxa.xray.eventlists.frames import pixel_side
    from daxa.xray.eventlists.sky_grid import header_wcs

    return pixel_side(header_wcs(read_pixels(work / searched.image)[1]))


def write_sources(searched: Searched, work: Path, target: Path) -> None:
    """Write the sources under our columns: as a table, or as DS9 regions."""
    plain = write_plain_list(searched, work)
    facts: dict[str, Any] = {"method": "EMLDETECT", "radius": _RADIUS / _side(work, searched), "pixel": 1, "false": -1}
    facts["log_p"] = -searched.likelihood
    adopt_sources(work, target, sources=plain, image=searched.image, columns=_COLUMNS, facts=facts)


def write_map(searched: Searched, made: str, unit: tuple[str, str], work: Path, target: Path) -> None:
    """Write a map that SAS made for an image with the header of that image, as the native step does.

    Pixels to which it gives -1, that is no value, become NaN.

    Raises
    ------
    DataError
        It has another shape than the image.
    """
    import numpy as np
    from astropy.io import fits

    pixels, header = read_pixels(work / searched.image)
    values = np.asarray(read_pixels(work / made)[0], np.float32)
    if values.shape != pixels.shape:
        raise DataError("image-grid", f"{made} and {searched.image} differ in shape", remedy="read the log above")
    header["BUNIT"] = unit
    header["LOGP"] = (-searched.likelihood, "ln of the largest chance of a source")
    primary = fits.PrimaryHDU(np.where(values < 0, np.nan, values).astype(np.float32), header)
    primary.writeto(target, output_verify="silentfix")


def draw_sources(searched: Searched, task: Task, work: Path, target: Path) -> None:
    """Draw the image with circles around the sources, as the native step does."""
    import numpy as np
    from astropy.io import fits

    from daxa.backends.native.exposure import picture_title
    from daxa.xray.eventlists.frames import to_pixels
    from daxa.xray.eventlists.sky_grid import header_wcs
    from daxa.xray.imaging.quicklook import write_quicklook

    counts, header = read_pixels(work / searched.image)
    found = fits.getdata(work / write_plain_list(searched, work))
    side = _side(work, searched)
    x, y = to_pixels(header_wcs(header), found["RA"], found["DEC"], first=0) if len(found) else (np.empty(0),) * 2
    product = searched.product
    write_quicklook(
        target,
        counts,
        read_pixels(work / searched.expmap)[0],
        None,
        title=picture_title(task, [header], product),
        subtitle=f"{product.lo}-{product.hi} keV, {len(found)} sources of likelihood {searched.likelihood:g} or more",
        pixel_arcsec=side,
        circles=np.column_stack([x, y, np.full(len(x), _RADIUS / side)]),
    )
