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
            _cut_times(parts, lists.intervals_of(block[1:]))
        elif block.startswith("bin "):
            others.append(block)
        elif "=" in block:
            lists.keep_rows(parts, _ciao_mask(block, columns, len(lists.table_of(parts).data)))
    return parts, others


def _times(columns: dict[str, np.ndarray]) -> np.ndarray:
    return columns["time"] if "time" in columns else columns["TIME"]


def _cut_times(parts: fits.HDUList, pairs: np.ndarray) -> None:
    """Keep events in these times; the good times of every chip become those that are also among these."""
    lists.keep_rows(parts, lists.within(pairs, _times(lists.columns_of(lists.table_of(parts)))))
    lists.limit(parts, pairs)
    header = lists.table_of(parts).header
    for part in parts:
        if part.name == "GTI":
            good, chip = float((part.data["STOP"] - part.data["START"]).sum()), part.header.get("CCD_ID", "")
            ends = (str(chip), "") if chip in ("", header.get("CCD_ID", "")) else (str(chip),)
            live = good * header.get("DTCOR", 1.0)
            names = (("ONTIME", good), ("LIVTIME", live), ("EXPOSUR", live), ("LIVETIME", live), ("EXPOSURE", live))
            header.update({f"{key}{end}": value for end in ends for key, value in names if f"{key}{end}" in header})


def _ciao_mask(block: str, columns: dict[str, np.ndarray], rows: int) -> np.ndarray:
    mask = np.ones(rows, bool)
    for name, told in re.findall(r"(\w+)=([^=]*?)(?=,\w+=|\Z)", block):
        found = next((values for column, values in columns.items() if column.lower() == name.lower()), None)
        if found is None:
            continue
        if found.ndim > 1:  # A column of bits.
            found = (found.astype(np.int64) << np.arange(found.shape[1])[::-1]).sum(axis=1)
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
    starts, counts = lists.curve_of(_times(lists.columns_of(table)), width)
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
    values = run.values
    parts, _ = _virtual(values["infile"])
    table, columns = lists.table_of(parts), lists.columns_of(lists.table_of(parts))
    missing = [name for name in ("asolfile", "badpixfile", "maskfile") if not _there(values[name])]
    if missing:
        return "INPUTEXISTSF", f"Input file {values[missing[0]]} does not exist."
    good = [part for part in parts[1:] if part.name.startswith("GTI")]
    seconds = max((float((part.data["STOP"] - part.data["START"]).sum()) for part in good), default=0.0) or 1.0
    width = float(values["binsize"]) if values["binsize"] not in ("", "INDEF") else 8.0
    names = [next((one for one in columns if one.lower() == wanted), "") for wanted in ("x", "y")]
    energy = next((column for one, column in columns.items() if one.lower() == "energy"), None)
    for band in values["bands"].split(","):
        edges = band.split(":")
        low, high = (float(edges[0]), float(edges[1])) if len(edges) > 1 else (0.5, 7.0)
        chosen = table.copy()
        if energy is not None:
            chosen.data = table.data[(energy >= 1000 * low) & (energy < 1000 * high)]
        image = fits.PrimaryHDU(np.zeros((8, 8)))
        if all(names):
            placed = np.isfinite(np.asarray(chosen.data[names[0]], float) + np.asarray(chosen.data[names[1]], float))
            chosen.data = chosen.data[placed]
            image = _cut_out(chosen, names, width)
        usual = "wide" if str(table.header.get("INSTRUME", "")) == "HRC" else "broad"
        label = f"{edges[0]}-{edges[1]}" if len(edges) > 1 else (usual if band == "default" else band)
        stem = f"{values['outroot']}_{label}"
        fits.PrimaryHDU(image.data.astype(np.int16), image.header).writeto(f"{stem}_thresh.img", overwrite=True)
        exposed = np.full(image.data.shape, seconds, np.float32)
        unit, area = ("s", 1.0) if values["units"] == "time" else ("s cm**2", 300.0)
        made = fits.PrimaryHDU((exposed * area).astype(np.float32), image.header)
        made.header["BUNIT"] = unit
        made.writeto(f"{stem}_thresh.expmap", overwrite=True)
        fits.PrimaryHDU(image.data / (exposed * area), image.header).writeto(f"{stem}_flux.img", overwrite=True)
        if values["psfecf"] not in ("", "INDEF"):
            fits.PrimaryHDU(exposed * 0 + 1, image.header).writeto(f"{stem}_thresh.psfmap", overwrite=True)
    return None


def _there(value: str) -> bool:
    names = value.removeprefix("@").split(",")
    return not value or value.lower() == "none" or all(Path(name).is_file() for name in names)


def _cut_out(table: fits.BinTableHDU, names: list[str], width: float) -> fits.PrimaryHDU:
    """The part of the sky that has events, in blocks that begin at the first legal pixel."""
    limits = [lists.limits_of(table, name) for name in names]
    low, high = [], []
    for name, (least, last) in zip(names, limits, strict=True):
        # Edges of pixels lie between whole numbers.
        first = np.floor(least + 0.5) - 0.5
        seen = np.asarray(table.data[name], float)
        start, stop = (float(seen.min()), float(seen.max())) if len(seen) else (first, last)
        low.append(max(first, first + np.floor((start - first) / width - 4) * width))
        high.append(min(last - 1e-6, first + (np.floor((stop - first) / width) + 5) * width - 1e-6))
    image = lists.image_of(table, *names, pixel=(width, width), low=low, high=high)
    for at, name in enumerate(names):
        column = table.columns.names.index(name) + 1
        # Limits of real values are edges of pixels.
        if f"TCRPX{column}" in table.header:
            image.header[f"CRPIX{at + 1}"] = (table.header[f"TCRPX{column}"] - low[at]) / width + 0.5
    return image


