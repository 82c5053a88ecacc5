"""Lists of sources: as arrays, and as FITS, Parquet and DS9 regions with equal bytes for equal sources."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from daxa.errors import NotPossible, StorageError
from daxa.parquet import parquet_bytes, plain_array
from daxa.xray.detection.quality import quality_words
from daxa.xray.eventlists.frames import to_icrs

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = [
    "COLUMNS",
    "PART_COLUMNS",
    "SourceList",
    "make_table",
    "write_sources",
]

COLUMNS = MappingProxyType(
    {
        "id": ("", "number, the most likely source first"),
        "ra": ("deg", "right ascension"),
        "dec": ("deg", "declination"),
        "position_error": ("arcsec", "statistical standard deviation in each coordinate"),
        "x": ("pix", "position, pixels of the image from 1"),
        "y": ("pix", "position, pixels of the image from 1"),
        "x_error": ("pix", "standard deviation of x"),
        "y_error": ("pix", "standard deviation of y"),
        "counts": ("ct", "counts of the source that are expected in the image"),
        "rate": ("ct/s", "rate in the whole PSF"),
        "rate_low": ("ct/s", "rate less one standard deviation"),
        "rate_high": ("ct/s", "rate plus one standard deviation"),
        "likelihood": ("", "-ln of the chance that noise fits as well"),
        "extent": ("pix", "core radius of a beta model of beta 2/3; 0 for a point"),
        "extent_likelihood": ("", "-ln of the chance that a point looks as extended"),
        "scale": ("pix", "scale of the wavelet that shows it best; 0: none, it is in a gap"),
        "log_p": ("", "ln of the chance of that coefficient (scale 0: of the fit) in noise"),
        "background": ("ct/pix", "background"),
        "exposure": ("s", "exposure, mean over the PSF"),
        "radius": ("pix", "circle: 90 % of a point source's light, or the extent"),
        "quality": ("", "1 gap, 2 edge, 4 blend, 8 near extended, 16 pile-up, 32 structure"),
        "parts": ("", "structures of this extended source that are listed as its parts"),
    }
)
"""Column of a source list to its unit and meaning."""

PART_COLUMNS = MappingProxyType(
    {name: entry for name, entry in COLUMNS.items() if name != "parts"} | {"parent": ("", "id of the extended source")}
)
"""Column of the list of parts of extended sources to its unit and meaning."""

_DIGITS = 6
"""Significant digits that are kept: what lies behind them depends on the processor, not on the data."""

_WHOLE = ("id", "quality", "parts", "parent")
"""Columns of whole numbers."""

_PIXEL_DIGITS, _SKY_DIGITS = 4, 7

_LEGEND = "# Red is a point source, green an extended one, dashed one whose quality is limited as its tags say"


@dataclass(frozen=True, eq=False)
class SourceList:
    """Sources of one image.

    Parameters
    ----------
    table
        Column to values, shape (n,): those of `COLUMNS`, without sky positions where the
        image has no world coordinates.
    background
        Expected counts without sources, shape of the image.
    valid
        Pixels in which sources were looked for, bool, shape of the image.
    scales
        Wavelet scales, pixels.
    log_p
        ln of the largest chance that a source was allowed.
    expected_false
        Expected number of sources that noise alone makes in such an image; of an image with extended
        light, in the presence of that light.
    frame
        RADESYS of the positions, lower case, '' without world coordinates.
    pixel_arcsec
        Side of a pixel, arcsec; 0 without world coordinates.
    parts
        Column to values, shape (m,), those of `PART_COLUMNS`: structures within extended sources, which are
        no sources of their own.
    simulated
        Made fields from which `expected_false` was counted where there is extended light; 0 where
        it follows from the calibration of dark fields alone.
    """

    table: Mapping[str, np.ndarray]
    background: np.ndarray = field(repr=False)
    valid: np.ndarray = field(repr=False)
    scales: tuple[float, ...]
    log_p: float
    expected_false: float
    frame: str = ""
    pixel_arcsec: float = 0.0
    parts: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False)
    simulated: int = 0

    def __len__(self) -> int:
        return len(self.table["id"])

    def __getitem__(self, name: str) -> np.ndarray:
        return self.table[name]


def _rounded(values: ArrayLike, digits: int = _DIGITS) -> np.ndarray:
    """Values with so many significant digits."""
    values = np.asarray(values, np.float64)
    size = np.where((values == 0) | ~np.isfinite(values), 1.0, np.abs(values))
    power = 10.0 ** (digits - 1 - np.floor(np.log10(size)))
    return np.where(np.isfinite(values), np.rint(values * power) / power, values)


def make_table(columns: Mapping[str, np.ndarray], wcs: WCS | None) -> Mapping[str, np.ndarray]:
    """The columns of a list: positions on the sky added, everything rounded, in order.

    Parameters
    ----------
    columns
        Values by name, shape (n,), without ``id`` and sky positions; pixels count from 0.
    wcs
        World coordinates of the image, if it has any.

    Returns
    -------
    Mapping
        Column to values as in `COLUMNS`, or `PART_COLUMNS` where there are parents; pixels count from 1.
    """
    values = {"id": np.arange(1, len(columns["x"]) + 1, dtype=np.int32), **columns}
    for name in set(_WHOLE) & set(values):
        values[name] = np.asarray(values[name], dtype=np.int32)
    if wcs is not None:
        ra, dec = to_icrs(wcs, values["x"], values["y"]) if len(values["x"]) else (np.empty(0), np.empty(0))
        side = float(np.sqrt(np.abs(np.linalg.det(wcs.pixel_scale_matrix)))) * 3600.0
        values |= {"ra": np.round(ra, _SKY_DIGITS), "dec": np.round(dec, _SKY_DIGITS)}
        values["position_error"] = side * np.hypot(values["x_error"], values["y_error"]) / np.sqrt(2.0)
    for name in set(values) - {"ra", "dec", "x", "y", *_WHOLE}:
        values[name] = _rounded(values[name])
    for name in ("x", "y"):
        # Pixels count from 1 in files and tables, as in FITS and DS9.
        values[name] = np.round(np.asarray(values[name]) + 1.0, _PIXEL_DIGITS)
    known = PART_COLUMNS if "parent" in values else COLUMNS
    return MappingProxyType({name: values[name] for name in known if name in values})


def write_sources(path: Path, sources: SourceList, header: fits.Header | None = None) -> None:
    """Write a list of sources.

    Parameters
    ----------
    path
        The file; its suffix says what it becomes: ``.fits``, ``.parquet`` or ``.reg`` (DS9).
    sources
        The list.
    header
        Header of the image; its cards that say what was observed go into the FITS table.

    Raises
    ------
    NotPossible
        Another suffix.
    StorageError
        The file cannot be written.

    Notes
    -----
    The file holds neither time nor place of its making: equal sources give equal bytes
    (Parquet: for one version of pyarrow).
    """
    path = Path(path)
    writers = {".fits": _as_fits, ".parquet": _as_parquet, ".reg": _as_regions}
    if path.suffix not in writers:
        raise NotPossible(
            "source-format",
            f"a source list cannot be written as {path.name}",
            remedy=f"choose a name that ends in {', '.join(writers)}",
        )
    content = writers[path.suffix](sources, header)
    partial = path.with_name(f".{path.name}.part")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as problem:
        with suppress(OSError):
            partial.unlink()
        raise StorageError(
            "write", f"{path.name} cannot be written: {problem.strerror}", remedy="free space, check permissions"
        ) from problem


_COPIED = ("TELESCOP", "INSTRUME", "FILTER", "OBS_ID", "EXPIDSTR", "OBJECT", "RADESYS", "EQUINOX", "ENERG_LO",
           "ENERG_HI", "CHANMIN", "CHANMAX", "SCREENIN", "CUTID", "FLARESTA", "FLREX", "FLRER", "EXPMETH", "VIGNET",
           "UNVERIF", "UNVERERR", "SIMULATD")  # fmt: skip


def _as_fits(sources: SourceList, header: fits.Header | None) -> bytes:
    import io

    table = _table_hdu(sources.table, COLUMNS, "SOURCES")
    for keyword in (*_COPIED, *(header["ASSUME*"] if header is not None else ())):
        if header is not None and keyword in header and not isinstance(header[keyword], fits.card.Undefined):
            table.header[keyword] = (header[keyword], header.comments[keyword])
    if sources.frame == "icrs":
        table.header["RADESYS"] = ("ICRS", "reference frame of RA and DEC")
        table.header.remove("EQUINOX", ignore_missing=True)
    table.header["HDUCLASS"] = ("OGIP", "format conforms to OGIP standard")
    table.header["HDUCLAS1"] = ("SRCLIST", "list of sources")
    table.header["DETMETH"] = ("MEXHAT", "Mexican-hat wavelets, PSF fitted")
    table.header["LOGP"] = (float(_rounded(sources.log_p)), "ln of the largest chance of a source")
    table.header["FALSEEXP"] = (float(_rounded(sources.expected_false)), "false sources expected")
    table.header["FALSESIM"] = (sources.simulated, "made fields with extended light; 0: none")
    if sources.pixel_arcsec:
        table.header["PIXARCS"] = (float(_rounded(sources.pixel_arcsec)), "[arcsec] side of a pixel")
    for number, scale in enumerate(sources.scales, start=1):
        table.header[f"SCALE{number}"] = (float(_rounded(scale)), "[pix] scale of a wavelet")
    stream = io.BytesIO()
    extensions = [table]
    if sources.parts and len(sources.parts["id"]):
        extensions.append(_table_hdu(sources.parts, PART_COLUMNS, "PARTS"))
    fits.HDUList([fits.PrimaryHDU(), *extensions]).writeto(stream)
    return stream.getvalue()


def _table_hdu(table: Mapping[str, np.ndarray], said: Mapping[str, tuple[str, str]], name: str) -> fits.BinTableHDU:
    columns = [
        fits.Column(name=column.upper(), format="J" if column in _WHOLE else "D", unit=said[column][0] or None,
                    array=values)
        for column, values in table.items()
    ]  # fmt: skip
    hdu = fits.BinTableHDU.from_columns(columns, name=name)
    for number, column in enumerate(table, start=1):
        hdu.header[f"TCOMM{number}"] = said[column][1]
    return hdu


def _as_parquet(sources: SourceList, _header: fits.Header | None) -> bytes:
    import pyarrow as pa

    fields = [
        pa.field(name, pa.int32() if name in _WHOLE else pa.float64(), metadata=_summary(*COLUMNS[name]))
        for name in sources.table
    ]
    facts = {"frame": sources.frame, "log_p": repr(float(_rounded(sources.log_p))), "scales": repr(sources.scales)}
    facts |= {"expected_false": repr(float(_rounded(sources.expected_false))), "simulated": repr(sources.simulated)}
    schema = pa.schema(fields, metadata={f"daxa.{name}": value for name, value in facts.items()})
    columns = [plain_array(sources.table[field.name].tolist(), field.type) for field in fields]
    table = pa.table(columns, schema=schema)
    return parquet_bytes(table)


def _summary(unit: str, meaning: str) -> dict[str, str]:
    return {"unit": unit, "description": meaning} if unit else {"description": meaning}


def _as_regions(sources: SourceList, _header: fits.Header | None) -> bytes:
    table = sources.table
    sky = "ra" in table
    lines = ["# Region file format: DS9 version 4.1", _LEGEND, (sources.frame or "icrs") if sky else "image"]
    for row, number in enumerate(table["id"]):
        # The colours of XGA: red points, green extended sources.  Marked ones are dashed.
        colour = "green" if table["extent"][row] > 0 else "red"
        radius = table["radius"][row]
        if sky:
            place = f'{table["ra"][row]:.7f},{table["dec"][row]:.7f},{radius * sources.pixel_arcsec:.2f}"'
        else:
            place = f"{table['x'][row]:.4f},{table['y'][row]:.4f},{radius:.2f}"
        marks = quality_words(int(table["quality"][row])).split() if table["quality"][row] else []
        extra = (" dash=1" if marks else "") + "".join(f" tag={{{mark}}}" for mark in marks)
        lines.append(f"circle({place}) # color={colour} text={{{number}}}{extra}")
    return ("\n".join(lines) + "\n").encode("ascii")
