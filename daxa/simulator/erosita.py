"""Simulated lists of eROSITA, merged of the seven telescope modules: sky tiles of eRASS1, and pointings of CalPV.

Columns and extensions are those that the data release's file descriptions name.  The survey passes over a place some
times, 40 s each, four hours apart; here all of the tile is seen in every pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from daxa.missions.tiling import Tile
from daxa.simulator.fitsfile import FitsColumn, primary, table, write_fits
from daxa.simulator.sky import Source, draw_king, draw_photons, draw_power_law, plane, sphere
from daxa.simulator.times import iso_date, mission_seconds

__all__ = ["ModulePointing", "write_pointing", "write_tile"]

_MJDREF = 51543.875
_START = 58982.3
"""Of the first pass, MJD UTC."""

_PASSES, _LONG, _APART = 6, 40.0, 14400.0
_PIXEL = 0.05
_LIMITS = (-129_600, 129_600)
_HALF = 6300.0
"""Half the side of the square that is simulated, arcsec."""

_FIELD = 1854.0
"""Radius of the field of a pointing, arcsec."""

_DEADC = 0.98
# Effective area of one module, rounded from Predehl et al. 2021, A&A 647, A1.
_AREA = ((0.2, 0.5, 1.0, 1.5, 2.0, 2.4, 4.0, 6.0, 8.0, 10.0), (50, 190, 290, 320, 250, 90, 55, 35, 12, 3))
_BAD = (1 << 4, 1 << 5, 1 << 8, 1 << 15)
_FLARE = 3
"""In this pass the background is as high as in flares."""


@dataclass(frozen=True)
class ModulePointing:
    """A pointed observation with all seven modules.

    Parameters
    ----------
    obs_id, target
        The observation, and what it was to see.
    ra, dec
        Where the telescope pointed, degrees.
    start, seconds
        Begin (MJD UTC), and length.
    """

    obs_id: str
    target: str
    ra: float
    dec: float
    start: float
    seconds: float


def write_tile(root: Path, tile: Tile, sources: Sequence[Source], *, seed: int) -> None:
    """Write the event list of a tile, below the tile's directory."""
    begin = round(mission_seconds(_START, _MJDREF), 3)
    passes = begin + _APART * np.arange(_PASSES)[:, None] + np.array([0.0, _LONG])
    rows = _events(np.random.default_rng([seed, int(tile.obs_id)]), tile, passes, sources)
    hdus = _hdus(tile, passes, rows, "SURVEY")
    write_fits(root / "EXP_010" / f"em01_{tile.obs_id}_020_EventList_c010.fits.gz", hdus)


def write_pointing(path: Path, pointing: ModulePointing, sources: Sequence[Source], *, seed: int) -> None:
    """Write the event list of a pointing of CalPV: a circle of the sky, seen all the time."""
    begin = round(mission_seconds(pointing.start, _MJDREF), 3)
    passes = np.array([[begin, begin + pointing.seconds]])
    rows = _events(np.random.default_rng([seed, int(pointing.obs_id)]), pointing, passes, sources)
    east, north = plane(rows["RA"], rows["DEC"], pointing.ra, pointing.dec)
    seen = np.hypot(east, north) < _FIELD
    write_fits(path, _hdus(pointing, passes, {name: values[seen] for name, values in rows.items()}, "POINTING"))


def _hdus(
    tile: Tile | ModulePointing, passes: np.ndarray, rows: dict[str, np.ndarray], mode: Literal["SURVEY", "POINTING"]
) -> list[bytes]:
    hdus = [primary([("TELESCOP", "eROSITA"), ("INSTRUME", "MERGED"), ("FILTER", "FILTER")])]
    hdus.append(table("EVENTS", _columns(tile, rows), _cards(tile, passes, mode)))
    for module in range(1, 8):
        good = passes + 0.05 * module
        times = [FitsColumn("START", "1D", good[:, 0], "s"), FitsColumn("STOP", "1D", good[:, 1], "s")]
        hdus.append(table(f"GTI{module}", times, [("HDUCLASS", "OGIP"), ("HDUCLAS1", "GTI"), *_clock(passes)]))
        live = [FitsColumn("TIME", "1D", good[:, 0], "s"), FitsColumn("DEADC", "1E", np.full(len(good), _DEADC))]
        hdus.append(table(f"DEADCOR{module}", live, _clock(passes)))
    return hdus


