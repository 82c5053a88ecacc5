"""Mosaics of an archive's observations, and maps of where they looked.

Events are binned again from the cleaned lists.  Where a list is not that of its image (another
program made the image), or is not here, the image's own counts go in.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from daxa.analysis.image_sets import ImageRequest, ImageSet, find_image_sets, outside_archive
from daxa.archive.config import ArchiveConfig
from daxa.archive.layout import Layout
from daxa.errors import CriteriaError, DataError, NotPossible, StorageError
from daxa.missions import find_mission
from daxa.quantities import band_text
from daxa.records import Outcome
from daxa.xray.cleaning.cut import Cut
from daxa.xray.cleaning.ownscreening import recorded_rules
from daxa.xray.eventlists.event_list import EventList
from daxa.xray.eventlists.formats import card_number, card_text
from daxa.xray.eventlists.opening import open_events
from daxa.xray.eventlists.sky_grid import header_wcs
from daxa.xray.imaging.exposure_map import sum_unproved
from daxa.xray.imaging.image import ImageGrid
from daxa.xray.imaging.members import EventMember, ImageMember, Member
from daxa.xray.imaging.mosaicking import (
    Mosaic,
    less_readout,
    make_mosaic,
    mosaic_grid,
    readout_subtracted,
    write_mosaic,
)
from daxa.xray.imaging.pairing import check_pair, same_grid

if TYPE_CHECKING:
    from astropy.io import fits

__all__ = ["MosaicResult", "find_member", "mosaic_archive", "write_sky"]


@dataclass(frozen=True, eq=False)
class MosaicResult:
    """A mosaic that was written.

    Parameters
    ----------
    mosaic
        Its pixels; out-of-time events are subtracted where they are from the images (``OOTCORR``).
    band
        Energies from and to, keV, as they were requested.
    members
        Names of the images that were added.
    without_events
        Members that contributed their image, not their events.
    files
        Kind (image, expmap, ratemap, quicklook) to file.
    """

    mosaic: Mosaic
    band: tuple[float, float]
    members: tuple[str, ...]
    without_events: tuple[str, ...] = ()
    files: Mapping[str, Path] = field(default_factory=dict)


def mosaic_archive(
    layout: Layout,
    config: ArchiveConfig,
    directory: Path,
    request: ImageRequest,
    *,
    pixel_arcsec: float = 0.0,
    weights: Mapping[str, float] | None = None,
    observe: Callable[[Outcome, int, int], None] = lambda outcome, ended, total: None,
) -> MosaicResult:
    """Add observations of an archive on one grid, and write the images and a picture.

    Parameters
    ----------
    layout, config
        The archive, of which nothing is changed.
    directory
        Where the files go, outside the archive; made when it is absent.
    request
        Which images: of one band.
    pixel_arcsec
        Side of a pixel; 0 for that of the coarsest image.
    weights
        Instrument to the weight of its exposure relative to the others; 1 by default.
    observe
        Called with every image that was added.

    Raises
    ------
    CriteriaError
        The images are of several bands, or a pixel or weight is not valid.
    ArchiveError
        The directory lies in the archive, or the images are not here.
    StorageError
        The files are there already, or cannot be written.
    DataError
        An image, map or list is damaged, or two of them do not belong together.
    NotPossible
        The observations lie too far apart.
    """
    place = outside_archive(layout, directory)
    found = find_image_sets(layout, config, request)
    band = _one_band(found)
    files = {kind: place / name for kind, name in _names(band).items()}
    if there := [path for path in files.values() if path.exists()]:
        raise StorageError("exists", f"{there[0]} already exists", remedy="choose another directory, or remove it")
    _check_numbers(found, pixel_arcsec, weights or {})
    wholes = _without_parts(found)
    members = [find_member(one, (weights or {}).get(one.instrument, 1.0)) for one in wholes]
    target = mosaic_grid(members, pixel_arcsec or max(map(_pixel_of, members)))
    ended = 0

    def report(member: Member) -> None:
        nonlocal ended
        ended += 1
        observe(Outcome(member.name.partition("/")[0], "mosaic", member.name, "done"), ended, len(members))

    mosaic = less_readout(make_mosaic(members, target, observe=report))
    if (subtracted := readout_subtracted(members)) is not None:
        mosaic.header["OOTCORR"] = (subtracted, "out-of-time events subtracted")
    mosaic.header.update(sum_unproved(_read(one.expmap, is_map=True)[1] for one in wholes))
    without = tuple(member.name for member in members if isinstance(member, ImageMember))
    result = MosaicResult(mosaic, band, tuple(member.name for member in members), without, files)
    _write(place, result)
    return result


def find_member(one: ImageSet, weight: float = 1.0) -> Member:
    """An image of the archive as a member of a mosaic: its events where their cut is that of the image.

    Raises
    ------
    DataError
        A file is damaged, or image and map do not belong together.
    NotPossible
        It is a tile of a survey without its events: tiles overlap, and only events show what both have in common.
    """
    counts, header, readout = _counted(one)
    seconds, map_header = _read(one.expmap, is_map=True)
    check_pair(header, map_header)
    if card_text(map_header, "EXPMETH") == "FIELD":
        raise NotPossible(
            "mosaic-unmeasured",
            f"the part of the sky that {one.name} shows is not known: no chip could be placed",
            remedy="leave it out of the mosaic",
        )
    spec = find_mission(one.mission)
    shared = one.mission if spec.table and spec.table.service == "tiling" else ""
    member = _events_of(one, header, seconds, weight, shared)
    if member:
        return replace(member, readout=readout)
    if shared:
        raise NotPossible(
            "mosaic-tiles",
            f"{one.name} has no events of the image's own cut, and tiles of {one.mission} overlap",
            remedy="`daxa run` makes its cleaned list and images of one cut",
        )
    edges = card_number(header, "ENERG_LO", one.band[0]), card_number(header, "ENERG_HI", one.band[1])
    name = f"{one.mission}/{one.instrument}/{one.obs_id}/{'' if one.exposure == 'None' else one.exposure}"
    return ImageMember(name, counts, seconds, header, edges, weight, readout=readout)


def write_sky(path: Path, mosaic: Mosaic, *, healpix_order: int | None = None) -> None:
    """Write where a mosaic has exposure as a MOC; or its counts and exposure in HEALPix cells.

    Parameters
    ----------
    path
        The FITS file to write; it must not exist.
    mosaic
        The mosaic.
    healpix_order
        Order of the cells; None writes the MOC.

    Raises
    ------
    DataError
        The cells are too small for the pixels.
    StorageError
        The file is there already, or cannot be written.
    """
    from daxa.xray.imaging.skymaps import coverage_moc, healpix_map, write_healpix

    if path.exists():
        raise StorageError("exists", f"{path} already exists", remedy="choose another file, or remove it")
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".daxa-") as scratch:
            part = Path(scratch, path.name)
            if healpix_order is None:
                coverage_moc(mosaic.exposure, mosaic.header).serialize("fits").writeto(part)
            else:
                write_healpix(part, healpix_map(mosaic.counts, mosaic.exposure, mosaic.header, healpix_order))
            part.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from None


def _one_band(found: Sequence[ImageSet]) -> tuple[float, float]:
    of_bands: dict[tuple[float, float], list[str]] = {}
    for one in found:
        of_bands.setdefault(one.band, []).append(one.mission)
    if len(of_bands) > 1:
        listed = "; ".join(
            f"{band_text(band)} ({', '.join(dict.fromkeys(missions))})" for band, missions in sorted(of_bands.items())
        )
        raise CriteriaError(
            "band",
            f"a mosaic needs a single band, and there are images in several: {listed}",
            remedy="choose one with --band, and with --mission where missions share none",
        )
    return next(iter(of_bands))


def _check_numbers(found: Sequence[ImageSet], pixel_arcsec: float, weights: Mapping[str, float]) -> None:
    if not 0 <= pixel_arcsec < math.inf:
        raise CriteriaError(
            "pixel", f"a pixel of {pixel_arcsec:g} arcsec is not valid", remedy="give its side in arcsec"
        )
    known = sorted({one.instrument for one in found})
    for name, weight in weights.items():
        if name not in known:
            raise CriteriaError(
                "weight", f"no image is of the instrument {name!r}", remedy=f"there are {', '.join(known)}"
            )
        if not 0 < weight < math.inf:
            raise CriteriaError("weight", f"{name} cannot weigh {weight:g}", remedy="give a number above 0")


def _without_parts(found: Sequence[ImageSet]) -> list[ImageSet]:
    """Leave out parts of exposures whose whole is in the archive, too."""
    from astropy.io import fits

    wholes = {
        (one.mission, one.obs_id, one.instrument): card_text(fits.getheader(one.image), "MERGED").split(",")
        for one in found
        if one.exposure == "ALL"
    }

    def is_part(one: ImageSet) -> bool:
        parts = wholes.get((one.mission, one.obs_id, one.instrument))
        return parts is not None and one.exposure != "ALL" and (parts == [""] or one.exposure in parts)

    return [one for one in found if not is_part(one)]


def _events_of(
    one: ImageSet, header: fits.Header, seconds: np.ndarray, weight: float, shared: str
) -> EventMember | None:
    if one.events is None or not one.events.is_file():
        return None
    events = open_events(one.events)
    rules = recorded_rules(events)
    cut = Cut(rules, events.gtis, (int(card_number(header, "CHANMIN")), int(card_number(header, "CHANMAX"))))
    grid = _grid_of(events, header)
    if grid is None or cut.identity != card_text(header, "CUTID"):
        return None
    member = EventMember(events, cut, grid, seconds, weight, shared)
    return member if same_grid(member.header, header) else None


def _grid_of(events: EventList, header: fits.Header) -> ImageGrid | None:
    """Event pixels of an image, from its physical coordinates (`daxa.xray.imaging.image.grid_cards`)."""
    if events.sky_grid is None or "CDELT1L" not in header:
        return None
    sides = {card_number(header, f"CDELT{axis}L") for axis in (1, 2)}
    side = round(next(iter(sides)))
    if len(sides) > 1 or side < 1:
        return None
    x0, y0 = (round(card_number(header, f"CRVAL{axis}L") - (side - 1) / 2) for axis in (1, 2))
    return ImageGrid(x0, y0, side, int(header["NAXIS1"]), int(header["NAXIS2"]))


def _counted(one: ImageSet) -> tuple[np.ndarray, fits.Header, np.ndarray | None]:
    """The counts of an image, its header, and the out-of-time events that were subtracted from it."""
    from daxa.xray.imaging.outoftime import read_counted

    pixels, header = _read(one.image)
    if header.get("OOTCORR") is not True:
        return pixels, header, None
    if one.readout is not None:
        _read(one.readout)
    counts, readout = read_counted(one.image, one.readout)
    return counts, header, readout


def _read(path: Path, *, is_map: bool = False) -> tuple[np.ndarray, fits.Header]:
    from astropy.io import fits

    from daxa.query.untrusted import PARSE_ERRORS

    try:
        pixels, header = fits.getdata(path), fits.getheader(path)
        # Undefined exposure is none; counts that are undefined are damage.
        whole = np.nan_to_num(pixels, nan=0.0, posinf=np.inf) if is_map else pixels
        if np.ndim(pixels) != 2 or not np.isfinite(np.sum(whole, dtype=float)):
            raise ValueError("it holds no image of numbers")
    except PARSE_ERRORS as problem:
        raise DataError(
            "damaged",
            f"{path.name} cannot be read: {' '.join(str(problem).split())[:150]}",
            remedy="`daxa verify` shows which files differ from the release; `dvc checkout` restores them",
        ) from problem
    return pixels, header


def _pixel_of(member: Member) -> float:
    return math.sqrt(abs(float(np.linalg.det(header_wcs(member.header).pixel_scale_matrix)))) * 3600.0


def _names(band: tuple[float, float]) -> dict[str, str]:
    energies = f"en{band[0]}_{band[1]}keV"
    return {
        **{kind: f"mosaic-{energies}-{kind}.fits" for kind in ("image", "expmap", "ratemap")},
        "quicklook": f"mosaic-{energies}-quicklook.png",
    }


def _write(place: Path, made: MosaicResult) -> None:
    from daxa.xray.imaging.quicklook import write_quicklook

    mosaic, count = made.mosaic, len(made.members)
    missions = ", ".join(dict.fromkeys(find_mission(name.partition("/")[0]).title for name in made.members))
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place, prefix=".daxa-") as scratch:
            parts = {kind: Path(scratch, path.name) for kind, path in made.files.items()}
            write_mosaic(mosaic, parts["image"], parts["expmap"], parts["ratemap"])
            write_quicklook(
                parts["quicklook"],
                mosaic.counts,
                mosaic.exposure,
                None,
                title=f"Mosaic of {count} {'exposure' if count == 1 else 'exposures'}  {missions}",
                subtitle=f"{band_text(made.band)}, {round(float(mosaic.counts.sum(dtype=float)))} counts, "
                f"at most {float(mosaic.exposure.max(initial=0)):.0f} s",
                pixel_arcsec=abs(float(mosaic.header["CDELT2"])) * 3600.0,
            )
            for kind, path in made.files.items():
                parts[kind].replace(path)
    except OSError as error:
        raise _unwritable(place, error) from None


def _unwritable(place: Path, error: OSError) -> StorageError:
    return StorageError("unwritable", f"{place} cannot be written: {error.strerror}", remedy="choose another place")
