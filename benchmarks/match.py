"""A million targets against every pointing of a mission such as Swift, pairs table included.

Each target has its own radius and its own time window; the pointings repeat fields, as
Swift does.  Peers: the reference's measured cost per position when it gives the pairs
(8 ms at 17,000 pointings, 50 ms at 400,000), and astropy's `search_around_sky`, which
knows neither radii nor windows of single targets, in this run.  Every case runs in a process of its own,
whose peak memory is the kernel's count; reading of the tables is not timed, building of trees is.  Seconds of a
clock grow with what else the machine does; processor seconds, and those of the main thread, do not.

    python benchmarks/match.py [--targets 1000000] [--pointings 400000]
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

REFERENCE_SECONDS = {17_000: 0.008, 400_000: 0.050}
"""Pointings to seconds per position, measured for the reference in the same kind of two-core machine."""

FIELDS = 20
"""How often a place is observed, in the mean."""


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


def match_once(targets: int, pointings: int) -> dict[str, float]:
    """Time of criteria, selection and pairs; peak memory of this process."""
    import scipy.spatial  # noqa: F401 - importing is not timed

    from daxa.missions import find_mission
    from daxa.query import make_criteria
    from daxa.query.match import match
    from daxa.query.pairs import list_pairs

    spec = find_mission("swift")
    table, sample = simulate(targets, pointings)
    begun, worked, alone = time.perf_counter(), time.process_time(), time.thread_time()
    criteria = make_criteria(spec, sample=sample)
    found = match(spec, table, criteria, at=61_000.0)
    pairs = list_pairs(found)
    seconds, cpu = time.perf_counter() - begun, time.process_time() - worked
    serial = time.thread_time() - alone
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"seconds": seconds, "cpu": cpu, "serial": serial, "bytes": peak, "pairs": len(pairs)}


def peer_once(targets: int, pointings: int) -> dict[str, float]:
    """Astropy's search with one radius for all targets."""
    import astropy.units as u
    import scipy.spatial  # noqa: F401 - importing is not timed
    from astropy.coordinates import SkyCoord, search_around_sky

    table, sample = simulate(targets, pointings)
    begun, worked = time.perf_counter(), time.process_time()
    places = SkyCoord(sample["ra"], sample["dec"], unit="deg")
    sky = SkyCoord(table["ra"].to_numpy(), table["dec"].to_numpy(), unit="deg")
    near, _, _, _ = search_around_sky(places, sky, (11.8 * 2**0.5 + 5) * u.arcmin)
    seconds, cpu = time.perf_counter() - begun, time.process_time() - worked
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"seconds": seconds, "cpu": cpu, "serial": cpu, "bytes": peak, "pairs": len(near)}


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
    parser.add_argument("--case", choices=("match", "peer"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.case:
        run = match_once if asked.case == "match" else peer_once
        print(json.dumps(run(asked.targets, asked.pointings)))
        return
    full = (asked.targets, asked.pointings)
    sizes = {"all": full, "targets/10": (full[0] // 10, full[1]), "pointings/10": (full[0], full[1] // 10)}
    costs = {name: in_process("match", *size) for name, size in sizes.items()}
    peer = in_process("peer", *full)
    one = REFERENCE_SECONDS[min(REFERENCE_SECONDS, key=lambda known: abs(known - full[1]))]
    head = f"{'case':<14}{'targets':>10}{'pointings':>11}{'pairs':>10}{'s':>8}{'cpu s':>8}"
    print(f"{head}{'serial s':>10}{'MB':>7}{'us/target':>11}")
    for name, cost in (*costs.items(), ("astropy", peer)):
        targets, pointings = sizes.get(name, full)
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
        "reference_over_daxa": round(one * full[0] / whole["seconds"]),
        "astropy_over_daxa": round(peer["seconds"] / whole["seconds"], 2),
        "growth_ten_times_targets": round(whole["seconds"] / costs["targets/10"]["seconds"], 2),
        "growth_ten_times_pointings": round(whole["seconds"] / costs["pointings/10"]["seconds"], 2),
    }
    for name, value in list(answer.items())[5:]:
        print(f"{name:<28}{value:>10}")
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
