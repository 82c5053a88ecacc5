"""Event lists in memory, laid out as XMM-Newton MOS1's: a background, its flares, and sources that vary."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

import numpy as np
from astropy.io import fits

from daxa.xray.cut import Cut, standard_cut
from daxa.xray.events import EventList
from daxa.xray.formats import FORMATS
from daxa.xray.sky import SkyGrid

START = 3.0e8
CENTRE = 25921
FIELD = 18000
"""Radius of the field of view, event pixels of 0.05 arcsec."""
CORE = 120
"""Core radius of the image of a point, event pixels: 7 % of its counts lie beyond 80 arcsec."""

HARD, SOFT = (10000, 12000), (300, 9999)
SECONDS, STEP = 20_000, 10.0
AT = np.arange(0, SECONDS, STEP)
PLACE = (4000, -3000)
FLARE = np.where((AT >= 12_000) & (AT < 14_000), 1.0, 0.0)
SHAPES = {
    "burst": np.where((AT >= 5000) & (AT < 5100), 1.0, 0.0),
    "fast rise": np.where(AT >= 5000, np.exp(-(AT - 5000).clip(0) / 200), 0.0),
    "GRB decay": (1 + AT / 300) ** -1.2,
    "slow decay": (1 + AT / 3000) ** -1.2,
    "waves": 1 + 0.8 * np.sin(AT / 2000),
}

_ROW = np.dtype(
    [("TIME", ">f8"), ("X", ">i4"), ("Y", ">i4"), ("PI", ">i2"), ("FLAG", ">i4"), ("PATTERN", "u1"), ("CCDNR", "u1")]
)
_SKY = SkyGrid(
    columns=("X", "Y"),
    crpix=(float(CENTRE), float(CENTRE)),
    crval=(149.6, -11.1),
    cdelt=(-0.05 / 3600, 0.05 / 3600),
    ctype=("RA---TAN", "DEC--TAN"),
    nulls=(-99999999, -99999999),
    limits=((1, 51840), (1, 51840)),
    frame="FK5",
    equinox=2000.0,
)


def moments(rng: np.random.Generator, rates: np.ndarray, step: float) -> np.ndarray:
    """Times of events whose rate (count/s) is given in steps of so many seconds."""
    counts = rng.poisson(rates * step)
    return START + step * (np.repeat(np.arange(len(rates)), counts) + rng.random(counts.sum()))


def over_the_field(rng: np.random.Generator, times: np.ndarray, pi: tuple[int, int]) -> np.ndarray:
    """Rows spread over the field, as the background and its flares are: half as dense at the rim."""
    radius = FIELD * np.sqrt(rng.random(4 * len(times)))
    radius = radius[rng.random(len(radius)) < 1 - 0.5 * (radius / FIELD) ** 2][: len(times)]
    angle = rng.uniform(0, 2 * np.pi, len(times))
    return placed_at(rng, times, radius * np.cos(angle), radius * np.sin(angle), pi)


def at_a_point(rng: np.random.Generator, times: np.ndarray, offset: tuple[float, float], pi: tuple[int, int]):
    """Rows of a point source, so many event pixels off the centre: a King profile, which falls as r^-3."""
    radius = CORE * np.sqrt((1 - rng.random(len(times))) ** -2 - 1)
    angle = rng.uniform(0, 2 * np.pi, len(times))
    return placed_at(rng, times, offset[0] + radius * np.cos(angle), offset[1] + radius * np.sin(angle), pi)


def placed_at(rng: np.random.Generator, times, x, y, pi: tuple[int, int]) -> np.ndarray:
    """Rows at these times and offsets from the centre (event pixels), with channels at random between two."""
    rows = np.zeros(len(times), dtype=_ROW)
    rows["TIME"] = times
    rows["X"], rows["Y"] = np.rint(CENTRE + x).clip(1, 51840), np.rint(CENTRE + y).clip(1, 51840)
    rows["PI"] = rng.integers(pi[0], pi[1] + 1, len(times))
    rows["CCDNR"] = 1
    return rows


def event_list(parts: list[np.ndarray], seconds: float, gtis: dict[int, np.ndarray] | None = None) -> EventList:
    """All rows as one list, sorted by time; CCD 1 is good for `seconds` unless told otherwise."""
    rows = np.concatenate(parts).astype(_ROW)
    rows = rows[np.argsort(rows["TIME"], kind="stable")]
    header = fits.Header({"TELESCOP": "XMM", "INSTRUME": "EMOS1", "MJDREF": 50814.0, "SIMULATD": True})
    return EventList(
        path=Path("simulated.fits"),
        format=FORMATS["XMM", "EMOS1"],
        header=header,
        primary=header,
        obs_id="0900000901",
        exposure="S001",
        rows=rows,
        gtis=MappingProxyType(gtis or {1: np.array([[START, START + seconds]])}),
        sky_grid=_SKY,
        tables=(),
    )


def observed(shape: str, peak: float, *, flares: bool, seed: int = 5) -> tuple[EventList, Cut]:
    """A background of 0.2 count/s in the flare band with a source of this shape in it."""
    rng = np.random.default_rng(seed)
    hard = np.full(len(AT), 0.2) + (FLARE if flares else 0.0)
    parts = [
        over_the_field(rng, moments(rng, hard, STEP), HARD),
        over_the_field(rng, moments(rng, np.ones(len(AT)), STEP), SOFT),
        at_a_point(rng, moments(rng, peak * SHAPES[shape], STEP), PLACE, HARD),
    ]
    events = event_list(parts, SECONDS)
    return events, standard_cut(events, pi=HARD)
