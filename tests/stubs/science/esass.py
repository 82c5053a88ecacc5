"""Work of eSASS."""

from __future__ import annotations

import re
from collections.abc import Sequence
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


def _of_modules(parts: fits.HDUList, kind: str) -> dict[int, np.ndarray]:
    """Good times of each telescope module, from the tables GTI1 to GTI7 or FLAREGTI1 to FLAREGTI7."""
    found = {}
    for part in parts[1:]:
        if told := re.fullmatch(rf"{kind}([1-7])", part.name):
            found[int(told[1])] = np.column_stack([part.data["START"], part.data["STOP"]]).astype(float)
    return found


def evtool(run: Run) -> Problem:
    values = run.values
    parts = lists.added([lists.read(path) for path in _named(values["eventfiles"])])
    table = lists.table_of(parts)
    columns = lists.columns_of(table)
    modules = range(1, 8) if values["telid"] == "0" else [int(one) for one in values["telid"].split()]
    mask = _chosen(values, columns, len(table.data), modules)
    if values["gti"]:
        good = _good(values, parts, columns)
        if good is None:
            return "gti", f"there is no extension {values['gti']}"
        mask &= good
    for module in set(range(1, 8)) - set(modules):
        for name in (f"GTI{module}", f"FLAREGTI{module}", f"DEADCOR{module}"):
            if name in [part.name for part in parts]:
                del parts[name]
    lists.keep_rows(parts, mask)
    if is_on(values["image"]):
        parts[0] = _image(values, lists.table_of(parts))
        if not is_on(values["events"]):
            parts = fits.HDUList([parts[0]])
    lists.write(parts, Path(values["outfile"]))
    return None


def _chosen(values: dict[str, str], columns: dict[str, np.ndarray], rows: int, modules: Sequence[int]) -> np.ndarray:
    """Events of these energies, modules, patterns and flags; nought stands for no limit, all modules and patterns."""
    mask = np.ones(rows, bool)
    if float(values["emin"]):
        mask &= columns["PI"] >= 1000 * float(values["emin"])
    if float(values["emax"]):
        mask &= columns["PI"] <= 1000 * float(values["emax"])
    if values["telid"] != "0" and "TM_NR" in columns:
        mask &= np.isin(columns["TM_NR"], modules)
    if int(values["pattern"]) and "PAT_TYP" in columns:
        known = np.clip(columns["PAT_TYP"].astype(int) - 1, 0, None)
        mask &= (columns["PAT_TYP"] > 0) & ((1 << known) & int(values["pattern"]) != 0)
    if values["flag"] and "FLAG" in columns:
        hit = (columns["FLAG"].astype(np.int64) & int(values["flag"], 0)) != 0
        mask &= hit if is_on(values["flag_invert"] or "no") else ~hit
    return mask


def _good(values: dict[str, str], parts: fits.HDUList, columns: dict[str, np.ndarray]) -> np.ndarray | None:
    """Events in good times, of each module its own; these become the good times of the list."""
    own = _of_modules(parts, values["gti"])
    if own:
        good = np.zeros(len(columns["TIME"]), bool)
        for module, pairs in own.items():
            good |= (columns["TM_NR"] == module) & lists.within(pairs, columns["TIME"])
            lists.put_gti(parts, pairs, f"GTI{module}")
        return good
    pairs = np.concatenate([lists.intervals_of(path, values["gti"]) for path in _named(values["eventfiles"])])
    return lists.within(pairs, columns["TIME"]) if len(pairs) else None


def _image(values: dict[str, str], table: fits.BinTableHDU) -> fits.PrimaryHDU:
    pixel = float(values["rebin"] or 80)
    sizes = values["size"].split()
    if sizes == ["auto"] or not all(lists.limits_of(table, name)[0] < 0 for name in ("X", "Y")):
        limits = [lists.limits_of(table, name) for name in ("X", "Y")]
        low, high = ([one[at] for one in limits] for at in (0, 1))
    else:
        numbers = [int(one) for one in (*sizes, *sizes)[:2]]
        middle = _middle(table, values["center_position"])
        low = [place - number * pixel / 2 + 0.5 for place, number in zip(middle, numbers, strict=True)]
        high = [start + number * pixel - 1 for start, number in zip(low, numbers, strict=True)]
    image = lists.image_of(table, "X", "Y", pixel=(pixel, pixel), low=low, high=high)
    return fits.PrimaryHDU(image.data.astype(np.int32), image.header)


