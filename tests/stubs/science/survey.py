"""Work of batsurvey: good times from the housekeeping, and for each stretch of them a pointing with its catalogue.

Names of files, columns, codes and words are those of its script (6.15, HEASoft 6.20); what it finds is made up.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from astropy.io import fits

from tests.stubs import lists
from tests.stubs.program import complain

if TYPE_CHECKING:
    from tests.stubs.program import Run

EPOCH = datetime(2001, 1, 1, tzinfo=UTC)
_RULE = "=" * 52
_GAP = 15.0
"""Seconds between histograms, with which their good times are still joined."""


class _Died(Exception):
    """The script ends itself."""


def batsurvey(run: Run) -> tuple[str, str] | None:
    print(f"{_RULE}======\nbatsurvey v6.15\n{_RULE}======\n{_RULE}")
    try:
        _survey(run)
    except _Died as died:
        # Perl's own way to say where: with the path of the software.
        return "died", f"{died} at {run.prefix}/bin/batsurvey line 612."
    print(_RULE)
    return None


def _all(place: Path, pattern: str, words: str) -> list[Path]:
    """The files of a pattern, which begins with INDIR for the directory."""
    found = sorted(path for path in place.rglob("*") if fnmatch(str(path), pattern.replace("INDIR", str(place), 1)))
    if not found:
        raise _Died(words)
    return found


def _survey(run: Run) -> None:
    values, place, target = run.values, Path(run.values["indir"]), Path(run.values["outdir"])
    if not (place / "bat/survey").is_dir():
        raise _Died("subdirectory bat/survey not found")
    (target / "gti").mkdir(parents=True, exist_ok=True)
    (target / "scratch").mkdir(exist_ok=True)
    _all(place, values["attitude_pattern"], "no attitude file found")
    _all(place, values["sao_pattern"], "no SAO file found")
    histograms = _all(place, values["dph_pattern"], "no survey files were found")
    _all(place, values["go_pattern"], "no erebinned files were created")
    if not any(Path(os.environ["CALDB"]).glob("data/swift/bat/*")):
        complain("ERROR: could not find the pulser file in the CALDB\nTask baterebin 8.3 terminating with status 1")
        raise _Died("no erebinned files were created")
    bins = [tuple(map(float, one.split("-"))) for one in values["energybins"].split(",")]
    if values["elimits"] != f"{bins[0][0]:g}-{bins[-1][1]:g}":
        raise _Died("could not create master light curve")
    rows = np.concatenate([lists.table_of(lists.read(path), "BAT_DPH").data for path in histograms])
    rows = np.sort(rows[rows["DATA_FLAGS"] == 0], order="TIME")
    good = _good_times(run, place, rows)
    if not good:
        raise _Died(f"{target}/gti/array_on.gti contained no good times (failed 'ndets' test)")
    _write_gti(target / "gti/master.gti", good)
    print(f" ===== NUMBER OF GTIs : {len(good)}\n ======== BEGIN SNAPSHOT LOOP ========= ")
    told = [_pointing(run, target, pair, rows, len(bins)) for pair in good]
    _write_statistics(target, place, told, len(bins))


def _good_times(run: Run, place: Path, rows: np.ndarray) -> list[tuple[float, float]]:
    """Stretches of histograms while enough detectors were on."""
    kept = lists.columns_of(lists.table_of(lists.read(_all(place, "INDIR/bat/hk/sw*ben.hk*", "")[0]), "hk139x001"))
    on = np.interp(rows["TIME"], kept["TIME"], kept["BDIHKNGOODDETS"]) > float(run.values["detthresh"])
    good: list[list[float]] = []
    for row in rows[on]:
        start, stop = float(row["TIME"]), float(row["TIME"] + row["EXPOSURE"])
        if good and start - good[-1][1] <= _GAP and run.values["timesep"].upper() == "SNAPSHOT":
            good[-1][1] = stop
        else:
            good.append([start, stop])
    return [(start, stop) for start, stop in good]


def _write_gti(path: Path, pairs: list[tuple[float, float]]) -> None:
    lists.write(fits.HDUList([fits.PrimaryHDU(), lists.gti_table(pairs, "GTI")]), path)


def _pointing(run: Run, target: Path, pair: tuple[float, float], rows: np.ndarray, bins: int) -> dict[str, object]:
    """Make the files of one pointing; its row in the statistics."""
    values, (start, stop) = run.values, pair
    name = f"point_{EPOCH + timedelta(seconds=start):%Y%j%H%M}"
    root = target / name / name
    root.parent.mkdir(exist_ok=True)
    _write_gti(Path(f"{root}_pnt.gti"), [(start, stop)])
    seconds = stop - start
    told = {"IMAGE_ID": name, "TSTART": start, "TSTOP": stop, "EXPOSURE": seconds, "NBATDETS": 14000}
    code, words = "ok", "success"
    if seconds < float(values["expothresh"]):
        code, words = "expo_small", f"Exposure {seconds:g} < {values['expothresh']}"
    elif run.request.get("pointing") == name:
        complain("ERROR: fit of the point spread function did not converge")
        complain("Task batcelldetect 1.86 terminating with status -1")
        code, words = "batcelldetect_failed", "Could not create initial catalog"
    else:
        last = f"{root}_{values['ncleaniter']}"
        _write_catalogue(Path(f"{last}.cat"), pair, rows, bins, int(values["ncleaniter"]))
        if values["keep_sky_images"].upper() != "NONE":
            for end in ("img", "var"):
                fits.PrimaryHDU(np.ones((4, 4), np.float32)).writeto(f"{last}.{end}", overwrite=True)
    done = "SUCCESS" if code == "ok" else "FAIL"
    Path(f"{root}_status.txt").write_text(
        f'status="{done}";code="{code}";reason="{words}";obsid="obs";point="{name}";'
        f'ndets="14000";exposure="{seconds:g}"\n'
    )
    if code != "ok":
        complain(f"WARNING: {words} ({code})")
    print(f"GTI: stop {name[6:]} | {start} {name}")
    return {**told, "IMAGE_STATUS": code == "ok", "IMAGE_DESCR": code}


def _write_catalogue(path: Path, pair: tuple[float, float], rows: np.ndarray, bins: int, iterations: int) -> None:
    """One source, whose rate is that of the histograms of the pointing."""
    start, stop = pair
    inside = rows[(rows["TIME"] >= start) & (rows["TIME"] < stop)]
    rate = np.full((1, bins), float(inside["RATE"].mean()))
    columns = [
        fits.Column("TIME", "D", "s", array=[start]),
        fits.Column("TIME_STOP", "D", "s", array=[stop]),
        fits.Column("EXPOSURE", "D", "s", array=[stop - start]),
        fits.Column("CATNUM", "J", array=[1]),
        fits.Column("NAME", "30A", array=[f"{path.parent.name[6:]}_01"]),
        fits.Column("RA_OBJ", "D", "deg", array=[83.63]),
        fits.Column("DEC_OBJ", "D", "deg", array=[22.01]),
        fits.Column("RATE", f"{bins}D", "count/s", array=rate),
        fits.Column("VECTSNR", f"{bins}D", array=rate * 10),
        fits.Column("SNR", "D", array=[float(rate.max() * 10)]),
        fits.Column("CLEANLEV", "J", array=[iterations]),
        fits.Column("CLEANED", "L", array=[True]),
    ]
    table = fits.BinTableHDU.from_columns(columns, name="BAT_CATALOG")
    lists.write(fits.HDUList([fits.PrimaryHDU(), table]), path)


def _write_statistics(target: Path, place: Path, told: list[dict[str, object]], bins: int) -> None:
    """The tables and texts about all pointings, and about the observation."""
    forms = {"IMAGE_ID": "20A", "IMAGE_DESCR": "20A", "IMAGE_STATUS": "L", "NBATDETS": "J"}
    columns = [fits.Column(name, forms.get(name, "D"), array=[row[name] for row in told]) for name in told[0]]
    good = [row for row in told if row["IMAGE_STATUS"]]
    for name, made in (
        ("stats_point", columns),
        (
            "stats_obs",
            [
                fits.Column("N_RAW_IMAGES", "I", array=[len(told)]),
                fits.Column("N_IMAGES", "I", array=[len(good)]),
            ],
        ),
    ):
        table = fits.BinTableHDU.from_columns(made, name=name.upper())
        lists.write(fits.HDUList([fits.PrimaryHDU(), table]), target / f"{name}.fits")
    (target / "stats_obs.dat").write_text(f"A {place} {target.name} 0 0 {len(told)} {len(good)} 1\n")
    lines = (f"B 6.15 {place} {row['IMAGE_ID']} {int(row in good)} {row['IMAGE_DESCR']} {bins}\n" for row in told)
    (target / "stats_point.dat").write_text("".join(lines))
