"""Mosaics: counts and exposure of several lists and images on one grid of the sky.

Counts are never interpolated: events are binned again, from their own positions.  Only
where nothing but an image is left is each of its counts put somewhere in its pixel.
Where two lists show the same, each event and each exposure counts once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from astropy.coordinates import SkyCoord, UnitSphericalRepresentation
from astropy.io import fits

from daxa.errors import DataError, NotPossible
from daxa.xray.cleaning.cut import select
from daxa.xray.eventlists import gti
from daxa.xray.eventlists.fits_tables import column_names, read_column, read_numbers
from daxa.xray.eventlists.frames import to_icrs, to_pixels
from daxa.xray.eventlists.sky_grid import SkyGrid, header_wcs
from daxa.xray.imaging.image import MOST_PIXELS
from daxa.xray.imaging.members import EventMember, ImageMember, Member, sized
from daxa.xray.imaging.pairing import rate_map, same_grid
from daxa.xray.imaging.resample import between_pixels, resample_exposure
from daxa.xray.telescopes.registry import camera_of

__all__ = ["Mosaic", "less_readout", "make_mosaic", "mosaic_grid", "readout_subtracted", "write_mosaic"]

_MOST_DEGREES = 10.0
_RAW = ("RAWX", "RAWY", "CHIPX", "CHIPY", "TM_NR")
"""Columns that distinguish events of one time, where a list has them, besides its chip."""


@dataclass(frozen=True, eq=False)
class Mosaic:
    """Several exposures on one grid.

    Parameters
    ----------
    counts
        int32, shape (ny, nx); float32 less `readout`.
    exposure
        float32, s, the weighted sum.
    rate
        float32, counts per second; NaN where there is too little exposure.
    header
        World coordinates and what went in; BUNIT is for the writer to add.
    readout
        float32, the part of the counts that is expected to be no sky, of members that say so
        (`EventMember.readout`); None where none does.  `less_readout` subtracts it.
    """

    counts: np.ndarray
    exposure: np.ndarray
    rate: np.ndarray
    header: fits.Header
    readout: np.ndarray | None = None


def mosaic_grid(members: Sequence[Member], pixel_arcsec: float) -> fits.Header:
    """A tangential grid that holds the maps of all members.

    Parameters
    ----------
    members
        At least one.
    pixel_arcsec
        Side of a pixel, arcsec.

    Returns
    -------
    astropy.io.fits.Header
        Its world coordinates, with NAXIS1 and NAXIS2.

    Raises
    ------
    NotPossible
        The members lie more than 10 degrees apart, or there would be too many pixels.
    """
    corners = []
    for member in members:
        header = member.header
        nx, ny = header["NAXIS1"], header["NAXIS2"]
        x, y = (np.array(side) for side in ((0.5, nx + 0.5, 0.5, nx + 0.5), (0.5, 0.5, ny + 0.5, ny + 0.5)))
        corners.append(np.column_stack(to_icrs(header_wcs(header), x, y, 1)))
    ra, dec = np.concatenate(corners).T
    centre = SkyCoord(ra, dec, unit="deg").cartesian.mean().represent_as(UnitSphericalRepresentation)
    middle = SkyCoord(centre.lon, centre.lat)
    if not np.isfinite(ra).all() or SkyCoord(ra, dec, unit="deg").separation(middle).deg.max() > _MOST_DEGREES / 2:
        raise NotPossible(
            "mosaic-size",
            f"the members of a mosaic lie more than {_MOST_DEGREES:g} degrees apart",
            remedy="make several mosaics",
        )
    header = _tangential(float(middle.ra.deg), float(middle.dec.deg), pixel_arcsec / 3600.0)
    x, y = to_pixels(header_wcs(header), ra, dec, 1)
    first = [int(np.floor(side.min())) for side in (x, y)]
    nx, ny = (int(np.ceil(side.max())) - low + 1 for side, low in zip((x, y), first, strict=True))
    _check_size(nx, ny)
    header["CRPIX1"], header["CRPIX2"] = 1.0 - first[0], 1.0 - first[1]
    return sized(header, nx, ny)


def _check_size(nx: int, ny: int) -> None:
    if nx * ny > MOST_PIXELS:
        raise NotPossible(
            "mosaic-size",
            f"a mosaic would have {nx} x {ny} pixels, more than {MOST_PIXELS:,}",
            remedy="choose larger pixels",
        )


def _tangential(ra: float, dec: float, pixel: float) -> fits.Header:
    header = fits.Header()
    header["CTYPE1"], header["CTYPE2"] = "RA---TAN", "DEC--TAN"
    header["CRPIX1"], header["CRPIX2"] = 0.0, 0.0
    header["CRVAL1"], header["CRVAL2"] = ra, dec
    header["CDELT1"], header["CDELT2"] = -pixel, pixel
    header["CUNIT1"], header["CUNIT2"] = "deg", "deg"
    header["RADESYS"] = "ICRS"
    return header


def make_mosaic(
    members: Sequence[Member],
    target: fits.Header,
    *,
    seed: int = 0,
    observe: Callable[[Member], None] = lambda member: None,
) -> Mosaic:
    """Add counts and exposure of several members on one grid.

    Parameters
    ----------
    members
        What goes in, of one band.
    target
        Header with NAXIS cards and an equatorial projection, as `mosaic_grid` gives it, or that
        of an image whose pixels are to be used.
    seed
        For the places of an image's counts within their pixels, where its pixels are others.
    observe
        Called with every member that was added.

    Returns
    -------
    Mosaic
        Counts and exposure in the pixels of the target.

    Raises
    ------
    DataError
        Bands differ by more than a channel, image and map of a member do not match, or two
        members that share nothing hold the same event.
    NotPossible
        The target has too many pixels.

    Notes
    -----
    Frames differ: every position goes by way of ICRS (`daxa.xray.eventlists.frames`).
    """
    _check(members)
    nx, ny = int(target["NAXIS1"]), int(target["NAXIS2"])
    _check_size(nx, ny)
    counts = np.zeros(nx * ny, dtype=np.int64)
    groups: dict[str, np.ndarray] = {}
    exposure, readout = np.zeros((ny, nx)), None
    seen: dict[tuple[str, str, str], np.ndarray] = {}
    dropped, drawn = 0, False
    rng = np.random.default_rng(seed)
    for member in members:
        if isinstance(member, EventMember):
            kept, twice = _event_pixels(member, target, seen)
            dropped += twice
        else:
            drawn |= not same_grid(member.header, target)
            kept = _image_pixels(member, target, rng)
        counts += np.bincount(kept, minlength=counts.size)
        seconds = member.weight * resample_exposure(member.exposure, member.header, target)
        if member.readout is not None:
            readout = (0.0 if readout is None else readout) + _resampled_counts(member.readout, member.header, target)
        if member.shared:
            groups[member.shared] = np.maximum(groups.get(member.shared, 0.0), seconds)
        else:
            exposure += seconds
        observe(member)
    for name in sorted(groups):
        exposure += groups[name]
    image, seconds = counts.reshape(ny, nx).astype(np.int32), exposure.astype(np.float32)
    header = _described(target, members, dropped, seed if drawn else None)
    beneath = None if readout is None else readout.astype(np.float32)
    return Mosaic(image, seconds, rate_map(image, seconds), header, beneath)


def less_readout(mosaic: Mosaic) -> Mosaic:
    """Image and rates less the counts that no sky made, where they are known."""
    if mosaic.readout is None:
        return mosaic
    counts = (mosaic.counts - mosaic.readout).astype(np.float32)
    return replace(mosaic, counts=counts, rate=rate_map(counts, mosaic.exposure), readout=None)


def readout_subtracted(members: Sequence[Member]) -> bool | None:
    """Whether the out-of-time events of all members with any are known (card ``OOTCORR``); None if none has any."""
    known = [member.readout is not None for member in members if _has_readout(member)]
    return all(known) if known else None


def _has_readout(member: Member) -> bool:
    if isinstance(member, ImageMember):
        return "OOTCORR" in member.header
    form = member.events.format
    return camera_of(form.mission, form.instrument).readout is not None


def _resampled_counts(expected: np.ndarray, source: fits.Header, target: fits.Header) -> np.ndarray:
    """Expected counts in other pixels; their sum is kept, as far as the target reaches."""
    if same_grid(source, target):
        return np.asarray(expected, np.float64)
    here, there = (abs(np.linalg.det(header_wcs(one).pixel_scale_matrix)) for one in (target, source))
    return resample_exposure(expected, source, target) * (here / there)


def _check(members: Sequence[Member]) -> None:
    lo, hi, width = members[0].band
    for member in members:
        if member.exposure.shape != (member.header["NAXIS2"], member.header["NAXIS1"]):
            raise DataError(
                "exposure-mismatch", f"the exposure map of {member.name} is not on its grid", remedy="make it again"
            )
        other_lo, other_hi, other_width = member.band
        if max(abs(lo - other_lo), abs(hi - other_hi)) > max(width, other_width) + 1e-6:
            raise DataError(
                "band",
                f"{members[0].name} and {member.name} have different bands: "
                f"{lo:g}-{hi:g} and {other_lo:g}-{other_hi:g} keV",
                remedy="make the images of all members in one band",
            )
    for index, one in enumerate(members):
        for other in members[:index]:
            if isinstance(one, EventMember) and isinstance(other, EventMember) and _same_events(one, other):
                raise DataError(
                    "same-events",
                    f"{other.name} and {one.name} hold the same events, whose exposure would count twice",
                    remedy="leave one of them out, or name the survey whose overlapping lists they are (shared)",
                )


def _same_events(one: EventMember, other: EventMember) -> bool:
    """Whether two lists that share nothing have an event in common; only lists of the same time can."""
    if (one.shared and one.shared == other.shared) or one.events.format != other.events.format:
        return False
    common = gti.intersect(gti.union(*one.cut.gtis.values()), gti.union(*other.cut.gtis.values()))
    if not len(common):
        return False
    first, second = (_keys(member, member.events.rows[_selected(member)]) for member in (one, other))
    return bool(_known_to(first, second).any())


def _selected(member: EventMember) -> np.ndarray:
    return np.flatnonzero(select(member.events, member.cut, member.events.rows, sky=True))


def _keys(member: EventMember, rows: np.ndarray) -> np.ndarray:
    """What distinguishes events of one instrument, shape (n, k): time, chip and pixel on it."""
    form = member.events.format
    present = {name.upper() for name in column_names(rows)}
    needed = dict.fromkeys(name.upper() for name in (form.time_column, form.chip_column, *_RAW) if name)
    return np.column_stack([read_numbers(rows, name).astype(np.float64) for name in needed if name in present])


def _known_to(seen: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Which keys are among those seen, booleans of shape (n,)."""
    both = np.ascontiguousarray(np.concatenate((seen, keys)))
    # Plus zero: the two zeros have different bytes.
    _, number = np.unique((both + 0.0).view(f"V{both.itemsize * both.shape[1]}").ravel(), return_inverse=True)
    first = np.zeros(number.max(initial=-1) + 1, dtype=bool)
    first[number[: len(seen)]] = True
    return first[number[len(seen) :]]