def _middle(table: fits.BinTableHDU, value: str) -> list[float]:
    """The sky pixel at a position, RA and Dec in degrees; nought and nought is the middle of the projection."""
    places = [float(one) for one in value.split() if one != "auto"]
    if len(places) < 2 or not any(places):
        return [0.0, 0.0]
    from astropy.wcs import WCS

    wcs = WCS(naxis=2)
    for at, name in enumerate(("X", "Y")):
        number = table.columns.names.index(name) + 1
        for key, card in (("crval", "TCRVL"), ("cdelt", "TCDLT"), ("crpix", "TCRPX")):
            getattr(wcs.wcs, key)[at] = table.header[f"{card}{number}"]
    wcs.wcs.ctype = [table.header[f"TCTYP{table.columns.names.index(name) + 1}"] for name in ("X", "Y")]
    return [float(np.rint(one)) for one in wcs.all_world2pix(*places, 1)]


def flaregti(run: Run) -> Problem:
    values = run.values
    parts = lists.read(values["eventfile"])
    columns = lists.columns_of(lists.table_of(parts))
    chosen = (columns["PI"] >= float(values["pimin"] or 200)) & (columns["PI"] <= float(values["pimax"] or 10000))
    width = float(values["timebin"] or 20)
    starts, counts = lists.curve_of(columns["TIME"][chosen], width)
    seen = counts[counts > 0]
    quiet = np.median(seen) if len(seen) else 0
    good = lists.joined(counts <= quiet + 3 * np.sqrt(max(quiet, 1)), starts, width)
    modules = _of_modules(parts, "GTI")
    tables = [lists.gti_table(lists.common(pairs, good), f"FLAREGTI{module}") for module, pairs in modules.items()] or [
        lists.gti_table(good, "FLAREGTI")
    ]
    if is_on(values["write_lightcurve"] or "no") and values["lightcurve"]:
        curve = [fits.Column("TIME", "D", "s", array=starts), fits.Column("COUNTS", "J", "count", array=counts)]
        fits.BinTableHDU.from_columns(curve, name="LIGHTCURVE").writeto(values["lightcurve"], overwrite=True)
    if values["gtifile"]:
        fits.HDUList([fits.PrimaryHDU(), *tables]).writeto(values["gtifile"], overwrite=True)
    else:
        parts.extend(tables)
        lists.write(parts, Path(values["eventfile"]))
    return None


def expmap(run: Run) -> Problem:
    values = run.values
    image = lists.read(values["templateimage"])[0]
    shape = image.data.shape if image.data is not None else (8, 8)
    seconds = 0.0
    for path in _named(values["inputdatasets"]):
        own = _of_modules(lists.read(path), values["gtitype"])
        # A map of all seven says how long each of them, on average, saw a place.
        seconds += sum(float(np.diff(pairs).sum()) for pairs in own.values()) / 7
        if not own:
            seconds += float(np.diff(lists.intervals_of(path, values["gtitype"]), axis=1).sum())
    for name in ("mergedmaps", "singlemaps"):
        for path in values[name].split() if is_on(values[f"with{name}"]) else []:
            hdu = fits.PrimaryHDU(np.full(shape, seconds, np.float32))
            for card in image.header if image.data is not None else ():
                if re.fullmatch(r"C(?:TYPE|RVAL|DELT|RPIX|UNIT)\d", card):
                    hdu.header[card] = image.header[card]
            hdu.writeto(path, overwrite=True)
    return None


def ermask(run: Run) -> Problem:
    image = lists.read(run.values["expimage"])[0]
    if image.data is None:
        return None
    good = image.data >= float(run.values["threshold1"] or 0.2) * image.data.max()
    fits.PrimaryHDU(good.astype(np.uint8), image.header).writeto(run.values["detmask"], overwrite=True)
    return None


def _pixels(path: str) -> fits.PrimaryHDU | None:
    image = lists.read(path)[0] if path and Path(path).is_file() else None
    return image if image is not None and image.data is not None else None


