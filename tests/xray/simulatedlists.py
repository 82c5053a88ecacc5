"""Event lists laid out as XMM-Newton MOS1's: a background, its flares, and sources that vary."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from astropy.io import fits

from daxa.xray.cleaning.cut import Cut, standard_cut
from daxa.xray.eventlists.event_list import EventList
from daxa.xray.eventlists.opening import open_events

START = 3.0e8
CENTRE = 25921
FIELD = 18000
"""Radius of the field of view, event pixels of 0.05 arcsec."""
CORE = 120
"""Core radius of the image of a point, event pixels: 7 % of its counts lie beyond 80 arcsec."""
NOWHERE = -99999999
"""The coordinate of an event without a position."""

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
    """All rows as one list, sorted by time, read from a file; CCD 1 is good for `seconds` by default."""
    rows = np.concatenate(parts).astype(_ROW)
    events = fits.BinTableHDU(rows[np.argsort(rows["TIME"], kind="stable")], name="EVENTS")
    events.header.update(TELESCOP="XMM", INSTRUME="EMOS1", OBS_ID="0900000901", EXPIDSTR="S001", SIMULATD=True)
    events.header.update(MJDREF=50814.0, TIMESYS="TT", RADECSYS="FK5", EQUINOX=2000.0)
    for name, kind, position, step in (("X", "RA---TAN", 149.6, -0.05), ("Y", "DEC--TAN", -11.1, 0.05)):
        n = events.columns.names.index(name) + 1
        events.header.update({f"TCTYP{n}": kind, f"TCRPX{n}": float(CENTRE), f"TCRVL{n}": position})
        events.header.update({f"TCDLT{n}": step / 3600, f"TLMIN{n}": 1, f"TLMAX{n}": 51840, f"TNULL{n}": NOWHERE})
    tables = [
        fits.BinTableHDU.from_columns(
            [fits.Column(name, "D", unit="s", array=good[:, k]) for k, name in enumerate(("START", "STOP"))],
            name=f"STDGTI{chip:02d}",
        )
        for chip, good in (gtis or {1: np.array([[START, START + seconds]])}).items()
    ]
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "simulated.fits"
        fits.HDUList([fits.PrimaryHDU(), events, *tables]).writeto(path)
        # The rows stay mapped to the file's bytes, which last as long as the list.
        return open_events(path)


def observed(shape: str, peak: float, *, flares: float, seed: int = 5) -> tuple[EventList, Cut]:
    """A background of 0.2 count/s in the flare band, a flare of so many, and a source of this shape."""
    rng = np.random.default_rng(seed)
    hard = np.full(len(AT), 0.2) + flares * FLARE
    parts = [
        over_the_field(rng, moments(rng, hard, STEP), HARD),
        over_the_field(rng, moments(rng, np.ones(len(AT)), STEP), SOFT),
        at_a_point(rng, moments(rng, peak * SHAPES[shape], STEP), PLACE, HARD),
    ]
    events = event_list(parts, SECONDS)
    return events, standard_cut(events, pi=HARD)