def _event_pixels(
    member: EventMember, target: fits.Header, seen: dict[tuple[str, str, str], np.ndarray]
) -> tuple[np.ndarray, int]:
    """Target pixels of the events that no earlier list of the survey held, and how many it held."""
    events = member.events
    moved = _to_target(events.sky, target)
    found, keys = [], []
    for rows in events.chunks():
        kept = rows[select(events, member.cut, rows, sky=True)]
        x, y = (read_column(kept, name).astype(np.float64) for name in events.sky.columns)
        pixel = _pixels([one - 1 for one in moved(x, y)], target)
        inside = pixel >= 0
        found.append(pixel[inside])
        if member.shared:
            keys.append(_keys(member, kept[inside]))
    pixels = np.concatenate(found) if found else np.empty(0, np.int64)
    if not member.shared or not keys:
        return pixels, 0
    name = (member.shared, events.format.mission, events.format.instrument)
    own = np.concatenate(keys)
    earlier = seen.get(name, np.empty((0, own.shape[1])))
    known = _known_to(earlier, own)
    seen[name] = np.concatenate((earlier, own[~known]))
    return pixels[~known], int(known.sum())


def _pixels(position: Sequence[np.ndarray], target: fits.Header) -> np.ndarray:
    """Number of the target pixel of zero-based pixel coordinates, -1 outside."""
    nx, ny = int(target["NAXIS1"]), int(target["NAXIS2"])
    ix, iy = (np.floor(np.nan_to_num(one, nan=-1e6) + 0.5) for one in position)
    inside = (ix >= 0) & (ix < nx) & (iy >= 0) & (iy < ny)
    return np.where(inside, iy * nx + ix, -1).astype(np.int64)