def erbox(run: Run) -> Problem:
    values = run.values
    image = _pixels(values["images"].split()[0])
    if image is None:
        return None
    if is_on(values["bkgima_flag"] or "yes") and not values["bkgimages"]:
        return "bkgimages", "no background map is given"
    side = int(values["boxsize"] or 4)
    ny, nx = (length // side * side for length in image.data.shape)
    boxes = image.data[:ny, :nx].reshape(ny // side, side, nx // side, side).sum(axis=(1, 3))
    mean = max(float(boxes.mean()), 0.05)
    rows, columns = np.nonzero(boxes > mean + 6 * np.sqrt(mean))
    counts = boxes[rows, columns] - mean
    x, y = ((one + 0.5) * side + 0.5 for one in (columns, rows))
    _list(values["boxlist"], image, (x, y, counts), ("LIKE", "SCTS"))
    return None


def _list(path: str, image: fits.PrimaryHDU, sources: tuple[np.ndarray, ...], names: tuple[str, str]) -> None:
    """A list of sources at these pixels with these counts; the columns of likelihood and counts have the names."""
    from astropy.wcs import WCS

    x, y, counts = sources
    ra, dec = WCS(image.header).all_pix2world(x, y, 1) if "CTYPE1" in image.header else (x, y)
    nothing, error = np.zeros(len(x)), np.sqrt(np.maximum(counts, 1))
    columns = [fits.Column("ID_SRC", "J", array=np.arange(1, len(x) + 1))]
    columns.append(fits.Column("ID_BAND", "I", array=np.ones(len(x), int)))
    told = {
        "X_IMA": x, "X_IMA_ERR": nothing + 0.5, "Y_IMA": y, "Y_IMA_ERR": nothing + 0.5, "RA": ra, "DEC": dec,
        "RADEC_ERR": nothing + 3.0, "EXT": nothing, "EXT_LIKE": nothing, names[0]: 2 * error, names[1]: counts,
        f"{names[1]}_ERR": error, "ML_RATE_0": counts / 100.0, "ML_RATE_ERR_0": error / 100.0,
        "ML_BKG_0": nothing + 0.1, "ML_EXP_0": nothing + 100.0,
    }  # fmt: skip
    columns += [fits.Column(key, "D", array=np.asarray(values, float)) for key, values in told.items()]
    fits.BinTableHDU.from_columns(columns, name="SRCLIST").writeto(path, overwrite=True)


def erbackmap(run: Run) -> Problem:
    values = run.values
    image = _pixels(values["image"])
    if image is None:
        return None
    mask = _pixels(values["detmask"])
    inside = mask.data > 0 if mask is not None else np.ones(image.data.shape, bool)
    level = float(np.clip(image.data[inside], 0, 2).mean()) if inside.any() else 0.0
    fits.PrimaryHDU(np.where(inside, level, 0).astype(np.float32), image.header).writeto(
        values["bkgimage"], overwrite=True
    )
    if values["cheesemask"] and is_on(values["cheesemask_flag"] or "no"):
        fits.PrimaryHDU(inside.astype(np.uint8), image.header).writeto(values["cheesemask"], overwrite=True)
    return None


def ermldet(run: Run) -> Problem:
    values = run.values
    image = _pixels(values["images"].split()[0])
    if image is None:
        return None
    found = lists.table_of(lists.read(values["boxlist"]), "SRCLIST")
    if not len(found.data):
        return "noSources", "the list of boxes is empty"
    columns = lists.columns_of(found)
    sources = tuple(columns[name] for name in ("X_IMA", "Y_IMA", "SCTS"))
    _list(values["mllist"], image, sources, ("DET_LIKE_0", "ML_CTS_0"))
    if is_on(values["srcima_flag"] or "no"):
        for path in values["srcimages"].split():
            fits.PrimaryHDU(image.data.astype(np.float32), image.header).writeto(path, overwrite=True)
    return None


def catprep(run: Run) -> Problem:
    parts = lists.read(run.values["infile"])
    if "SRCLIST" not in [part.name for part in parts]:
        return None
    parts["SRCLIST"].name = "CATALOG"
    lists.write(parts, Path(run.values["outfile"]))
    return None
