"""The results in an archive: products, values at positions, mosaics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from daxa.api.opened import Opened
from daxa.records import Outcome

if TYPE_CHECKING:
    import pandas as pd

    from daxa.analysis.coverage import Coverage
    from daxa.analysis.mosaic import MosaicResult
    from daxa.api.opened import Bands, Names, ObsIds, TargetsLike
    from daxa.xray.imaging.positions import Aperture

__all__ = ["Results"]


@dataclass(frozen=True)
class Results(Opened):
    """Methods of `daxa.Archive`."""

    def products(
        self,
        mission: Names = None,
        *,
        obs_id: ObsIds = None,
        kind: str | Sequence[str] | None = None,
        instrument: str | Sequence[str] | None = None,
        step: str | Sequence[str] | None = None,
        band: Bands = None,
    ) -> pd.DataFrame:
        """Table of products, one row per file.

        Parameters
        ----------
        mission, obs_id, kind, instrument, step, band
            Only these, one or several; kinds are those of `daxa.run.product.KINDS`, bands ``"0.5-2 keV"`` or
            (0.5, 2) in keV.

        Returns
        -------
        pandas.DataFrame
            With the columns `daxa.archive.products.PRODUCT_COLUMNS`; energies in keV, sizes in bytes.

        Raises
        ------
        CriteriaError
            There is no such mission, kind, instrument or step; the remedy names the existing ones.
        ArchiveError
            The observation is not selected.
        """
        from daxa.archive.products import list_products

        return list_products(
            self.layout,
            self.config,
            mission,
            obs_id=obs_id,
            kind=kind,
            instrument=instrument,
            step=step,
            band=band,
        )

    def coverage(
        self,
        targets: TargetsLike,
        *,
        missions: Names = None,
        obs_ids: ObsIds = None,
        instruments: str | Sequence[str] | None = None,
        bands: Bands = None,
        aperture: Aperture | None = None,
        workers: int = 0,
        observe: Callable[[Outcome, int, int], None] = lambda outcome, ended, total: None,
    ) -> Coverage:
        """What the observations say about objects: exposure, counts, rate or upper limit of each.

        Parameters
        ----------
        targets
            A file or table with columns ``ra`` and ``dec``, a `~astropy.coordinates.SkyCoord`, (ra, dec) in
            degrees, a name, or many places and names (`daxa.query.targets.read_targets`).
        missions, obs_ids, instruments, bands
            Only these, one or several; by default all.  Bands are ``"0.5-2 keV"``, (0.5, 2) in keV, or two
            quantities.
        aperture
            How counts are taken (`daxa.xray.imaging.positions.Aperture`).
        workers, observe
            As for `daxa.analysis.coverage.cover_targets`.

        Returns
        -------
        Coverage
            Its ``table`` has a row per object, observation, instrument and band.

        Raises
        ------
        CriteriaError
            The targets cannot be used, or the archive has no such mission, instrument or band.
        ArchiveError
            The images are not on this machine.
        """
        from daxa.analysis.coverage import cover_targets
        from daxa.analysis.image_sets import ImageRequest

        asked = ImageRequest(missions, obs_ids, instruments, bands)
        return cover_targets(
            self.layout, self.config, targets, asked, aperture=aperture, workers=workers, observe=observe
        )

    def mosaic(
        self,
        directory: str | PathLike[str],
        *,
        missions: Names = None,
        obs_ids: ObsIds = None,
        instruments: str | Sequence[str] | None = None,
        band: Bands = None,
        pixel_arcsec: float = 0.0,
        weights: Mapping[str, float] | None = None,
        observe: Callable[[Outcome, int, int], None] = lambda outcome, ended, total: None,
    ) -> MosaicResult:
        """Add observations on one grid of the sky, and write counts, exposure, rate and a picture.

        Parameters
        ----------
        directory
            Where the files go, outside the archive.
        missions, obs_ids, instruments, band
            Only these, one or several; by default all.  The band must be one: ``"0.5-2 keV"``, (0.5, 2) in keV,
            or two quantities.
        pixel_arcsec
            Side of a pixel, arcsec; 0 for that of the coarsest image.
        weights
            Instrument to the weight of its exposure relative to the others, a factor; 1 by default.
        observe
            Called with every image that was added.

        Returns
        -------
        MosaicResult
            The mosaic, its files, and what was left out.

        Raises
        ------
        CriteriaError
            The images are of several bands, or a pixel or weight is not valid.
        ArchiveError
            The directory is inside the archive, or the images are not on this machine.
        StorageError
            The files are there already, or cannot be written.
        DataError
            An image, map or list is damaged, or two of them do not match.
        NotPossible
            The observations are too far apart.
        """
        from daxa.analysis.image_sets import ImageRequest
        from daxa.analysis.mosaic import mosaic_archive

        asked = ImageRequest(missions, obs_ids, instruments, band)
        return mosaic_archive(
            self.layout,
            self.config,
            Path(directory),
            asked,
            pixel_arcsec=pixel_arcsec,
            weights=weights or {},
            observe=observe,
        )