def mkpsfmap(run: Run) -> Problem:
    image = lists.read(run.values["infile"].partition("[")[0])[0]
    if image.data is None:
        return None
    if Path(run.values["outfile"]).exists() and not is_on(run.values["clobber"]):
        return "EXISTS", f"Clobber set to no, and output file {run.values['outfile']} exists."
    ny, nx = image.data.shape
    iy, ix = np.mgrid[:ny, :nx]
    size = 0.5 + 5.0 * (np.hypot(ix - nx / 2, iy - ny / 2) / max(nx, ny)) ** 2
    fits.PrimaryHDU(size.astype(np.float32), image.header).writeto(run.values["outfile"], overwrite=True)
    return None


def wavdetect(run: Run) -> Problem:
    values = run.values
    image = lists.read(values["infile"].partition("[")[0])[0]
    if image.data is None:
        return None
    existing = [
        values[one] for one in ("outfile", "scellfile", "imagefile", "defnbkgfile") if Path(values[one]).exists()
    ]
    if existing and not is_on(values["clobber"]):
        return "EXISTS", f"Clobber set to no, and output file {existing[0]} exists."
    from astropy.wcs import WCS

    side = 4
    ny, nx = (length // side * side for length in image.data.shape)
    boxes = image.data[:ny, :nx].reshape(ny // side, side, nx // side, side).sum(axis=(1, 3)).astype(float)
    mean = max(float(boxes.mean()), 0.05)
    rows, columns = np.nonzero(boxes > mean + 8 * np.sqrt(mean))
    net = boxes[rows, columns] - mean
    x, y = ((one + 0.5) * side + 0.5 for one in (columns, rows))
    ra, dec = WCS(image.header).all_pix2world(x, y, 1) if "CTYPE1" in image.header else (x, y)
    nothing = np.zeros(len(net))
    told = {
        "RA": ra, "DEC": dec, "RA_ERR": nothing + 1e-4, "DEC_ERR": nothing + 1e-4, "X": x, "Y": y,
        "X_ERR": nothing + 0.3, "Y_ERR": nothing + 0.3, "NET_COUNTS": net, "NET_COUNTS_ERR": np.sqrt(net + mean),
        "BKG_COUNTS": nothing + mean, "NET_RATE": net / 1000.0, "EXPTIME": nothing + 1000.0,
        "SRC_SIGNIFICANCE": net / np.sqrt(mean), "PSF_SIZE": nothing + 1.0, "PSFRATIO": nothing + 1.5,
    }  # fmt: skip
    made = [fits.Column(name, "D", array=np.asarray(column, float)) for name, column in told.items()]
    made.append(fits.Column("SHAPE", "7A", array=["ellipse"] * len(net)))
    made.append(fits.Column("R", "2D", array=np.full((len(net), 2), 4.0)))
    fits.BinTableHDU.from_columns(made, name="SRCLIST").writeto(values["outfile"], overwrite=True)
    for name, pixels in (
        ("scellfile", image.data * 0),
        ("imagefile", image.data),
        ("defnbkgfile", image.data * 0.0 + mean / 16),
    ):
        fits.PrimaryHDU(pixels, image.header).writeto(values[name], overwrite=True)
    if values["regfile"]:
        Path(values["regfile"]).write_text(
            "".join(f"ellipse({one},{two},4,4,0)\n" for one, two in zip(x, y, strict=True))
        )
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
    table = lists.table_of(parts)
    mask = np.ones(len(table.data), bool)
    camera = str(table.header.get("INSTRUME", "ACIS")).strip()
    for block in ("status=0", "grade=0,2,3,4,6") if camera != "HRC" else ():
        mask &= _ciao_mask(block, lists.columns_of(table), len(mask))
    pairs = lists.union(lists.intervals_of(events[0]))
    lists.keep_rows(parts, mask)
    if len(pairs):
        _cut_times(parts, pairs)
    lists.table_of(parts).header["CONTENT"] = "EVT2"
    lists.write(parts, made)
    fits.HDUList([fits.PrimaryHDU(), lists.gti_table(pairs, "GTI")]).writeto(
        target / f"{root}_repro_flt2.fits", overwrite=True
    )
    for end in ("bpix1", "fov1"):
        given = [*source.glob(f"primary/*_{end}.fits*"), *source.glob(f"*_{end}.fits*")]
        empty = fits.BinTableHDU.from_columns([fits.Column("SHAPE", "16A", array=["Polygon"])], name="FOV")
        held = lists.read(given[0]) if given else fits.HDUList([fits.PrimaryHDU(), empty])
        lists.write(held, target / f"{root}_repro_{end}.fits")
    solutions = []
    for path in (*source.glob("primary/pcad*_asol1.fits*"), *source.glob("secondary/*_msk1.fits*"),
                 *source.glob("secondary/*_mtl1.fits*"), *source.glob("secondary/*_stat1.fits*"),
                 *source.glob("secondary/*_pbk0.fits*")):  # fmt: skip
        lists.write(lists.read(path), target / path.name.removesuffix(".gz"))
        solutions += [path.name.removesuffix(".gz")] if "_asol1" in path.name else []
    (target / f"{root}_asol1.lis").write_text("".join(f"{name}\n" for name in solutions))
    return None
