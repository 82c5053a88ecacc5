"""A mosaic of events, its exposure map, and coverage at many positions.

Peers in the same run, on the same arrays: for events, astropy's high-level coordinates and
`numpy.histogram2d`; for exposure, astropy's coordinates of every sampled point; for positions,
a mask per target (a tenth of a percent of them, scaled up).  Both give the same numbers, which is
checked.  Times are of the processor, so that other work on the machine counts little.

    python benchmarks/mosaic.py [--events 2000000] [--targets 100000] [--pixels 1024]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from daxa.xray.cleaning.cut import Cut
from daxa.xray.eventlists.clock import Clock
from daxa.xray.eventlists.event_list import EventList
from daxa.xray.eventlists.formats import FORMATS
from daxa.xray.eventlists.sky_grid import SkyGrid
from daxa.xray.imaging.exposed_field import Field
from daxa.xray.imaging.image import ImageGrid
from daxa.xray.imaging.members import EventMember
from daxa.xray.imaging.mosaicking import make_mosaic, mosaic_grid
from daxa.xray.imaging.positions import Aperture, coverage_at
from daxa.xray.imaging.resample import resample_exposure

NUSTAR_CLOCK = Clock(55197, 7.660185e-4, 0.0, 1.0, "tt")
USE = Aperture(radius=15.0, inner=40.0, outer=90.0)


def timed(work: Callable[[], object]) -> tuple[object, float]:
    start = time.process_time()
    result = work()
    return result, time.process_time() - start


def simulate(events: int, pixels: int) -> EventMember:
    """A list of events on a field of `pixels` image pixels, and a structured exposure map."""
    rng = np.random.default_rng(11)
    side = 10 * pixels
    rows = np.zeros(events, dtype=[("TIME", ">f8"), ("X", ">i4"), ("Y", ">i4"), ("PI", ">i4")])
    rows["TIME"] = rng.uniform(0, 1e5, events)
    rows["X"], rows["Y"] = (rng.integers(1, side, events) for _ in range(2))
    rows["PI"] = rng.integers(40, 200, events)
    middle, pixel = (side / 2.0,) * 2, 0.4 / 3600
    sky = SkyGrid(
        ("X", "Y"), middle, (150.0, 30.0), (-pixel, pixel), ("RA---TAN", "DEC--TAN"), (None, None), ((1, side),) * 2,
        "ICRS", 2000.0,
    )  # fmt: skip
    gtis = {0: np.array([[0.0, 1e5]])}
    form = FORMATS["NUSTAR", "FPMA"]
    header = fits.Header({"DEADC": 1.0})
    made = EventList(Path("made.fits"), form, header, header, "made", "None", rows, gtis, sky, (), NUSTAR_CLOCK)
    chips = np.kron(rng.uniform(0, 1e4, (8, 8)), np.ones((pixels // 8, pixels // 8)))
    return EventMember(made, Cut((), gtis, (35, 209)), ImageGrid(1, 1, 10, pixels, pixels), chips)


def peer_counts(member: EventMember, target: fits.Header) -> np.ndarray:
    rows = member.events.rows
    x, y = WCS(target).world_to_pixel(member.events.sky.wcs.pixel_to_world(rows["X"] - 1.0, rows["Y"] - 1.0))
    shape = target["NAXIS2"], target["NAXIS1"]
    edges = [np.arange(n + 1) - 0.5 for n in shape]
    return np.histogram2d(y, x, bins=edges)[0]


def peer_exposure(member: EventMember, target: fits.Header) -> np.ndarray:
    ny, nx = target["NAXIS2"], target["NAXIS1"]
    fine = [(np.arange(4 * n) + 0.5) / 4 - 0.5 for n in (nx, ny)]
    here, there = WCS(target), WCS(member.header)
    value = np.zeros((4 * ny, 4 * nx))
    for start in range(0, 4 * ny, 256):
        x, y = np.meshgrid(fine[0], fine[1][start : start + 256])
        column, row = (np.floor(one + 0.5).astype(int) for one in there.world_to_pixel(here.pixel_to_world(x, y)))
        inside = (column >= 0) & (column < member.grid.nx) & (row >= 0) & (row < member.grid.ny)
        value[start : start + 256][inside] = member.exposure[row[inside], column[inside]]
    return value.reshape(ny, 4, nx, 4).mean(axis=(1, 3))


def peer_positions(ra: np.ndarray, dec: np.ndarray, field: Field) -> np.ndarray:
    rows, columns = np.indices(field.counts.shape)
    scale = abs(field.header["CDELT1"]) * 3600
    found = []
    for x, y in zip(*WCS(field.header).wcs_world2pix(ra, dec, 0), strict=True):
        away = np.hypot(columns - x, rows - y) * scale
        circle, ring = away <= USE.radius, (away > USE.inner) & (away <= USE.outer)
        found.append((field.counts[circle].sum(), field.counts[ring].sum()))
    return np.array(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--targets", type=int, default=100_000)
    parser.add_argument("--pixels", type=int, default=1024)
    asked = parser.parse_args()
    member = simulate(asked.events, asked.pixels)
    target = mosaic_grid([member], 3.0)
    made, whole = timed(lambda: make_mosaic([member], target))
    seconds, exposure = timed(lambda: resample_exposure(member.exposure, member.header, target))
    theirs, counts_peer = timed(lambda: peer_counts(member, target))
    expected, exposure_peer = timed(lambda: peer_exposure(member, target))
    field = Field(made.counts, made.exposure, target, (150.0, 30.0), True, 15.0)
    rng = np.random.default_rng(12)
    half = asked.pixels * 4 / 3600 / 2 * 0.9
    ra, dec = 150.0 + rng.uniform(-half, half, asked.targets), 30.0 + rng.uniform(-half, half, asked.targets)
    rows, positions = timed(lambda: coverage_at(ra, dec, field, USE))
    few = max(asked.targets // 1000, 10)
    masks, positions_peer = timed(lambda: peer_positions(ra[:few], dec[:few], field))
    answer = {
        "mosaic_seconds": round(whole, 3),
        "exposure_seconds_of_these": round(exposure, 3),
        "astropy_over_daxa_mosaic": round((counts_peer + exposure_peer) / whole, 2),
        "astropy_over_daxa_exposure": round(exposure_peer / exposure, 2),
        "positions_seconds": round(positions, 3),
        "masks_over_daxa_positions": round(positions_peer * asked.targets / few / positions, 1),
        "same_counts": bool((theirs == made.counts).all()),
        "same_exposure": bool((np.abs(expected - seconds) > 1e-6 * 1e4).mean() < 1e-3),
        "same_positions": bool((rows["counts"][:few] == masks[:, 0]).all()),
    }
    for name, value in answer.items():
        print(f"{name:<30}{value!s:>12}")
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
