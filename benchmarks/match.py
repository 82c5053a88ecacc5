"""A million targets against every pointing of a mission such as Swift, pairs table included.

Each target has its own radius and its own time window; the pointings repeat fields, as
Swift does.  All cases give the pairs of targets and pointings whose windows meet; daxa knows the
square field of the telescope and its roll, the peers take the circle around it, and find the more
that is shown.  Peers, each in the way that its documentation advises, run here and now:

- astropy: `search_around_sky` with the largest reach, since it knows one only, then the radius of
  each pair; it has one thread;
- scipy: `cKDTree.query_ball_point` with a reach for each target, and as many threads as daxa has;
- loop: the distance of all pointings from one target after the other, as most scripts have it, and
  the package that daxa succeeds; a few hundred targets are enough to know what one costs.

Every case runs in a process of its own, whose peak memory is the kernel's count; reading of the tables is not
timed, building of trees is.  Seconds of a clock grow with what else the machine does; processor seconds, and
those of the main thread, do not.

    python benchmarks/match.py [--targets 1000000] [--pointings 400000]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import astropy.units as u
import numpy as np
import pandas as pd
from astropy.coordinates import SkyCoord, search_around_sky
from cost import peak_memory
from scipy.spatial import cKDTree

from daxa.missions import find_mission
from daxa.query import make_criteria
from daxa.query.matching.match import match
from daxa.query.matching.pairs import list_pairs

LOOPED = 300
"""Targets of the loop."""

CIRCLE = 11.8 * 2**0.5
"""Arcmin: the circle around the field of Swift's XRT."""

FIELDS = 20
"""How often a place is observed, on average."""


