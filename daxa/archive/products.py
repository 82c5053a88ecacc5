"""Products of an archive as a table: what they are, where they are, and whether they are on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from daxa.archive.config import ArchiveConfig, steps_of
from daxa.archive.layout import Layout
from daxa.archive.named_choices import (
    named_bands,
    named_instruments,
    named_kinds,
    named_missions,
    named_obs_ids,
    named_steps,
)
from daxa.archive.stage_records import StageRecord, read_stage_record
from daxa.errors import CriteriaError, DataError
from daxa.naming import several
from daxa.quantities import band_text
from daxa.run.hashes import MANIFEST
from daxa.run.product import parse_product
from daxa.run.rows import check_path
from daxa.run.steps import Step, kinds_of

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

__all__ = ["PRODUCT_COLUMNS", "ProductRecord", "find_products", "kinds_in", "list_products"]

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


class _Identity(TypedDict):
    instrument: str | None
    exposure: str | None
    lo_kev: float | None
    hi_kev: float | None
    kind: str


class ProductRecord(_Identity):
    """What is known of one file; None where a value is not known or does not apply."""

    mission: str
    step: str
    obs_id: str
    size: int
    sha256: str
    present: bool
    path: Path
    relative: str


@dataclass(frozen=True)
class _ProductRequest:
    """Which rows of which ledgers; no ObsID means all."""

    missions: tuple[str, ...]
    steps: tuple[Step, ...]
    obs_ids: tuple[str, ...]


def list_products(layout: Layout, config: ArchiveConfig, mission: object = None, **filters: object) -> pd.DataFrame:
    """Products of the archive as a table, one row per file.

    Parameters
    ----------
    layout, config, mission, **filters
        As for `find_products`.

    Returns
    -------
    pandas.DataFrame
        `PRODUCT_COLUMNS`.
    """
    import pandas as pd

    return pd.DataFrame(find_products(layout, config, mission, **filters), columns=list(PRODUCT_COLUMNS))


def find_products(
    layout: Layout,
    config: ArchiveConfig,
    mission: object = None,
    *,
    step: object = None,
    obs_id: object = None,
    kind: object = None,
    instrument: object = None,
    band: object = None,
) -> list[ProductRecord]:
    """Products of the archive, one record of `PRODUCT_COLUMNS` per file.

    Parameters
    ----------
    layout, config
        The archive.
    mission, step, obs_id, kind, instrument, band
        Only these, one or several, named as `daxa.archive.named_choices` takes them; all by default.

    Returns
    -------
    list of ProductRecord
        ``path`` is absolute (a `pathlib.Path`), ``relative`` a text that begins at the archive;
        ``present`` says whether the file is here; ``exposure`` is None where the mission has no
        exposures of its own.  Fetched files have the kind ``fetched``, files that travel along
        ``auxiliary``.

    Raises
    ------
    CriteriaError
        The archive has no such mission, step, kind, instrument or band.
    ArchiveError
        The archive has no such observation.
    """
    missions = named_missions(config, mission) or tuple(config.missions)
    instruments = named_instruments(missions, instrument)
    steps = steps_of(config)
    chosen = named_steps(step, [one.name for one in steps])
    filters = _ProductRequest(
        missions,
        tuple(one for one in steps if one.name in chosen or not chosen),
        named_obs_ids(layout, missions, obs_id),
    )
    kinds, bands = named_kinds(kind, kinds_in(layout, config, kind)), named_bands(band)
    rows = [row for row in _rows(layout, filters) if not kinds or row["kind"] in kinds]
    if instruments:
        rows = [row for row in rows if str(row["instrument"]).upper() in instruments]
    if bands:
        _check_bands(bands, rows)
        rows = [row for row in rows if (row["lo_kev"], row["hi_kev"]) in bands]
    return rows


def kinds_in(layout: Layout, config: ArchiveConfig, named: object = None) -> tuple[str, ...]:
    """Kinds of files that the steps of the archive make, and where another one is named, those that it has besides.

    Mission software makes files of further kinds, which no step reads.

    Parameters
    ----------
    layout, config
        The archive.
    named
        Kinds that are requested, one or several.
    """
    steps = steps_of(config)
    usual = kinds_of(steps)
    if all(one in usual for one in several(named)):
        return usual
    rows = _rows(layout, _ProductRequest(tuple(config.missions), steps, ()))
    return (*usual, *sorted({row["kind"] for row in rows}.difference(usual)))


def _rows(layout: Layout, filters: _ProductRequest) -> Iterator[ProductRecord]:
    for mission in filters.missions:
        for step in filters.steps:
            recorded = read_stage_record(
                layout, mission, step.name, {"path", "size", "sha256"}, obs_ids=set(filters.obs_ids) or None
            )
            yield from _rows_of_stage(layout, mission, step, recorded)


def _rows_of_stage(layout: Layout, mission: str, step: Step, recorded: StageRecord) -> Iterator[ProductRecord]:
    products, columns = layout.products(mission, step.name).absolute(), recorded.columns
    below = layout.name_of(layout.products(mission, step.name))
    for obs_id, at in sorted(recorded.places.items()):
        for index in range(*columns.offsets[at : at + 2]):
            name = check_path(columns.path[index])
            if name == MANIFEST:
                continue
            path = products / obs_id / name
            yield {
                "mission": mission,
                "step": step.name,
                "obs_id": obs_id,
                **_identity(step, name),
                "size": columns.size[index],
                "sha256": columns.sha256[index],
                "present": os.path.isfile(path),  # noqa: PTH113 - a third of the time
                "path": path,
                "relative": f"{below}/{obs_id}/{name}",
            }


def _identity(step: Step, path: str) -> _Identity:
    unknown = _Identity(instrument=None, exposure=None, lo_kev=None, hi_kev=None, kind="auxiliary")
    if step.fetches:
        return {**unknown, "kind": step.products[0]}
    try:
        product = parse_product(path)
    except DataError:
        return unknown
    return {
        "instrument": product.instrument,
        "exposure": None if product.exposure == "None" else product.exposure,
        "lo_kev": float(product.lo) if product.lo else None,
        "hi_kev": float(product.hi) if product.hi else None,
        "kind": product.kind,
    }


def _check_bands(bands: Iterable[tuple[float, float]], rows: Iterable[ProductRecord]) -> None:
    edges = {(row["lo_kev"], row["hi_kev"]) for row in rows}
    known = sorted((low, high) for low, high in edges if low is not None and high is not None)
    if known and (unknown := [band for band in bands if band not in known]):
        raise CriteriaError(
            "band",
            f"no product is in the band {band_text(unknown[0])}",
            remedy=f"there are {', '.join(map(band_text, known))}; params/<mission>.toml sets which are made",
        )