def _events(
    rng: np.random.Generator, tile: Tile | ModulePointing, passes: np.ndarray, sources: Sequence[Source]
) -> dict[str, np.ndarray]:
    pointed = isinstance(tile, ModulePointing)
    long = float(passes[0, 1] - passes[0, 0]) if pointed else _LONG
    half = _FIELD if pointed else _HALF
    seconds = 7 * _DEADC * float(np.diff(passes).sum())
    easts, norths, photons = [], [], []
    for source in sources:
        kev = draw_photons(rng, source, _AREA, seconds, (0.2, 10.0))
        x, y = plane(source.ra, source.dec, tile.ra, tile.dec)
        spread = np.asarray(draw_king(rng, len(kev), 9.0, 1.6, 300.0))
        if source.core:
            spread = np.add(spread, draw_king(rng, len(kev), source.core, 1.5, 480.0))
        easts.append(x + spread[0])
        norths.append(y + spread[1])
        photons.append(kev)
    quiet, flare = rng.poisson(6.0 * seconds * (half / _HALF) ** 2), 0 if pointed else rng.poisson(24.0 * 7 * _LONG)
    easts.append(rng.uniform(-half, half, quiet + flare))
    norths.append(rng.uniform(-half, half, quiet + flare))
    energy = np.concatenate([*photons, draw_power_law(rng, quiet, 1.2, (0.2, 10.0)),
                             draw_power_law(rng, flare, 0.6, (0.2, 10.0))])  # fmt: skip
    east, north = np.concatenate(easts), np.concatenate(norths)
    count = len(energy)
    number = rng.integers(0, len(passes), count)
    number[count - flare :] = 0 if pointed else _FLARE
    module = rng.integers(1, 8, count)
    time = passes[number, 0] + 0.05 * module + rng.uniform(0.0, long, count)
    ra, dec = sphere(east, north, tile.ra, tile.dec)
    x, y = _project(ra, dec, tile)
    rows = {
        "TIME": time, "RA": ra, "DEC": dec, "X": np.rint(x), "Y": np.rint(y),
        "PI": 1000 * np.abs(energy + rng.normal(0.0, 0.03 + 0.006 * energy)), "TM_NR": module,
        "PAT_TYP": rng.choice([1, 2, 3, 4, 0], count, p=(0.6, 0.28, 0.07, 0.04, 0.01)),
        "FLAG": np.where(rng.random(count) < 0.06, rng.choice(_BAD, count), 0),
        "RAWX": rng.integers(1, 385, count), "RAWY": rng.integers(1, 385, count),
    }  # fmt: skip
    order = np.argsort(time, kind="stable")
    return {name: values[order] for name, values in rows.items()}


def _project(ra: np.ndarray, dec: np.ndarray, tile: Tile | ModulePointing) -> tuple[np.ndarray, np.ndarray]:
    """Pixels of the orthographic projection about the middle of the tile."""
    alpha, delta, delta0 = np.radians(ra - tile.ra), np.radians(dec), np.radians(tile.dec)
    east = np.cos(delta) * np.sin(alpha)
    north = np.cos(delta0) * np.sin(delta) - np.sin(delta0) * np.cos(delta) * np.cos(alpha)
    return -np.degrees(east) * 3600 / _PIXEL, np.degrees(north) * 3600 / _PIXEL


def _columns(tile: Tile | ModulePointing, rows: dict[str, np.ndarray]) -> list[FitsColumn]:
    def sky(name: str, kind: str, value: float, step: float) -> FitsColumn:
        cards = (("TLMIN", _LIMITS[0]), ("TLMAX", _LIMITS[1]), ("TCTYP", kind), ("TCRVL", value), ("TCRPX", 0.0),
                 ("TCDLT", step), ("TCUNI", "deg"))  # fmt: skip
        return FitsColumn(name, "1J", rows[name], "pixel", "Sky pixel", cards)

    zeros, step = np.zeros(len(rows["TIME"])), _PIXEL / 3600
    return [
        FitsColumn("TIME", "1D", rows["TIME"], "s"),
        FitsColumn("FRAME_TIME", "1D", np.floor(rows["TIME"] / 0.05) * 0.05, "s"),
        FitsColumn("EV_WEIGHT", "1E", zeros + 1),
        FitsColumn("RA", "1D", rows["RA"], "deg"),
        FitsColumn("DEC", "1D", rows["DEC"], "deg"),
        sky("X", "RA---SIN", tile.ra, -step),
        sky("Y", "DEC--SIN", tile.dec, step),
        FitsColumn("PI", "1E", rows["PI"], "eV", "", (("TLMIN", 0.0), ("TLMAX", 16383.0))),
        FitsColumn("FLAG", "1J", rows["FLAG"]),
        FitsColumn("PAT_INF", "1B", zeros),
        FitsColumn("PAT_TYP", "1I", rows["PAT_TYP"]),
        FitsColumn("TM_NR", "1B", rows["TM_NR"]),
        FitsColumn("RAWX", "1I", rows["RAWX"], "pixel"),
        FitsColumn("RAWY", "1I", rows["RAWY"], "pixel"),
        FitsColumn("SUBX", "1E", zeros),
        FitsColumn("SUBY", "1E", zeros),
    ]


def _clock(passes: np.ndarray) -> list[tuple]:
    first, last = float(passes[0, 0]), float(passes[-1, 1])
    return [("TIMESYS", "TT"), ("MJDREF", _MJDREF), ("TIMEUNIT", "s"), ("TSTART", first), ("TSTOP", last)]


def _cards(tile: Tile | ModulePointing, passes: np.ndarray, mode: str) -> list[tuple]:
    first, last, good = float(passes[0, 0]), float(passes[-1, 1]), float(np.diff(passes).sum())
    target = tile.target if isinstance(tile, ModulePointing) else "SKY TILE"
    return [
        ("TELESCOP", "eROSITA"), ("INSTRUME", "MERGED"), ("FILTER", "FILTER"), ("OBS_MODE", mode),
        ("OBS_ID", tile.obs_id), ("OBJECT", target), ("RA_CEN", tile.ra), ("DEC_CEN", tile.dec),
        ("RADECSYS", "FK5"), ("EQUINOX", 2000.0), ("DATE-OBS", iso_date(first, _MJDREF)),
        ("DATE-END", iso_date(last, _MJDREF)), ("ONTIME", good), ("EXPOSURE", good * _DEADC), *_clock(passes),
    ]  # fmt: skip
