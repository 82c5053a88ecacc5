"""Event lists of ACIS-I in the mission's own format, in which every photon names its source (PHOTSRC).

Four chips of 1024 pixels with gaps of 11 arcsec, seen through a mirror that dithers by 8 arcsec.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits

from benchmarks.validation.epiclist import OUTSIDE, PARTICLE, SKY
from benchmarks.validation.optics import ACIS_FALL, ACIS_OUT_OF_TIME, draw_acis

__all__ = ["AcisField", "AcisPoint"]

PIXEL = 0.492
_CENTRE, _SCALE, _GAP = 4096.5, 0.998, 22.0
_START, _FRAME, _DTCOR = 5.0e8, 3.14104, 0.987
_PLACE = (201.3651, -43.0191)
_CHIPS = {0: (-1, -1), 1: (1, -1), 2: (-1, 1), 3: (1, 1)}
"""Chip to the quadrant of the focal plane that it fills."""


@dataclass(frozen=True)
class AcisPoint:
    """A point source: arcsec along the focal plane's axes from the optical axis, and counts of 0.5 to 2 keV there."""

    u: float
    v: float
    counts: float


@dataclass(frozen=True)
class AcisField:
    """What there is to see; ``sky`` and ``particles`` as in `epiclist.Field`.

    Counts of sources are those that the mirror lets through at their place: the exposure map of daxa is flat.
    """

    obs_id: str
    seed: int
    points: Sequence[AcisPoint] = ()
    sky: float = 6.0
    particles: float = 6.0
    seconds: float = 30_000.0
    roll: float = 31.0
    mission: str = "chandra"
    instrument: str = "ACIS"

    def places(self) -> tuple[np.ndarray, np.ndarray]:
        """Event pixels of the point sources."""
        u, v = (np.array([getattr(one, axis) for one in self.points]) for axis in "uv")
        return _to_sky(self, u / PIXEL, v / PIXEL)

    def rates(self) -> np.ndarray:
        """Rates at their places, count/s, without what arrives during the readout."""
        frames = int(self.seconds / _FRAME)
        counts = np.array([one.counts for one in self.points], float)
        return counts * (1.0 - ACIS_OUT_OF_TIME) / (frames * _FRAME * _DTCOR)

    def write(self, root: Path) -> None:
        """Write the level 2 list."""
        rows = _rows(np.random.default_rng([2027, self.seed]), self)
        name = f"acisf{self.obs_id:>05}N001_evt2.fits.gz"
        path = root / "fetch" / "primary" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = io.BytesIO()
        fits.HDUList(_units(self, rows)).writeto(stream)
        path.write_bytes(gzip.compress(stream.getvalue(), 1, mtime=0))


def _to_sky(field: AcisField, dx, dy) -> tuple[np.ndarray, np.ndarray]:
    cos, sin = np.cos(np.radians(field.roll)), np.sin(np.radians(field.roll))
    return _CENTRE + cos * dx + sin * dy, _CENTRE - sin * dx + cos * dy


def _wander(when: np.ndarray, field: AcisField) -> tuple[np.ndarray, np.ndarray]:
    """Pixels by which the focal plane has moved at a share of the exposure: 8 arcsec in 1000 and 707 s."""
    seconds = when * field.seconds
    return tuple(8.0 / PIXEL * np.sin(2 * np.pi * seconds / period) for period in (1000.0, 707.1))


def _photons(rng: np.random.Generator, field: AcisField) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    parts = []
    for number, point in enumerate(field.points, start=1):
        count = rng.poisson(point.counts)
        du, dv = draw_acis(rng, count, float(np.hypot(point.u, point.v)) / 60.0)
        parts.append((point.u + du, point.v + dv, np.full(count, number)))
    half = 540.0
    count = rng.poisson(field.sky * (2 * half / 60.0) ** 2)
    u, v = rng.uniform(-half, half, (2, count))
    kept = rng.random(count) < 1.0 - ACIS_FALL * np.hypot(u, v) / 60.0
    parts.append((u[kept], v[kept], np.full(kept.sum(), SKY)))
    return tuple(np.concatenate(part) for part in zip(*parts, strict=True))


