"""The images of an archive with the exposure maps that belong to them, and how to request some of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from daxa.archive.config import ArchiveConfig
from daxa.archive.layout import Layout, absolute_place
from daxa.archive.named_choices import named_bands, named_instruments, named_missions, named_obs_ids
from daxa.archive.products import list_products
from daxa.archive.stage_records import selected_ids
from daxa.errors import ArchiveError, CriteriaError
from daxa.naming import several
from daxa.quantities import band_text

if TYPE_CHECKING:
    from daxa.query.criteria.accepted_types import BandsLike, ObsIdsLike, TextsLike
    from daxa.query.mission import Mission

__all__ = ["ImageRequest", "ImageSet", "find_image_sets", "outside_archive"]

_Exposure = tuple[str, str, str, str]
"""Mission, ObsID, instrument, and the archive's identifier of the exposure."""


@dataclass(frozen=True)
class ImageRequest:
    """Which images, as the user names them (`daxa.archive.named_choices`); an empty field means all."""

    missions: str | Mission | Iterable[str | Mission] | None = ()
    obs_ids: ObsIdsLike | None = ()
    instruments: TextsLike | None = ()
    bands: BandsLike | None = None


@dataclass(frozen=True)
class ImageSet:
    """One image of the archive.

    Parameters
    ----------
    mission, obs_id, instrument, exposure
        Of what; the exposure is the archive's identifier.
    band
        Energies from and to, keV.
    image, expmap
        The files.
    events
        The cleaned list that the image was made of; None where the archive has none.
    sources
        The list of sources found in the image; None where the archive has none.
    readout
        The expected out-of-time events of the image, which may have been subtracted from it; None where
        the archive has none.
    """

    mission: str
    obs_id: str
    instrument: str
    exposure: str
    band: tuple[float, float]
    image: Path
    expmap: Path
    events: Path | None = None
    sources: Path | None = None
    readout: Path | None = None

    @property
    def name(self) -> str:
        """For messages."""
        exposure = "" if self.exposure == "None" else f" {self.exposure}"
        return f"{self.mission} {self.obs_id} {self.instrument}{exposure} {band_text(self.band)}"


def find_image_sets(layout: Layout, config: ArchiveConfig, request: ImageRequest) -> list[ImageSet]:
    """The images that are requested, in the order of the archive's products.

    Raises
    ------
    CriteriaError
        The archive has no such mission, instrument or band.
    ArchiveError
        It has no such observation, no image, or the files are not here.
    """
    missions = named_missions(config, request.missions) or tuple(config.missions)
    obs_ids = set(named_obs_ids(layout, missions, request.obs_ids))
    instruments = named_instruments(missions, request.instruments)
    bands = named_bands(request.bands)
    selected = {mission: set(selected_ids(layout, mission)) for mission in missions}
    found = [
        one
        for one in _all_imaged(layout, config)
        if one.mission in selected and one.obs_id in (obs_ids or selected[one.mission])
    ]
    if not found:
        raise ArchiveError(
            "no-images",
            "there is no image with an exposure map for this request",
            remedy="`daxa run` makes them; `daxa status` says what failed, and `daxa logs OBSID --step images` "
            "why an image has no map",
        )
    _check_instruments(request.instruments, instruments, {one.instrument for one in found})
    _check_bands(bands, {one.band for one in found})
    kept = [
        one
        for one in found
        if (not instruments or one.instrument.upper() in instruments) and (not bands or one.band in bands)
    ]
    if not kept:
        requested = " ".join([*map(str, several(request.instruments)), *map(band_text, bands)])
        raise ArchiveError(
            "no-images",
            f"there is no image of {requested}",
            remedy="`daxa ls --kind image` lists instruments and bands",
        )
    _check_present(layout, kept)
    return kept


def outside_archive(layout: Layout, place: Path) -> Path:
    """Return the place, which must lie outside the archive: everything inside belongs to its releases.

    Raises
    ------
    ArchiveError
        It lies in the archive.
    """
    absolute = absolute_place(place).resolve()
    if absolute.is_relative_to(layout.root.resolve()):
        raise ArchiveError(
            "inside",
            f"{place} lies inside the archive, which holds only the files of its pipeline",
            remedy=f"choose a place outside, such as ../{place.name or 'results'}",
        )
    return absolute


def _all_imaged(layout: Layout, config: ArchiveConfig) -> list[ImageSet]:
    products = list_products(layout, config)
    kinds = ("image", "expmap", "sourcelist", "ootimage")
    files: dict[str, dict[tuple[_Exposure, tuple[float, float]], Path]] = {kind: {} for kind in kinds}
    events: dict[_Exposure, Path] = {}
    relevant = products["kind"].isin([*files, "finalevents"]) & products["relative"].str.endswith(".fits")
    for row in products[relevant].to_dict("records"):
        exposure = row["mission"], row["obs_id"], row["instrument"], row["exposure"]
        path = layout.root / row["relative"]
        if row["kind"] == "finalevents":
            events[exposure] = path
        else:
            files[row["kind"]][exposure, (row["lo_kev"], row["hi_kev"])] = path
    return [
        ImageSet(
            *exposure,
            band,
            image,
            files["expmap"][exposure, band],
            events.get(exposure),
            files["sourcelist"].get((exposure, band)),
            files["ootimage"].get((exposure, band)),
        )
        for (exposure, band), image in files["image"].items()
        if (exposure, band) in files["expmap"] and band[0] < band[1]
    ]


def _check_instruments(request: TextsLike | None, requested: Collection[str], there: Collection[str]) -> None:
    if requested and not any(name.upper() in requested for name in there):
        raise CriteriaError(
            "instrument",
            f"there is no image of {', '.join(map(str, several(request)))}",
            remedy=f"there are images of {', '.join(sorted(there))}",
        )


def _check_bands(request: Iterable[tuple[float, float]], known: Collection[tuple[float, float]]) -> None:
    if unknown := [band for band in request if band not in known]:
        raise CriteriaError(
            "band",
            f"no image is in the band {band_text(unknown[0])}",
            remedy=f"there are {', '.join(map(band_text, sorted(known)))}; params/<mission>.toml sets which are made",
        )


def _check_present(layout: Layout, images: Iterable[ImageSet]) -> None:
    needed = (path for one in images for path in (one.image, one.expmap, one.sources, one.readout) if path)
    absent = [path for path in needed if not path.is_file()]
    if absent:
        more = f" and {len(absent) - 1} more files are" if len(absent) > 1 else " is"
        raise ArchiveError(
            "no-data",
            f"{absent[0]}{more} not here",
            remedy="`daxa pull` brings the data of a release, `daxa run` makes them",
        )
