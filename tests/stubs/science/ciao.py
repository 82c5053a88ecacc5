"""Work of CIAO."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from astropy.io import fits

from tests.stubs import lists
from tests.stubs.grammar import is_on

if TYPE_CHECKING:
    from tests.stubs.program import Run

Problem = tuple[str, str] | None


def _virtual(value: str) -> tuple[fits.HDUList, list[str]]:
    """A file after the filters behind its name, and what else stands there (such as a binning)."""
    name, *blocks = re.findall(r"[^\[\]]+", value)
    parts = lists.read(name)
    others = []
    for block in blocks:
        columns = lists.columns_of(lists.table_of(parts))
        if block.startswith("@"):
            lists.keep_rows(parts, lists.within(lists.intervals_of(block[1:]), columns["TIME"]))
        elif block.startswith("bin "):
            others.append(block)
        elif "=" in block:
            lists.keep_rows(parts, _ciao_mask(block, columns, len(lists.table_of(parts).data)))
    return parts, others


def _ciao_mask(block: str, columns: dict[str, np.ndarray], rows: int) -> np.ndarray:
    mask = np.ones(rows, bool)
    for name, told in re.findall(r"(\w+)=([^=]*?)(?=,\w+=|\Z)", block):
        found = next((values for column, values in columns.items() if column.lower() == name.lower()), None)
        if found is None:
            continue
        hit = np.zeros(rows, bool)
        for one in told.split(","):
            low, colon, high = one.partition(":")
            wide = (found >= float(low or -np.inf)) & (found <= float(high or np.inf))
            hit |= wide if colon else found == float(low)
        mask &= hit
    return mask


def dmcopy(run: Run) -> Problem:
    target = Path(run.values["outfile"])
    if target.exists() and not is_on(run.values["clobber"]):
        return "EXISTS", f"Clobber set to no, and output file {target} exists."
    parts, _ = _virtual(run.values["infile"])
    lists.write(parts, target)
    return None


def dmextract(run: Run) -> Problem:
    parts, others = _virtual(run.values["infile"])
    width = float(others[0].rpartition(":")[2]) if others else 1.0
    table = lists.table_of(parts)
    starts, counts = lists.curve_of(lists.columns_of(table)["TIME"], width)
    columns = [
        fits.Column("TIME", "D", "s", array=starts + width / 2),
        fits.Column("COUNTS", "J", "count", array=counts),
    ]
    columns.append(fits.Column("COUNT_RATE", "D", "count/s", array=counts / width))
    lists.write_like(
        fits.BinTableHDU.from_columns(columns, name="LIGHTCURVE"), table, TIMEDEL=width, path=run.values["outfile"]
    )
    return None


def deflare(run: Run) -> Problem:
    target = Path(run.values["outfile"])
    if target.exists():  # It has no parameter to allow it.
        return "EXISTS", f"Clobber set to no, and output file {target} exists."
    table = lists.table_of(lists.read(run.values["infile"]), "LIGHTCURVE")
    columns = lists.columns_of(table)
    rate, width = columns["COUNT_RATE"], float(table.header.get("TIMEDEL", 1.0))
    good = np.abs(rate - np.median(rate)) <= float(run.values["nsigma"]) * max(np.std(rate), 1e-30)
    pairs = lists.joined(good, columns["TIME"] - width / 2, width)
    fits.HDUList([fits.PrimaryHDU(), lists.gti_table(pairs, "GTI")]).writeto(target)
    return None


def fluximage(run: Run) -> Problem:
    parts, _ = _virtual(run.values["infile"])
    table, columns = lists.table_of(parts), lists.columns_of(lists.table_of(parts))
    seconds = (
        float(np.diff(lists.intervals_of(re.findall(r"[^\[\]]+", run.values["infile"])[0], "GTI"), axis=1).sum()) or 1.0
    )
    width = float(run.values["binsize"]) if run.values["binsize"] not in ("", "INDEF") else 8.0
    names = [next((one for one in columns if one.lower() == wanted), "") for wanted in ("x", "y")]
    for band in run.values["bands"].split(","):
        edges = band.split(":")
        low, high = (float(edges[0]), float(edges[1])) if len(edges) > 1 else (0.5, 7.0)
        chosen = table.copy()
        energy = next((values for one, values in columns.items() if one.lower() == "energy"), None)
        if energy is not None:
            chosen.data = table.data[(energy >= 1000 * low) & (energy < 1000 * high)]
        image = fits.PrimaryHDU(np.zeros((8, 8)))
        if all(names):
            limits = [lists.limits_of(chosen, name) for name in names]
            image = lists.image_of(
                chosen, *names, pixel=(width, width), low=[one[0] for one in limits], high=[one[1] for one in limits]
            )
        label = f"{edges[0]}-{edges[1]}" if len(edges) > 1 else ("broad" if band == "default" else band)
        stem = f"{run.values['outroot']}_{label}"
        image.writeto(f"{stem}_thresh.img", overwrite=True)
        exposed = np.full(image.data.shape, seconds, np.float32)
        fits.PrimaryHDU(exposed, image.header).writeto(f"{stem}_thresh.expmap", overwrite=True)
        fits.PrimaryHDU(image.data / exposed, image.header).writeto(f"{stem}_flux.img", overwrite=True)
    return None


def chandra_repro(run: Run) -> Problem:
    source = Path(run.values["indir"])
    target = Path(run.values["outdir"] or source / "repro")
    events = sorted(source.glob("secondary/*_evt1.fits*")) or sorted(source.glob("*_evt1.fits*"))
    if len(events) > 1:
        return "ERROR", "found more than one event file: use splitobs first"
    if not events:
        return None
    target.mkdir(parents=True, exist_ok=True)
    root = run.values["root"] or events[0].name.split("_")[0]
    made = target / f"{root}_repro_evt2.fits"
    if made.exists() and not is_on(run.values["clobber"]):
        return "EXISTS", f"Clobber set to no, and output file {made} exists."
    parts = lists.read(events[0])
    columns = lists.columns_of(lists.table_of(parts))
    mask = np.ones(len(lists.table_of(parts).data), bool)
    for name, good in (("status", (0,)), ("grade", (0, 2, 3, 4, 6))):
        if name in columns:
            mask &= np.isin(columns[name], good)
    lists.write(lists.keep_rows(parts, mask), made)
    pairs = lists.intervals_of(events[0])
    fits.HDUList([fits.PrimaryHDU(), lists.gti_table(pairs, "GTI")]).writeto(
        target / f"{root}_repro_flt2.fits", overwrite=True
    )
    empty = fits.BinTableHDU.from_columns([fits.Column("SHAPE", "16A", array=["Polygon"])], name="FOV")
    for end in ("bpix1", "fov1"):
        fits.HDUList([fits.PrimaryHDU(), empty.copy()]).writeto(target / f"{root}_repro_{end}.fits", overwrite=True)
    return None