def _to_target(sky: SkyGrid, target: fits.Header) -> Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """From event pixels to pixels of the target, which count from 1."""
    return between_pixels(sky.wcs, header_wcs(target))


def _image_pixels(member: ImageMember, target: fits.Header, rng: np.random.Generator) -> np.ndarray:
    """Target pixels of an image's counts."""
    counts = np.asarray(member.counts)
    whole = np.rint(np.nan_to_num(counts, nan=-1.0)).astype(np.int64)
    if counts.shape != member.exposure.shape or (whole != counts).any():
        raise DataError(
            "counts", f"the image of {member.name} does not hold whole counts on its grid", remedy="give a counts image"
        )
    if (whole < 0).any():
        raise DataError("counts", f"the image of {member.name} holds negative counts", remedy="give a counts image")
    pixel = np.repeat(np.arange(whole.size), whole.ravel())
    if same_grid(member.header, target):
        return pixel
    y, x = (one + rng.random(len(pixel)) - 0.5 for one in np.divmod(pixel, whole.shape[1]))
    ra, dec = to_icrs(header_wcs(member.header), x, y)
    found = _pixels(to_pixels(header_wcs(target), ra, dec), target)
    return found[found >= 0]


def _described(target: fits.Header, members: Sequence[Member], dropped: int, seed: int | None) -> fits.Header:
    header = fits.Header()
    for key in target:
        if key.rstrip("0123456789") in {"CTYPE", "CRPIX", "CRVAL", "CDELT", "CUNIT"} or key in {"RADESYS", "EQUINOX"}:
            header[key] = target[key]
    los, his = zip(*(member.band[:2] for member in members), strict=True)
    header["ENERG_LO"] = (min(los), "[keV] least energy of any member")
    header["ENERG_HI"] = (max(his), "[keV] greatest energy of any member")
    header["MOSN"] = (len(members), "members of the mosaic")
    header["MOSDUP"] = (dropped, "events left out that an earlier list holds")
    if seed is not None:
        header["MOSSEED"] = (seed, "seed of places of counts within pixels")
    for number, member in enumerate(members, start=1):
        header[f"MOSM{number:04d}"] = member.name
        if member.weight != 1.0:
            header[f"MOSW{number:04d}"] = (member.weight, "weight of its exposure")
        if isinstance(member, EventMember):
            header[f"MOSC{number:04d}"] = (member.cut.identity, "its cut")
    return header


def write_mosaic(mosaic: Mosaic, counts: Path, exposure: Path, rate: Path) -> None:
    """Write the three images of a mosaic.

    Parameters
    ----------
    mosaic
        What to write.
    counts, exposure, rate
        Files to write; none of them may exist.
    """
    images = (
        (counts, mosaic.counts, "count"),
        (exposure, mosaic.exposure, "s"),
        (rate, mosaic.rate, "count/s"),
    )
    for path, pixels, unit in images:
        header = mosaic.header.copy()
        header["BUNIT"] = (unit, "unit of the pixels")
        header["HDUCLASS"] = ("OGIP", "format conforms to OGIP standard")
        header["HDUCLAS1"] = ("IMAGE", "the data are an image")
        fits.PrimaryHDU(pixels, header).writeto(path, output_verify="exception")