def simulate(targets: int, pointings: int) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Pointings in daxa's schema, and a sample of objects, the same for ever."""
    rng = np.random.default_rng(20_041_120)

    def sky(count: int) -> tuple[np.ndarray, np.ndarray]:
        return rng.uniform(0, 360, count), np.degrees(np.arcsin(rng.uniform(-1, 1, count)))

    field_ra, field_dec = sky(max(pointings // FIELDS, 1))
    at = rng.integers(0, len(field_ra), pointings)
    start = rng.uniform(53_300, 60_000, pointings)
    exposure = rng.exponential(2_000, pointings) + 100
    table = pd.DataFrame(
        {
            "obs_id": [f"{number:011d}" for number in range(pointings)],
            "ra": (field_ra[at] + rng.normal(0, 0.02, pointings)) % 360,
            "dec": np.clip(field_dec[at] + rng.normal(0, 0.02, pointings), -90, 90),
            "start": start,
            "end": start + exposure / 86_400,
            "exposure": exposure,
            "instruments": "XRT",
            "public_date": start,
            "category": "",
            "mode": "",
            "roll": rng.uniform(0, 360, pointings),
            "exposures": "",
        }
    )
    ra, dec = sky(targets)
    first = rng.uniform(53_000, 59_000, targets)
    sample = {
        "ra": ra,
        "dec": dec,
        "radius_arcmin": rng.uniform(0.1, 5, targets),
        "start": first,
        "end": first + rng.uniform(30, 3_000, targets),
    }
    return table, sample


def timed(run: Callable[[pd.DataFrame, dict[str, np.ndarray]], int], targets: int, pointings: int) -> dict[str, float]:
    """Pairs, times, and the peak memory of this process."""
    table, sample = simulate(targets, pointings)
    begun, worked, alone = time.perf_counter(), time.process_time(), time.thread_time()
    pairs = run(table, sample)
    seconds, cpu = time.perf_counter() - begun, time.process_time() - worked
    serial = time.thread_time() - alone
    return {"seconds": seconds, "cpu": cpu, "serial": serial, "bytes": peak_memory(), "pairs": pairs}


def run_daxa(table: pd.DataFrame, sample: dict[str, np.ndarray]) -> int:
    """Criteria, selection and the table of pairs."""
    spec = find_mission("swift")
    return len(list_pairs(match(spec, table, make_criteria(spec, sample=sample), at=61_000.0)))


def run_astropy(table: pd.DataFrame, sample: dict[str, np.ndarray]) -> int:
    """One radius for all, then that of each."""
    places = SkyCoord(sample["ra"], sample["dec"], unit="deg")
    sky = SkyCoord(table["ra"].to_numpy(), table["dec"].to_numpy(), unit="deg")
    target, pointing, apart, _ = search_around_sky(places, sky, (CIRCLE + sample["radius_arcmin"].max()) * u.arcmin)
    near = apart.arcmin <= CIRCLE + sample["radius_arcmin"][target]
    return int(together(table, sample, target[near], pointing[near]).sum())


def run_scipy(table: pd.DataFrame, sample: dict[str, np.ndarray]) -> int:
    """A tree of the pointings, asked for the reach of each target in several threads."""
    tree = cKDTree(vectors(table["ra"].to_numpy(), table["dec"].to_numpy()))
    reach = 2 * np.sin(np.radians((CIRCLE + sample["radius_arcmin"]) / 60) / 2)
    found = tree.query_ball_point(vectors(sample["ra"], sample["dec"]), reach, workers=-1, return_sorted=False)
    counts = np.fromiter(map(len, found), dtype=np.int64, count=len(found))
    target = np.repeat(np.arange(len(found)), counts)
    pointing = np.fromiter(chain.from_iterable(found), dtype=np.int64, count=counts.sum())
    return int(together(table, sample, target, pointing).sum())


def run_loop(table: pd.DataFrame, sample: dict[str, np.ndarray]) -> int:
    """All pointings for each target."""
    sky = SkyCoord(table["ra"].to_numpy(), table["dec"].to_numpy(), unit="deg")
    pairs = 0
    for number, (ra, dec, radius) in enumerate(zip(sample["ra"], sample["dec"], sample["radius_arcmin"], strict=True)):
        near = np.flatnonzero(SkyCoord(ra, dec, unit="deg").separation(sky).arcmin <= CIRCLE + radius)
        pairs += int(together(table, sample, np.full(len(near), number), near).sum())
    return pairs


def together(
    table: pd.DataFrame, sample: dict[str, np.ndarray], target: np.ndarray, pointing: np.ndarray
) -> np.ndarray:
    """Whether the windows of pairs meet."""
    start, end = table["start"].to_numpy()[pointing], table["end"].to_numpy()[pointing]
    return (start <= sample["end"][target]) & (end >= sample["start"][target])


def vectors(ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
    """Places on the unit sphere."""
    ra, dec = np.radians(ra), np.radians(dec)
    return np.column_stack((np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)))


CASES = {"daxa": run_daxa, "astropy": run_astropy, "scipy": run_scipy, "loop": run_loop}


def in_process(what: str, targets: int, pointings: int) -> dict[str, float]:
    """One case in a process of its own."""
    command = [sys.executable, str(Path(__file__).resolve()), "--case", what]
    command += ["--targets", str(targets), "--pointings", str(pointings)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--targets", type=int, default=1_000_000)
    parser.add_argument("--pointings", type=int, default=400_000)
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.case:
        print(json.dumps(timed(CASES[asked.case], asked.targets, asked.pointings)))
        return
    full = (asked.targets, asked.pointings)
    runs = {
        "all": ("daxa", full),
        "targets/10": ("daxa", (full[0] // 10, full[1])),
        "pointings/10": ("daxa", (full[0], full[1] // 10)),
        "astropy": ("astropy", full),
        "scipy": ("scipy", full),
        "loop": ("loop", (LOOPED, full[1])),
    }
    costs = {name: in_process(case, *size) for name, (case, size) in runs.items()}
    head = f"{'case':<14}{'targets':>10}{'pointings':>11}{'pairs':>10}{'s':>8}{'cpu s':>8}"
    print(f"{head}{'serial s':>10}{'MB':>7}{'us/target':>11}")
    for name, cost in costs.items():
        targets, pointings = runs[name][1]
        print(
            f"{name:<14}{targets:>10}{pointings:>11}{cost['pairs']:>10}{cost['seconds']:>8.2f}"
            f"{cost['cpu']:>8.2f}{cost['serial']:>10.2f}{cost['bytes'] / 1e6:>7.0f}"
            f"{1e6 * cost['seconds'] / targets:>11.2f}"
        )
    whole = costs["all"]
    answer = {
        "seconds": round(whole["seconds"], 3),
        "cpu_seconds": round(whole["cpu"], 3),
        "serial_seconds": round(whole["serial"], 3),
        "bytes": whole["bytes"],
        "within_3_s_and_2_GB": whole["seconds"] <= 3 and whole["bytes"] <= 2e9,
        "astropy_over_daxa": round(costs["astropy"]["seconds"] / whole["seconds"], 2),
        "astropy_over_daxa_cpu": round(costs["astropy"]["cpu"] / whole["cpu"], 2),
        "scipy_over_daxa": round(costs["scipy"]["seconds"] / whole["seconds"], 2),
        "scipy_over_daxa_cpu": round(costs["scipy"]["cpu"] / whole["cpu"], 2),
        "loop_over_daxa": round(costs["loop"]["seconds"] / LOOPED * full[0] / whole["seconds"]),
        "growth_ten_times_targets": round(whole["seconds"] / costs["targets/10"]["seconds"], 2),
        "growth_ten_times_pointings": round(whole["seconds"] / costs["pointings/10"]["seconds"], 2),
    }
    for name, value in list(answer.items())[5:]:
        print(f"{name:<28}{value:>10}")
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
