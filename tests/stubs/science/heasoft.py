"""Work of HEASoft: level 1 lists become screened ones, with good times from the housekeeping where there is some."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from astropy.io import fits

from tests.stubs import lists
from tests.stubs.fits import write_table
from tests.stubs.grammar import is_on
from tests.stubs.science.survey import batsurvey  # noqa: F401 - found here by its name

if TYPE_CHECKING:
    from tests.stubs.program import Run

Problem = tuple[str, str] | None
Columns = Mapping[str, np.ndarray]

STATUS = "b000000000x0xx000"
"""What nuscreen records in real lists."""


def _plain(path: Path) -> str:
    return path.name.removesuffix(".gz")


def _forbidden(run: Run, target: Path) -> Problem:
    if target.exists() and any(target.iterdir()) and not is_on(run.values["clobber"]):
        return "ERROR", f"{target} is not empty and clobber is no"
    target.mkdir(parents=True, exist_ok=True)
    return None


def _bits(values: np.ndarray) -> np.ndarray:
    """Bit columns as whole numbers, the first bit highest."""
    if values.ndim < 2:
        return values
    return (values.astype(np.int64) << np.arange(values.shape[1])[::-1]).sum(axis=1)


def _screened(path: Path, good: Callable[[Columns], np.ndarray], pairs: np.ndarray | None = None) -> fits.HDUList:
    """A list with nothing but good events, and its exposure for those good times."""
    parts = lists.read(path)
    columns = lists.columns_of(lists.table_of(parts))
    mask = good({name: _bits(values) for name, values in columns.items()})
    if pairs is None:
        pairs = lists.intervals_of(path)
    else:
        mask &= lists.within(pairs, columns["TIME"])
    lists.keep_rows(parts, mask)
    lists.put_gti(parts, pairs)
    header, seconds = lists.table_of(parts).header, float(np.diff(pairs).sum())
    header["ONTIME"] = seconds
    header["EXPOSURE"] = header["LIVETIME"] = seconds * header.get("DEADC", 1.0)
    return parts


def _met(columns: Columns, **rules: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    mask = np.ones(len(next(iter(columns.values()))), bool)
    for name, rule in rules.items():
        if name in columns:
            mask &= rule(columns[name])
    return mask


def _runs(path: Path, name: str, good: Callable[[np.ndarray], np.ndarray]) -> np.ndarray | None:
    """Times in which a column of a table is good."""
    table = lists.table_of(lists.read(path), "ANY")
    columns = lists.columns_of(table)
    if name not in columns or len(table.data) < 2:
        return None
    times = columns["TIME"]
    return lists.joined(good(columns[name]), times, float(np.median(np.diff(times))))


def _seen(source: Path, stem: str, module: str, path: Path) -> np.ndarray:
    """Good times: those of the list, without what the orbit and the housekeeping take from them."""
    pairs = lists.intervals_of(path)
    for pattern, name, good in (
        (f"hk/{stem}{module}_fpm.hk*", "SW_SAA", lambda flags: flags == 0),
        (f"auxil/{stem}_orb.fits*", "ELV", lambda degrees: degrees > 3),
    ):
        for file in source.glob(pattern):
            runs = _runs(file, name, good)
            if runs is not None:
                pairs = lists.common(pairs, runs)
    return pairs


def nupipeline(run: Run) -> Problem:
    values = run.values
    source, target = Path(values["indir"]), Path(values["outdir"])
    raw = sorted(source.glob("event_uf/*_uf.evt*"))
    if not raw:
        return None
    if problem := _forbidden(run, target):
        return problem
    wanted = {"FPMA": "A", "FPMB": "B"}.get(values["instrument"], "AB")
    status = values["statusexpr"].partition("==")[2] or STATUS
    held = int("".join("1" if sign == "0" else "0" for sign in status.removeprefix("b")), 2)
    for path in raw:
        found = re.fullmatch(r"(nu\d+)([AB])_uf\.evt", _plain(path))
        if not found or found[2] not in wanted:
            continue
        stem, module = found[1], found[2]
        parts = lists.read(path)
        lists.write(parts, target / f"{stem}{module}_uf.evt")
        for end, name in (("hp.fits", "RAWX"), ("bp.fits", "RAWX"), ("det1.fits", "X_DET1"), ("oa.fits", "X_OA")):
            write_table(target / f"{stem}{module}_{end}", name, {"TIME": [0.0], name: [1.0]})
        for end in ("mast", "att"):
            write_table(target / f"{stem}_{end}.fits", end.upper(), {"TIME": [0.0, 1.0]})
        if values["exitstage"] == "1":
            continue
        pairs = _seen(source, stem, module, path)
        good = _screened(
            path,
            lambda columns: _met(
                columns,
                STATUS=lambda flags: (flags & held) == 0,
                SHIELD=lambda hit: hit == 0,
                GRADE=lambda grade: grade <= 26,
            ),
            pairs,
        )
        lists.write(good, target / f"{stem}{module}01_cl.evt")
        fits.HDUList([fits.PrimaryHDU(), lists.gti_table(pairs, "GTI")]).writeto(
            target / f"{stem}{module}01_gti.fits", overwrite=True
        )
        write_table(target / f"{stem}{module}.mkf", "PREFILTER", {"TIME": [0.0], "ELV": [40.0]})
        if is_on(values["createexpomap"]):
            _expmap(good, int(values["skysize"]), target / f"{stem}{module}_ex.img")
        empty = "06" if module == "A" else "02"
        print(f"nupipeline: WARNING No Filtered Level 2 Event File created for Observing Mode '{empty}'")
    return None


def nuexpomap(run: Run) -> Problem:
    parts = lists.read(run.values["infile"])
    table = lists.table_of(parts)
    if not {"X", "Y"} <= set(table.columns.names):
        return None
    missing = [name for name in ("mastaspectfile", "attfile", "det1reffile") if not Path(run.values[name]).is_file()]
    if missing and run.values[missing[0]]:
        return "ERROR", f"{missing[0]} {run.values[missing[0]]} does not exist"
    if run.values["expomapfile"]:
        _expmap(parts, int(run.values["skysize"]), Path(run.values["expomapfile"]))
    return None


def _expmap(parts: fits.HDUList, size: int, path: Path, reach: float = 6.5) -> None:
    """Seconds within a circle about the middle of the events, on all sky pixels."""
    table = lists.table_of(parts)
    columns = lists.columns_of(table)
    image = lists.image_of(table, "X", "Y", pixel=(1.0, 1.0), low=(1.0, 1.0), high=(float(size), float(size)))
    pairs = [part for part in parts[1:] if part.name.startswith("GTI")]
    seconds = sum(float((part.data["STOP"] - part.data["START"]).sum()) for part in pairs[:1])
    x, y = (np.median(columns[name]) if len(columns[name]) else size / 2 for name in ("X", "Y"))
    width = 60 * abs(image.header.get("CDELT2", 1.0))
    iy, ix = np.mgrid[1 : size + 1, 1 : size + 1]
    inside = np.hypot(ix - x, iy - y) * width < reach
    live = table.header.get("DEADC", 1.0)
    hdu = fits.PrimaryHDU(np.where(inside, seconds * live, 0.0).astype(np.float32), image.header)
    hdu.writeto(path, overwrite=True)


def xrtpipeline(run: Run) -> Problem:
    values = run.values
    source, target = Path(values["indir"]), Path(values["outdir"])
    raw = sorted(source.glob("xrt/event/*_uf.evt*"))
    if not raw:
        return None
    if not list(source.glob("auxil/*sat.fits*")):
        print("xrtpipeline_0.13.7 Attitude File not found")
        return "ERROR", "attitude file not found"
    if problem := _forbidden(run, target):
        return problem
    for path in raw:
        mode = "PC" if "xpc" in path.name else "WT"
        if values["datamode"] not in ("ALL", mode) or "po_uf" not in path.name:
            continue
        lists.write(lists.read(path), target / _plain(path))
        if values["exitstage"] == "1":
            continue
        last = 12 if mode == "PC" else 2
        good = _screened(
            path, lambda columns, last=last: _met(columns, GRADE=lambda g: g <= last, STATUS=lambda flags: flags == 0)
        )
        lists.write(good, target / _plain(path).replace("_uf", "_cl"))
        if is_on(values["createexpomap"]) and mode == "PC":
            _expmap(good, 1000, target / _plain(path).replace("_uf.evt", "_ex.img"), 11.8)
    return None


def nicerl2(run: Run) -> Problem:
    source = Path(run.values["indir"])
    raw = sorted(source.glob("xti/event_uf/*_0mpu?_uf.evt*"))
    if not raw:
        return None
    place = run.values.get("geomag_path", "") or os.environ.get("GEOMAG_PATH", "")
    if not place or not any(Path(place).iterdir()):
        return "ERROR", "no geomagnetic data were found: run nigeodown"
    stem = re.sub(r"_0mpu.*", "", raw[0].name)
    suffix = run.values["evtsuffix"]
    target = source / "xti/event_cl"
    made = target / f"{stem}_0mpu7_cl{suffix}.evt"
    if made.exists() and not is_on(run.values["clobber"]):
        return "ERROR", f"{made} exists and clobber is no"
    target.mkdir(exist_ok=True)
    lists.write(lists.added([lists.read(path) for path in raw]), target / f"{stem}_0mpu7_ufa{suffix}.evt")
    good = _screened(
        target / f"{stem}_0mpu7_ufa{suffix}.evt",
        lambda columns: _met(columns, EVENT_FLAGS=lambda flags: (flags & 0b10111) == 0b10000, PI=lambda pi: pi >= 20),
    )
    lists.write(good, made)
    write_table(source / f"auxil/{stem}.mkf", "PREFILTER", {"TIME": [0.0], "ELV": [40.0]})
    return None


def aepipeline(run: Run) -> Problem:
    source, target = Path(run.values["indir"]), Path(run.values["outdir"])
    raw = sorted(source.glob("xis/event_uf/*_uf.evt*"))
    if not raw:
        return None
    if target.resolve().is_relative_to(source.resolve()):
        return "ERROR", "outdir is inside of indir"
    if problem := _forbidden(run, target):
        return problem
    for path in raw:
        good = _screened(
            path,
            lambda columns: _met(
                columns, GRADE=lambda g: np.isin(g, (0, 2, 3, 4, 6)), STATUS=lambda s: (s >= 0) & (s <= 524287)
            ),
        )
        lists.write(good, target / _plain(path).replace("_uf", "_cl"))
    (target / f"{run.values['steminputs']}_aepipeline_report.txt").write_text("aepipeline\n")
    return None


def xapipeline(run: Run) -> Problem:
    source, target = Path(run.values["indir"]), Path(run.values["outdir"])
    wanted = {"RESOLVE": ("resolve",), "XTEND": ("xtend",)}.get(run.values["instrument"].upper(), ("resolve", "xtend"))
    raw = sorted(path for one in wanted for path in source.glob(f"{one}/event_uf/*_uf.evt*"))
    if not raw:
        return None
    if problem := _forbidden(run, target):
        return problem
    for path in raw:
        if "px0000" in path.name or "px5000" in path.name:
            continue
        good = _screened(
            path,
            # The calibration pixel of Resolve, and grades of Xtend.
            lambda columns: _met(columns, PIXEL=lambda p: p != 12, GRADE=lambda g: np.isin(g, (0, 2, 3, 4, 6))),
        )
        lists.write(good, target / _plain(path).replace("_uf", "_cl"))
    return None


def uvotimsum(run: Run) -> Problem:
    values = run.values
    if Path(values["outfile"]).exists() and not is_on(values["clobber"]):
        return "ERROR", f"outfile '{values['outfile']}' exists and clobber not set"
    images = [part for part in lists.read(values["infile"])[1:] if part.header["NAXIS"] == 2]
    excluded = values["exclude"].upper().replace("DEFAULT", "ASPCORR:NONE,DUPEXPID,SETTLING").split(",")
    if "ASPCORR:NONE" in excluded:
        images = [part for part in images if part.header.get("ASPCORR", "NONE") != "NONE"]
    if not images:
        print("uvotimsum: warning: no HDUs to sum")
        return None
    times = [part.header.get("FRAMTIME", 0.011032) for part in images]
    if max(times) * (1 - float(values["flexframetime"])) > min(times) and not is_on(values["ignoreframetime"]):
        return "ERROR", "combining FRAMTIMEs not allowed; use ignoreframetime=yes to override"
    total = np.sum([part.data for part in images], axis=0)
    header = fits.Header({name: images[0].header[name] for name in ("CRPIX1", "CRPIX2", "CRVAL1", "CRVAL2")})
    header["EXPOSURE"] = sum(part.header["EXPOSURE"] for part in images)
    parts = fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(total, header, name=images[0].header["FILTER"])])
    lists.write(parts, Path(values["outfile"]))
    return None


def uvotdetect(run: Run) -> Problem:
    values = run.values
    images = [part for part in lists.read(values["infile"]) if part.header["NAXIS"] == 2]
    if len(images) != 1:
        return "ERROR", f"{len(images)} usable image extensions in {values['infile']}"
    (image,) = images
    seconds = np.full(image.data.shape, image.header["EXPOSURE"])
    if values["expfile"].upper() != "NONE":
        seconds = lists.read(values["expfile"])[1].data
    level = np.median(image.data)
    y, x = np.nonzero((image.data - level > float(values["threshold"]) * max(image.data.std(), 1.0)) & (seconds > 0))
    columns = [
        fits.Column("RA", "D", "deg", array=image.header["CRVAL1"] + (x + 1 - image.header["CRPIX1"]) * 1e-4),
        fits.Column("DEC", "D", "deg", array=image.header["CRVAL2"] + (y + 1 - image.header["CRPIX2"]) * 1e-4),
        fits.Column("RATE", "E", "count/s", array=(image.data[y, x] - level) / seconds[y, x]),
    ]
    table = fits.BinTableHDU.from_columns(columns, name="SOURCES")
    lists.write(fits.HDUList([fits.PrimaryHDU(), table]), Path(values["outfile"]))
    return None
