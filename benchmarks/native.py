"""Reading, screening, good times and binning of a large event list, against the plain reading of its columns.

A list of XMM's pn as SAS writes it is made once.  Its 12 CCDs have the same good times, each in a table
of its own, so that the peers need one filter for all of them, while daxa looks at every table.  In
several rounds every case runs, in a process of its own, and its best time counts: the
file is in the system's cache for all, and none has the quieter machine.  Times are of the
processor (all cases have one thread): they hold on a busy machine.  What is measured:

- plain: the columns that the cut and the image need, read by numpy alone from the mapped file into
  arrays in the machine's byte order, and nothing else: the floor for anybody who looks at them;
- daxa: `EventList.open`, the standard screening, per-CCD good times, a band, an image of
  648 x 648 pixels;
- astropy: the same with `astropy.io.fits` and numpy at its best (one search for the times, whole
  numbers of pixels counted by `bincount`);
- CFITSIO: the same by its extended file names, with one filter, in one pass over the file;
- fitsio: the columns read by it in chunks, as CFITSIO advises, and the same numpy;
- stingray: the reading of the times alone by its reader, which neither screens nor bins images;
- XGA: its `EventList` and `generate_image` with the same flags, patterns, band and pixels; it
  knows nothing of good times.

The last two need not stand beside daxa: `--peers` names the Python that has them.  Those that
are nowhere are left out and named.  Memory is the kernel's count of what the process held at most,
pages of mapped files among it, beyond what it held when all was imported.

    python benchmarks/native.py [--events 5000000] [--repeat 3] [--cases plain daxa] [--peers venv/bin/python]
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from cost import peak_memory

CHIPS = range(1, 13)
COLUMNS = ("TIME", "X", "Y", "PI", "FLAG", "PATTERN", "CCDNR")
BAND = (500, 2000)
SPAN = 100_000.0
BIN, SIDE, FIRST = 80, 648, 1

ROW = np.dtype(
    [
        ("TIME", ">f8"), ("RAWX", ">i2"), ("RAWY", ">i2"), ("DETX", ">i2"), ("DETY", ">i2"), ("X", ">i4"), ("Y", ">i4"),
        ("PHA", ">i2"), ("PI", ">i2"), ("FLAG", ">i4"), ("PATTERN", "u1"), ("PAT_ID", ">i2"), ("PAT_SEQ", "u1"),
        ("CCDNR", "u1"),
    ]
)  # fmt: skip
"""The columns of a list of the pn, in its order: 37 bytes to a row."""

FORMS = {">f8": "D", ">i2": "I", ">i4": "J", "|u1": "B"}


def intervals() -> np.ndarray:
    """Twenty good intervals."""
    starts = np.arange(20) * (SPAN / 20) + 1
    return np.column_stack((starts, starts + SPAN / 22))


def make(path: Path, events: int) -> None:
    """The list, the same for ever: 85 percent of the events pass each test."""
    from astropy.io import fits

    rng = np.random.default_rng(2001)
    header = fits.Header()
    header["XTENSION"], header["BITPIX"], header["NAXIS"] = "BINTABLE", 8, 2
    header["NAXIS1"], header["NAXIS2"], header["PCOUNT"], header["GCOUNT"] = ROW.itemsize, events, 0, 1
    header["TFIELDS"], header["EXTNAME"] = len(ROW), "EVENTS"
    for number, name in enumerate(ROW.names, 1):
        header[f"TTYPE{number}"], header[f"TFORM{number}"] = name, FORMS[ROW[name].str]
        if name in {"X", "Y"}:
            header[f"TCTYP{number}"] = "RA---TAN" if name == "X" else "DEC--TAN"
            header[f"TCRPX{number}"], header[f"TCRVL{number}"] = 25921.0, 150.0 if name == "X" else 2.0
            header[f"TCDLT{number}"] = 0.05 / 3600 * (-1 if name == "X" else 1)
            header[f"TLMIN{number}"], header[f"TLMAX{number}"] = 1, 51840
    cards = {"TELESCOP": "XMM", "INSTRUME": "EPN", "OBS_ID": "0000000001", "MJDREF": 50814.0, "SIMULATD": True}
    cards |= {"TIMESYS": "TT", "DSTYP1": "CCDNR", "DSTYP2": "TIME", "DSVAL2": "TABLE"}
    for chip in CHIPS:
        prefix = "" if chip == 1 else str(chip)
        cards |= {f"{prefix}DSVAL1": str(chip), f"{prefix}DSREF2": f":GTI000{chip:02d}"}
    header.update(cards)
    fits.PrimaryHDU().writeto(path)
    with path.open("ab") as out:
        out.write(header.tostring(padding=True).encode())
        for done in range(0, events, 1_000_000):
            out.write(_rows(rng, min(1_000_000, events - done), done / events, events).tobytes())
        out.write(b"\0" * (-(ROW.itemsize * events) % 2880))
        for chip in CHIPS:
            columns = zip(("START", "STOP"), intervals().T, strict=True)
            table = fits.BinTableHDU.from_columns(
                [fits.Column(key, "D", unit="s", array=values) for key, values in columns], name=f"GTI000{chip:02d}"
            )
            out.write(table.header.tostring(padding=True).encode())
            data = intervals().astype(">f8").tobytes()
            out.write(data + b"\0" * (-len(data) % 2880))


def _rows(rng: np.random.Generator, count: int, at: float, events: int) -> np.ndarray:
    rows = np.zeros(count, ROW)
    rows["TIME"] = at * SPAN + np.sort(rng.uniform(0, SPAN * count / events, count))
    rows["X"], rows["Y"] = (np.clip(rng.normal(25921, 6000, count), 1, 51840) for _ in range(2))
    rows["PI"] = rng.exponential(1800, count).clip(0, 20000)
    rows["FLAG"] = np.where(rng.random(count) < 0.85, 0, 1 << rng.integers(0, 30, count))
    rows["PATTERN"] = np.where(rng.random(count) < 0.85, rng.integers(0, 5, count), 6)
    rows["CCDNR"] = rng.integers(1, 13, count)
    return rows


def run_plain(path: Path) -> int:
    """Every needed column as an array in the machine's byte order, filled a megabyte of rows at a time (fastest)."""
    from astropy.io import fits

    with fits.open(path) as units:
        place, count = units["EVENTS"].fileinfo()["datLoc"], units["EVENTS"].header["NAXIS2"]
    rows = np.memmap(path, ROW, mode="r", offset=place, shape=count)
    columns = {name: np.empty(count, ROW[name].newbyteorder("=")) for name in COLUMNS}
    step = (1 << 20) // ROW.itemsize
    for start in range(0, count, step):
        for name, column in columns.items():
            column[start : start + step] = rows[name][start : start + step]
    return sum(map(len, columns.values()))


