"""The images of an archive with the exposure maps that belong to them, and which of them are asked for."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from daxa.archive.config import ArchiveConfig
from daxa.archive.history import selected_ids
from daxa.archive.layout import Layout
from daxa.archive.products import list_products
from daxa.errors import ArchiveError, CriteriaError

__all__ = ["Asked", "Imaged", "band_text", "find_imaged", "outside_archive"]


@dataclass(frozen=True)
class Asked:
    """Which images; what is empty asks for all.

    Parameters
    ----------
    missions, obs_ids, instruments
        Names as in the archive's table of products.
    bands
        Energies from and to, keV.
    """

    missions: tuple[str, ...] = ()
    obs_ids: tuple[str, ...] = ()
    instruments: tuple[str, ...] = ()
    bands: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Imaged:
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

    @property
    def name(self) -> str:
        """For messages."""
        exposure = "" if self.exposure == "None" else f" {self.exposure}"
        return f"{self.mission} {self.obs_id} {self.instrument}{exposure} {band_text(self.band)}"


def band_text(band: tuple[float, float]) -> str:
    """A band as people write it.

    Examples
    --------
    >>> band_text((0.5, 2.0))
    '0.5-2 keV'
    """
    return f"{band[0]:g}-{band[1]:g} keV"


def find_imaged(layout: Layout, config: ArchiveConfig, asked: Asked) -> list[Imaged]:
    """The images that are asked for, in the order of the archive's products.

    Raises
    ------
    CriteriaError
        The archive has no such mission, instrument or band.
    ArchiveError
        It has no such observation, no image, or the files are not here.
    """
    _check_names("mission", asked.missions, config.missions)
    chosen = {mission: set(selected_ids(layout, mission)) for mission in asked.missions or config.missions}
    if absent := [one for one in asked.obs_ids if not any(one in ids for ids in chosen.values())]:
        raise ArchiveError(
            "no-observation", f"{absent[0]} is not in this archive", remedy="list its observations with `daxa ls`"
        )
    found = [
        one
        for one in _all_imaged(layout, config)
        if one.mission in chosen and one.obs_id in (asked.obs_ids or chosen[one.mission])
    ]
    if not found:
        raise ArchiveError(
            "no-images",
            "there is no image with an exposure map of what is asked for",
            remedy="`daxa run` makes them; `daxa status` says what failed",
        )
    _check_names("instrument", asked.instruments, {one.instrument for one in found})
    _check_bands(asked.bands, {one.band for one in found})
    kept = [
        one
        for one in found
        if (not asked.instruments or one.instrument in asked.instruments)
        and (not asked.bands or one.band in asked.bands)
    ]
    if not kept:
        raise ArchiveError(
            "no-images",
            f"no image of {', '.join(asked.instruments)} is in the band {', '.join(map(band_text, asked.bands))}",
            remedy="`daxa ls --kind image` lists instruments and bands",
        )
    _check_present(layout, kept)
    return kept


def outside_archive(layout: Layout, place: Path) -> Path:
    """The place, which must not lie in the archive: what stands there belongs to its releases.

    Raises
    ------
    ArchiveError
        It lies in the archive.
    """
    absolute = place.expanduser().resolve()
    if absolute.is_relative_to(layout.root.resolve()):
        raise ArchiveError(
            "inside",
            f"{place} lies in the archive, whose files are those of its pipeline",
            remedy=f"choose a place outside, such as ../{place.name or 'results'}",
        )
    return absolute


def _all_imaged(layout: Layout, config: ArchiveConfig) -> list[Imaged]:
    products = list_products(layout, config)
    files: dict[str, dict[tuple, Path]] = {"image": {}, "expmap": {}, "sourcelist": {}, "finalevents": {}}
    identity = ("mission", "obs_id", "instrument", "exposure")
    told = products["kind"].isin(files) & products["relative"].str.endswith(".fits")
    for row in products[told].to_dict("records"):
        key = tuple(row[name] for name in identity)
        if row["kind"] != "finalevents":
            key = (*key, row["lo_kev"], row["hi_kev"])
        files[row["kind"]][key] = layout.root / row["relative"]
    return [
        Imaged(
            *key[:4],
            key[4:],
            image,
            files["expmap"][key],
            files["finalevents"].get(key[:4]),
            files["sourcelist"].get(key),
        )
        for key, image in files["image"].items()
        if key in files["expmap"] and key[4] < key[5]
    ]


def _check_names(what: str, asked: Iterable[str], known: Collection[str]) -> None:
    if unknown := [name for name in asked if name not in known]:
        raise CriteriaError(
            what,
            f"this archive has no images of the {what} {unknown[0]!r}",
            remedy=f"it has {', '.join(sorted(known))}",
        )


def _check_bands(asked: Iterable[tuple[float, float]], known: Collection[tuple[float, float]]) -> None:
    if unknown := [band for band in asked if band not in known]:
        raise CriteriaError(
            "band",
            f"no image is in the band {band_text(unknown[0])}",
            remedy=f"there are {', '.join(map(band_text, sorted(known)))}; params/<mission>.toml says which are made",
        )


def _check_present(layout: Layout, images: Iterable[Imaged]) -> None:
    needed = (path for one in images for path in (one.image, one.expmap, one.sources) if path)
    absent = [path for path in needed if not path.is_file()]
    if absent:
        more = f" and {len(absent) - 1} more files are" if len(absent) > 1 else " is"
        raise ArchiveError(
            "no-data",
            f"{absent[0].relative_to(layout.root)}{more} not here",
            remedy="`dvc pull` brings the data of a release, `daxa run` makes them",
        )
