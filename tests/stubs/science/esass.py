"""Work of eSASS."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from astropy.io import fits

from tests.stubs import lists
from tests.stubs.grammar import is_on

if TYPE_CHECKING:
    from tests.stubs.program import Run

Problem = tuple[str, str] | None


def _named(value: str) -> list[str]:
    return Path(value[1:]).read_text().split() if value.startswith("@") else value.split()


def evtool(run: Run) -> Problem:
    values = run.values
    parts = lists.added([lists.read(path) for path in _named(values["eventfiles"])])
    table = lists.table_of(parts)
    columns = lists.columns_of(table)
    mask = np.ones(len(table.data), bool)
    # Nought stands for no limit, all telescopes and all patterns.
    if float(values["emin"]):
        mask &= columns["PI"] >= 1000 * float(values["emin"])
    if float(values["emax"]):
        mask &= columns["PI"] <= 1000 * float(values["emax"])
    if values["telid"] != "0" and "TM_NR" in columns:
        mask &= np.isin(columns["TM_NR"], [int(one) for one in values["telid"].split()])
    if int(values["pattern"]) and "PAT_TYP" in columns:
        mask &= (1 << (columns["PAT_TYP"].astype(int) - 1)) & int(values["pattern"]) != 0
    if values["flag"] and "FLAG" in columns:
        hit = (columns["FLAG"].astype(np.int64) & int(values["flag"], 0)) != 0
        mask &= hit if is_on(values["flag_invert"] or "no") else ~hit
    if values["gti"]:
        pairs = np.concatenate([lists.intervals_of(path, values["gti"]) for path in _named(values["eventfiles"])])
        if not len(pairs):
            return "gti", f"there is no extension {values['gti']}"
        mask &= lists.within(pairs, columns["TIME"])
    lists.keep_rows(parts, mask)
    if is_on(values["image"]):
        table = lists.table_of(parts)
        limits = [lists.limits_of(table, name) for name in ("X", "Y")]
        pixel = float(values["rebin"] or 80)
        image = lists.image_of(
            table, "X", "Y", pixel=(pixel, pixel), low=[one[0] for one in limits], high=[one[1] for one in limits]
        )
        parts[0] = image
        if not is_on(values["events"]):
            parts = fits.HDUList([image])
    lists.write(parts, Path(values["outfile"]))
    return None


def flaregti(run: Run) -> Problem:
    values = run.values
    parts = lists.read(values["eventfile"])
    columns = lists.columns_of(lists.table_of(parts))
    chosen = (columns["PI"] >= float(values["pimin"] or 200)) & (columns["PI"] <= float(values["pimax"] or 10000))
    width = float(values["timebin"] or 20)
    starts, counts = lists.curve_of(columns["TIME"][chosen], width)
    quiet = np.median(counts) if len(counts) else 0
    table = lists.gti_table(lists.joined(counts <= quiet + 3 * np.sqrt(max(quiet, 1)), starts, width), "FLAREGTI")
    if values["gtifile"]:
        fits.HDUList([fits.PrimaryHDU(), table]).writeto(values["gtifile"], overwrite=True)
    else:
        parts.append(table)
        lists.write(parts, Path(values["eventfile"]))
    return None


def expmap(run: Run) -> Problem:
    image = lists.read(run.values["templateimage"])[0]
    pairs = np.concatenate(
        [lists.intervals_of(path, run.values["gtitype"]) for path in _named(run.values["inputdatasets"])]
    )
    seconds = float(np.diff(pairs, axis=1).sum())
    shape = image.data.shape if image.data is not None else (8, 8)
    for name in ("mergedmaps", "singlemaps"):
        for path in run.values[name].split() if is_on(run.values[f"with{name}"]) else []:
            fits.PrimaryHDU(np.full(shape, seconds, np.float32)).writeto(path, overwrite=True)
    return None