def run_daxa(path: Path) -> int:
    from daxa.xray import EventList, ImageGrid, count_image, standard_cut

    events = EventList.open(path)
    return int(count_image(events, standard_cut(events, pi=BAND), ImageGrid(FIRST, FIRST, BIN, SIDE, SIDE)).sum())


def run_astropy(path: Path) -> int:
    from astropy.io import fits

    with fits.open(path, memmap=True) as units:
        return int(by_hand(units["EVENTS"].data).sum())


def run_fitsio(path: Path) -> int:
    import fitsio

    image = np.zeros((SIDE, SIDE))
    with fitsio.FITS(path) as units:
        table = units["EVENTS"]
        count = table.get_nrows()
        for start in range(0, count, 1_000_000):
            image += by_hand(table.read(columns=list(COLUMNS), rows=range(start, min(start + 1_000_000, count))))
    return int(image.sum())


def by_hand(data: np.ndarray) -> np.ndarray:
    """The image of some rows in numpy: each column is read once, and what is dropped is looked at no more."""
    keep = (data["FLAG"] == 0) & (data["PATTERN"] <= 4)
    energy = data["PI"]
    keep &= (energy >= BAND[0]) & (energy <= BAND[1])
    rows = np.flatnonzero(keep)
    start, stop = intervals().T
    times = data["TIME"][rows]
    before = np.searchsorted(start, times, side="right") - 1
    rows = rows[(before >= 0) & (times < stop[before])]
    column, row = ((data[name][rows] - FIRST) // BIN for name in ("X", "Y"))
    inside = (column >= 0) & (column < SIDE) & (row >= 0) & (row < SIDE)
    return np.bincount(row[inside] * SIDE + column[inside], minlength=SIDE * SIDE).reshape(SIDE, SIDE)


def run_cfitsio(path: Path) -> int:
    import fitsio

    cut = f"FLAG == 0 && PATTERN <= 4 && PI >= {BAND[0]} && PI <= {BAND[1]}"
    good = f'gtifilter("{path}[GTI000{CHIPS[0]:02d}]", TIME, "START", "STOP")'
    last = FIRST + BIN * SIDE - 1
    binning = f"[bin X={FIRST}:{last}:{BIN},Y={FIRST}:{last}:{BIN}]"
    with fitsio.FITS(f"{path}[EVENTS][{cut} && {good}]{binning}") as image:
        return int(image[0].read().sum())


def run_stingray(path: Path) -> int:
    from stingray.io import FITSTimeseriesReader

    reader = FITSTimeseriesReader(str(path), data_kind="times")
    return len(reader[:])


def run_xga(path: Path) -> int:
    from astropy.units import Quantity
    from xga.products.events import EventList

    events = EventList(str(path), "0000000001", "pn", telescope="xmm", energy_per_channel=Quantity(1, "eV/chan"))
    limits = Quantity([FIRST, FIRST + BIN * SIDE], "pix")
    band = dict(zip(("lo_en", "hi_en"), Quantity(BAND, "eV"), strict=True))
    image = events.generate_image(
        bin_size=BIN, x_lims=limits, y_lims=limits, filt_operations={"FLAG": "== 0", "PATTERN": "<= 4"}, **band
    )
    return int(image.data.sum())


CASES = {
    "plain": run_plain,
    "daxa": run_daxa,
    "astropy": run_astropy,
    "CFITSIO": run_cfitsio,
    "fitsio": run_fitsio,
    "stingray": run_stingray,
    "XGA": run_xga,
}
MODULES = {"CFITSIO": "fitsio", "fitsio": "fitsio", "stingray": "stingray", "XGA": "xga"}
SAME = ("daxa", "astropy", "CFITSIO", "fitsio")
"""Cases whose images must be the same."""


def measure(case: str, path: Path) -> dict[str, float]:
    """Time of a case, the better of two, and the most memory that the first of them took."""
    import astropy.io.fits
    import astropy.wcs  # noqa: F401 - importing is not timed

    if case == "daxa":
        import daxa.xray.imaging.image  # noqa: F401
    if module := MODULES.get(case):
        importlib.import_module(module)

    imported = peak_memory(anew=True)
    best, result, peak = float("inf"), 0, 0
    for number in range(2):
        start = time.process_time()
        result = CASES[case](path)
        best = min(best, time.process_time() - start)
        if not number:
            peak = peak_memory() - imported
    return {"seconds": best, "result": result, "megabytes": peak / 1e6}


def has(python: str, module: str) -> bool:
    """Whether a Python can import a module."""
    asked = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
    return subprocess.run([python, "-c", asked], check=False).returncode == 0


def run_apart(python: str, case: str, path: Path) -> dict[str, float]:
    """What a case takes in a process of its own; what XGA and matplotlib write for themselves stays beside the list."""
    place = path.parent
    command = [python, str(Path(__file__).resolve()), "--case", case, "--path", str(path)]
    own = {"XGA_CONFIG_DIR": str(place), "XDG_CONFIG_HOME": str(place), "MPLCONFIGDIR": str(place)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=place, env=os.environ | own)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--events", type=int, default=5_000_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES), help="plain and daxa at least")
    parser.add_argument("--peers", default=sys.executable, help="the Python that has stingray and XGA")
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    parser.add_argument("--path", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        print(json.dumps(measure(arguments.case, arguments.path)))
        return
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "events.fits"
        make(path, arguments.events)
        print(f"{arguments.events:,} events, {path.stat().st_size / 1e6:.0f} MB, best of {arguments.repeat} rounds\n")
        report(path, arguments)


def report(path: Path, arguments: argparse.Namespace) -> None:
    found: dict[str, dict[str, float]] = {}
    pythons = {case: arguments.peers if case in {"stingray", "XGA"} else sys.executable for case in arguments.cases}
    cases = [case for case in arguments.cases if has(pythons[case], MODULES.get(case, "numpy"))]
    for _ in range(arguments.repeat):
        for case in cases:
            one = run_apart(pythons[case], case, path)
            if case not in found or one["seconds"] < found[case]["seconds"]:
                found[case] = one
    print(f"{'case':10}{'seconds':>10}{'/ plain':>10}{'MB':>8}{'counts':>12}")
    for case, one in found.items():
        ratio = one["seconds"] / found["plain"]["seconds"]
        counts = one["result"] if case in {*SAME, "XGA"} else "-"
        print(f"{case:10}{one['seconds']:>10.3f}{ratio:>10.2f}{one['megabytes']:>8.0f}{counts:>12}")
    for case in set(arguments.cases) - set(cases):
        print(f"{case:10} is not installed")
    made = {found[case]["result"] for case in SAME if case in found}
    assert len(made) == 1, "the images differ"
    memory = {case: round(one["megabytes"]) for case, one in found.items()}
    ratios = {case: round(one["seconds"] / found["plain"]["seconds"], 2) for case, one in found.items()}
    print(f"\n{json.dumps({'events': arguments.events, 'ratios': ratios, 'megabytes': memory})}")


if __name__ == "__main__":
    main()