def _rows(rng: np.random.Generator, field: AcisField) -> dict[str, np.ndarray]:
    u, v, origin = _photons(rng, field)
    area = 4 * (1024 * PIXEL / 60.0) ** 2
    number = rng.poisson(field.particles * area * 11_500 / 1500)
    energy = np.concatenate((rng.uniform(500, 2000, len(u)), rng.uniform(300, 11_800, number)))
    frames = int(field.seconds / _FRAME)
    frame = rng.integers(0, frames, len(energy))
    dx, dy = _wander((frame + 0.5) / frames, field)
    x, y = u / PIXEL + dx[: len(u)], v / PIXEL + dy[: len(u)]
    chip, chipx, chipy = _locate(x, y)
    late = (rng.random(len(u)) < ACIS_OUT_OF_TIME) & (chip >= 0)
    chipy[late] = rng.integers(2, 1024, int(late.sum()))
    origin = np.concatenate((np.where(late, OUTSIDE, origin), np.full(number, PARTICLE)))
    chip = np.concatenate((chip, rng.integers(0, 4, number)))
    chipx, chipy = (np.concatenate((one, rng.integers(2, 1024, number))) for one in (chipx, chipy))
    order = np.argsort(frame, kind="stable")
    order = order[chip[order] >= 0]
    chip, chipx, chipy, origin, energy, frame, dx, dy = (
        one[order] for one in (chip, chipx, chipy, origin, energy, frame, dx, dy)
    )
    corner = np.array([_corner(one) for one in range(4)])[chip]
    detx, dety = (corner + _SCALE * (np.column_stack((chipx, chipy)) + rng.random((len(chip), 2)) - 0.5)).T
    skyx, skyy = _to_sky(field, detx - dx, dety - dy)
    return {
        "time": _START + _FRAME * (frame + 0.5), "ccd_id": chip, "node_id": (chipx - 1) // 256, "expno": frame + 1,
        "chipx": chipx, "chipy": chipy, "tdetx": chipx, "tdety": chipy, "detx": detx + _CENTRE, "dety": dety + _CENTRE,
        "x": skyx, "y": skyy, "pha": np.rint(energy / 3.9), "energy": energy,
        "pi": np.minimum(np.floor(energy.astype(np.float32) / 14.6) + 1, 1024), "fltgrade": np.zeros(len(chip)),
        "grade": np.zeros(len(chip)), "status": np.zeros((len(chip), 32), bool), "PHOTSRC": origin,
    }  # fmt: skip


def _corner(chip: int) -> np.ndarray:
    """Focal plane, relative to the axis, of the place of pixel 0."""
    across, along = _CHIPS[chip]
    return np.array([_GAP / 2 if side > 0 else -_GAP / 2 - 1024 * _SCALE for side in (across, along)]) - 0.5 * _SCALE


def _locate(x, y) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    chip, chipx, chipy = np.full(len(x), -1), np.zeros(len(x), int), np.zeros(len(x), int)
    for number in _CHIPS:
        at = np.rint((np.column_stack((x, y)) - _corner(number)) / _SCALE).astype(int)
        # The outermost pixels give no events.
        here = ((at >= 2) & (at <= 1023)).all(axis=1)
        chip[here], chipx[here], chipy[here] = number, at[here, 0], at[here, 1]
    return chip, chipx, chipy


_FORMS = {"time": "D", "expno": "J", "detx": "E", "dety": "E", "x": "E", "y": "E", "pha": "J", "energy": "E", "pi": "J",
          "status": "32X", "PHOTSRC": "J"}  # fmt: skip


def _units(field: AcisField, rows: dict[str, np.ndarray]) -> list:
    frames = int(field.seconds / _FRAME)
    good = frames * _FRAME
    common = {
        "TELESCOP": "CHANDRA", "INSTRUME": "ACIS", "OBS_ID": field.obs_id, "DETNAM": "ACIS-0123", "GRATING": "NONE",
        "DATAMODE": "FAINT", "READMODE": "TIMED", "OBS_MODE": "POINTING", "OBJECT": "simulated", "RADESYS": "ICRS",
        "EQUINOX": 2000.0, "MJDREF": 50814.0, "TIMESYS": "TT", "TIMEUNIT": "s", "TIMEREF": "LOCAL", "TIMEZERO": 0.0,
        "TSTART": _START, "TSTOP": _START + good, "SIMULATD": True,
    }  # fmt: skip
    common |= {"SIM_X": -0.7823, "SIM_Y": 0.0, "SIM_Z": -233.5874, "FOC_LEN": 10070.0, "FP_TEMP": 153.5}
    for suffix in ("PNT", "NOM"):
        common |= {f"RA_{suffix}": _PLACE[0], f"DEC_{suffix}": _PLACE[1], f"ROLL_{suffix}": field.roll}
    columns = [fits.Column(name, _FORMS.get(name, "I"), array=values) for name, values in rows.items()]
    events = fits.BinTableHDU.from_columns(columns, name="EVENTS")
    times = {"ONTIME": good, "LIVETIME": good * _DTCOR, "EXPOSURE": good * _DTCOR, "DTCOR": _DTCOR, "TIMEDEL": _FRAME}
    times |= {"TIMEPIXR": 0.5, "EXPTIME": 3.1, "FIRSTROW": 1, "NROWS": 1024}
    for chip in _CHIPS:
        times |= {f"ONTIME{chip}": good, f"LIVTIME{chip}": good * _DTCOR, f"EXPOSUR{chip}": good * _DTCOR}
    events.header.update(common | times)
    for name, kind, value, step in (("x", "RA---TAN", _PLACE[0], -PIXEL), ("y", "DEC--TAN", _PLACE[1], PIXEL)):
        n = events.columns.names.index(name) + 1
        events.header.update({
            f"TCTYP{n}": kind, f"TCRPX{n}": _CENTRE, f"TCRVL{n}": value, f"TCDLT{n}": step / 3600, f"TCUNI{n}": "deg",
            f"TLMIN{n}": 0.5, f"TLMAX{n}": 8192.5,
        })  # fmt: skip
    head = fits.PrimaryHDU()
    head.header.update(common)
    units = [head, events]
    for chip in _CHIPS:
        pair = zip(("START", "STOP"), (_START, _START + good), strict=True)
        table = fits.BinTableHDU.from_columns(
            [fits.Column(key, "D", unit="s", array=[at]) for key, at in pair], name="GTI"
        )
        table.header.update(common | {"CCD_ID": chip})
        table.header["EXTVER"] = chip
        units.append(table)
    return units
