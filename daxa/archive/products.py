"""Products of an archive as a table: what they are, where they stand, and whether they are here."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from daxa.archive.config import ArchiveConfig
from daxa.archive.history import Recorded, check_names, check_obs_ids, read_recorded, selected_ids
from daxa.archive.layout import STEPS, Layout
from daxa.errors import DataError
from daxa.missions import find_mission
from daxa.naming import several
from daxa.run.hashes import MANIFEST
from daxa.run.product import KINDS, parse_product
from daxa.run.rows import check_path

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PRODUCT_COLUMNS", "find_products", "list_products"]

PRODUCT_COLUMNS = (
    "mission",
    "step",
    "obs_id",
    "instrument",
    "exposure",
    "lo_kev",
    "hi_kev",
    "kind",
    "size",
    "sha256",
    "present",
    "path",
    "relative",
)
"""Columns of the table of products."""

Names = str | Collection[str] | None
Band = tuple[float, float]


@dataclass(frozen=True)
class _Asked:
    """What is asked for; what is empty asks for all."""

    missions: tuple[str, ...]
    steps: tuple[str, ...]
    obs_ids: tuple[str, ...]
    kinds: tuple[str, ...]
    instruments: tuple[str, ...]
    bands: tuple[Band, ...]


def list_products(
    layout: Layout,
    config: ArchiveConfig,
    mission: Names = None,
    *,
    step: Names = None,
    obs_id: Names = None,
    kind: Names = None,
    instrument: Names = None,
    band: Band | Sequence[Band] | None = None,
) -> pd.DataFrame:
    """Products of the archive as a table, one row per file.

    Parameters
    ----------
    layout, config
        The archive.
    mission, step, obs_id, kind, instrument
        Only these: a name, or several; all by default.
    band
        Only this energy band, or these: (from, to) in keV.

    Returns
    -------
    pandas.DataFrame
        `PRODUCT_COLUMNS`.  ``path`` is absolute (a `pathlib.Path`), ``relative`` a text that begins
        at the archive; ``present`` says whether the file is here.  Fetched files have the kind
        ``fetched``, files that travel along ``auxiliary``.

    Raises
    ------
    CriteriaError
        The archive has no such mission, step, kind, instrument or band.
    ArchiveError
        The archive has no such observation.
    """
    import pandas as pd

    rows = find_products(layout, config, mission, step=step, obs_id=obs_id, kind=kind, instrument=instrument, band=band)
    return pd.DataFrame(rows, columns=list(PRODUCT_COLUMNS))


def find_products(
    layout: Layout,
    config: ArchiveConfig,
    mission: Names = None,
    *,
    step: Names = None,
    obs_id: Names = None,
    kind: Names = None,
    instrument: Names = None,
    band: Band | Sequence[Band] | None = None,
) -> list[dict[str, object]]:
    """The rows of `list_products`, without the cost of a table."""
    asked = _Asked(
        *(several(names) for names in (mission, step, obs_id, kind, instrument)),
        () if band is None else (band,) if isinstance(band[0], float | int) else tuple(band),
    )
    check_names("mission", asked.missions, config.missions)
    check_names("step", asked.steps, STEPS)
    rows = list(_rows(layout, config, asked))
    _check_obs_ids(layout, config, asked, rows)
    if asked.kinds:
        check_names("kind", asked.kinds, {*KINDS, *(row["kind"] for row in rows)})
        rows = [row for row in rows if row["kind"] in asked.kinds]
    if asked.instruments:
        _check_instruments(config, asked, rows)
        rows = [row for row in rows if row["instrument"] in asked.instruments]
    if asked.bands:
        _check_bands(asked, rows)
        rows = [row for row in rows if (row["lo_kev"], row["hi_kev"]) in asked.bands]
    return rows


def _rows(layout: Layout, config: ArchiveConfig, asked: _Asked) -> Iterator[dict[str, object]]:
    for mission in (one for one in config.missions if one in asked.missions or not asked.missions):
        for step in (one for one in STEPS if one in asked.steps or not asked.steps):
            recorded = read_recorded(
                layout, mission, step, {"path", "size", "sha256"}, obs_ids=set(asked.obs_ids) or None
            )
            yield from _rows_of_stage(layout, mission, step, recorded)


def _rows_of_stage(layout: Layout, mission: str, step: str, recorded: Recorded) -> Iterator[dict[str, object]]:
    products, columns = layout.products(mission, step).absolute(), recorded.columns
    below = layout.products(mission, step).relative_to(layout.root).as_posix()
    for obs_id, at in sorted(recorded.places.items()):
        for index in range(*columns.offsets[at : at + 2]):
            name = check_path(columns.path[index])
            if name == MANIFEST:
                continue
            path = products / obs_id / name
            yield {
                "mission": mission,
                "step": step,
                "obs_id": obs_id,
                **_identity(step, name),
                "size": columns.size[index],
                "sha256": columns.sha256[index],
                "present": os.path.isfile(path),  # noqa: PTH113 - a third of the time
                "path": path,
                "relative": f"{below}/{obs_id}/{name}",
            }


def _identity(step: str, path: str) -> dict[str, object]:
    found: dict[str, object] = dict.fromkeys(("instrument", "exposure", "lo_kev", "hi_kev"))
    if step == "fetch":
        return found | {"kind": "fetched"}
    try:
        product = parse_product(path)
    except DataError:
        return found | {"kind": "auxiliary"}
    return {
        "instrument": product.instrument,
        "exposure": product.exposure,
        "lo_kev": float(product.lo) if product.lo else None,
        "hi_kev": float(product.hi) if product.hi else None,
        "kind": product.kind,
    }


def _check_obs_ids(layout: Layout, config: ArchiveConfig, asked: _Asked, rows: Iterable[dict[str, object]]) -> None:
    """Selections are read only where an observation has no product."""
    if without := set(asked.obs_ids) - {row["obs_id"] for row in rows}:
        missions = asked.missions or config.missions
        check_obs_ids(sorted(without), {obs_id for mission in missions for obs_id in selected_ids(layout, mission)})


def _check_instruments(config: ArchiveConfig, asked: _Asked, rows: Iterable[dict[str, object]]) -> None:
    made = {str(row["instrument"]) for row in rows if row["instrument"]}
    declared = {one.name for mission in asked.missions or config.missions for one in find_mission(mission).instruments}
    check_names("instrument", asked.instruments, made | declared)


def _check_bands(asked: _Asked, rows: Iterable[dict[str, object]]) -> None:
    known = {(row["lo_kev"], row["hi_kev"]) for row in rows if row["lo_kev"] is not None}
    texts = {f"{lo:g}-{hi:g} keV" for lo, hi in known}
    check_names("band", [f"{lo:g}-{hi:g} keV" for lo, hi in asked.bands], texts)
