"""The table of coverage: its columns, and how it is made from the rows of all images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from daxa.analysis.image_sets import ImageSet
from daxa.analysis.sample_targets import SampleTargets
from daxa.missions import find_mission
from daxa.missions.tiling import tile_at
from daxa.query.criteria.sample import Sample
from daxa.selection.schema import Column
from daxa.xray.detection.quality import quality_words
from daxa.xray.imaging.positions import ROW, Quality

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLUMNS", "COVERAGE_ROW", "coverage_table"]

COLUMNS: tuple[Column, ...] = (
    Column("row", "float", "", "meta.record", "Number of the object in the sample, from 1"),
    Column("target", "text", "", "meta.id;src", "Name of the object, as the sample has it"),
    Column("target_ra", "float", "deg", "pos.eq.ra;src", "Right ascension of the object", "icrs"),
    Column("target_dec", "float", "deg", "pos.eq.dec;src", "Declination of the object", "icrs"),
    Column("mission", "text", "", "meta.id;instr.obsty", "Mission, by its short name in daxa"),
    Column("obs_id", "text", "", "meta.id;obs", "Identifier of the observation"),
    Column("instrument", "text", "", "meta.id;instr", "Instrument"),
    Column("exposure_id", "text", "", "meta.id", "Identifier of the exposure within the observation"),
    Column("lo_kev", "float", "keV", "em.energy;stat.min", "Nominal lower edge of the band"),
    Column("hi_kev", "float", "keV", "em.energy;stat.max", "Nominal upper edge of the band"),
    Column(
        "off_axis", "float", "arcmin", "pos.angDistance", "Object to the pointing (of a survey, to the tile's middle)"
    ),
    Column(
        "exposure", "float", "s", "time.duration;obs.exposure", "Clean exposure at the object, vignetted unless flat"
    ),
    Column("exposed", "float", "", "arith.ratio", "Share of the circle with exposure"),
    Column("radius", "float", "arcsec", "phys.angSize", "Radius of the circle in which counts are taken"),
    Column("counts", "float", "ct", "phot.count;em.X-ray", "Counts in the circle"),
    Column("background", "float", "ct", "phot.count;instr.background", "Counts expected in the circle of no source"),
    Column("chance", "float", "", "stat.probability", "Chance of that many counts without a source"),
    Column("rate", "float", "ct/s", "phot.count;arith.rate;em.X-ray", "Net rate; empty where the chance is too great"),
    Column("rate_low", "float", "ct/s", "phot.count;arith.rate;stat.min", "Lower edge of the rate, one sigma"),
    Column("rate_high", "float", "ct/s", "phot.count;arith.rate;stat.max", "Upper edge of the rate, one sigma"),
    Column("limit", "float", "ct/s", "phot.count;arith.rate;stat.max", "Upper limit of the rate"),
    Column("nearest", "float", "arcsec", "pos.angDistance;src", "Object to the nearest source found in the image"),
    Column("nearest_quality", "text", "", "meta.code.qual", "Marks of that source as words; good where it has none"),
    Column("tile", "text", "", "meta.id", "Tile that owns the object's place, in surveys of tiles"),
    Column("owned", "text", "", "meta.code", "Whether this observation is that tile; empty without tiles"),
    Column("flag", "float", "", "meta.code.qual", "Sum of the flags; 0 is good"),
    Column("quality", "text", "", "meta.code.qual", "The flags as words; good where there is none"),
)
"""What the columns of a table of coverage mean."""

COVERAGE_ROW = np.dtype([*ROW.descr, ("nearest", "f8"), ("marks", "i4")])
"""A row of one object in one image: what `daxa.xray.imaging.positions` measures, and the nearest source."""

_MEASURED = (
    *("exposure", "exposed", "counts", "background", "chance", "rate", "rate_low", "rate_high", "limit", "nearest"),
    "flag",
)


def coverage_table(
    sample: Sample, targets: SampleTargets, parts: Sequence[tuple[ImageSet, np.ndarray]]
) -> pd.DataFrame:
    """The table, with one row per object, observation, instrument and band."""
    import pandas as pd

    rows = np.concatenate([np.empty(0, COVERAGE_ROW), *(rows for _, rows in parts)])
    sizes = [len(rows) for _, rows in parts]
    place = rows["target"]
    number = targets.number[place]

    def of_image(values: Sequence[object], kind: type) -> np.ndarray:
        return np.repeat(np.array(values, dtype=kind), sizes) if parts else np.empty(0, dtype=kind)

    radius = np.broadcast_to(np.asarray(targets.aperture.radius, dtype=float), targets.ra.shape)
    columns = {
        "row": number + 1,
        "target": np.full(len(rows), "", object) if sample.names is None else sample.names[number],
        "target_ra": sample.ra[number],
        "target_dec": sample.dec[number],
        "mission": of_image([one.mission for one, _ in parts], object),
        "obs_id": of_image([one.obs_id for one, _ in parts], object),
        "instrument": of_image([one.instrument for one, _ in parts], object),
        "exposure_id": of_image(["" if one.exposure == "None" else one.exposure for one, _ in parts], object),
        "lo_kev": of_image([one.band[0] for one, _ in parts], float),
        "hi_kev": of_image([one.band[1] for one, _ in parts], float),
        "off_axis": rows["offaxis"],
        "radius": radius[place],
        **{name: rows[name] for name in _MEASURED},
    }
    named = {mark: quality_words(mark) if mark >= 0 else "" for mark in np.unique(rows["marks"]).tolist()}
    columns["nearest_quality"] = np.array([named[mark] for mark in rows["marks"].tolist()], dtype=object)
    columns["tile"] = _tiles(columns["mission"], columns["target_ra"], columns["target_dec"])
    is_tile = columns["tile"] != ""
    columns["owned"] = np.where(is_tile, np.where(columns["tile"] == columns["obs_id"], "yes", "no"), "").astype(object)
    words = {flag: _words(flag) for flag in np.unique(rows["flag"]).tolist()}
    columns["quality"] = np.array([words[flag] for flag in rows["flag"].tolist()], dtype=object)
    table = pd.DataFrame({column.name: columns[column.name] for column in COLUMNS})
    # Images are in the archive's order; the rows of each object come together.
    return table.sort_values("row", kind="stable", ignore_index=True)


def _tiles(missions: np.ndarray, ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
    """Names of the tiles that own places, '' for missions without tiles."""
    owners = np.full(len(missions), "", object)
    surveys = [name for name in set(missions) if (table := find_mission(name).table) and table.service == "tiling"]
    for at in np.flatnonzero(np.isin(missions.astype(str), surveys)):
        owners[at] = tile_at(float(ra[at]), float(dec[at])).obs_id
    return owners


def _words(flag: int) -> str:
    return " ".join((one.name or "").lower().replace("_", "-") for one in Quality(flag)) or "good"
