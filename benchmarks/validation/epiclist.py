"""Event lists of EPIC cameras in the mission's own format, in which every photon names its source (PHOTSRC).

The plane of the camera is ours: chips of the true size, in the true arrangement, with gaps of 8 arcsec.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits

from benchmarks.validation.optics import OUT_OF_TIME, epic

__all__ = [
    "CAMERAS",
    "CLUSTER",
    "FLARE",
    "OUTSIDE",
    "PARTICLE",
    "SKY",
    "Camera",
    "Cluster",
    "Field",
    "Flare",
    "Point",
    "write_field",
]

SKY, PARTICLE, OUTSIDE, FLARE, CLUSTER = 0, -1, -2, -3, 10_000
"""Values of PHOTSRC: the sky behind, particles, out-of-time photons, protons of flares, and the first cluster."""

UNIT = 0.05
"""Arcsec of a unit of DETX, DETY, X and Y."""

_CENTRE = 25921
_START, _FRAME, _FRACTION = 3.0e8, 5.2, 0.9893
_BORDER, _OUT_OF_FOV = 0x2, 0x10000
_NULL = -99999999
_GAP = 160.0


@dataclass(frozen=True)
class Camera:
    """A camera: chip pixels (number along x and y, side in detector units), chips, circle of the field, axis.

    ``origins`` are the corners of the chips in detector units, ``axis`` the optical axis relative to the
    pointing in arcmin, in the frame of the spacecraft.
    """

    name: str
    header_name: str
    product: str
    exposure: str
    good: tuple[str, int]
    size: tuple[int, int]
    side: float
    origins: tuple[tuple[float, float], ...]
    circle: tuple[float, float, float]
    axis: tuple[float, float]

    def locate(self, detx, dety) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Chip (0 for none) and pixel, from 1."""
        chip, rawx, rawy = (np.zeros(len(detx), int) for _ in range(3))
        for number, (x0, y0) in enumerate(self.origins, start=1):
            x, y = (np.floor((det - start) / self.side).astype(int) + 1 for det, start in ((detx, x0), (dety, y0)))
            here = (x >= 1) & (x <= self.size[0]) & (y >= 1) & (y <= self.size[1])
            chip[here], rawx[here], rawy[here] = number, x[here], y[here]
        return chip, rawx, rawy

    def place(self, rng: np.random.Generator, chip, rawx, rawy) -> tuple[np.ndarray, np.ndarray]:
        """Detector coordinates at random within a pixel."""
        origin = np.array(self.origins)[np.asarray(chip) - 1]
        raw = np.column_stack((rawx, rawy)) - 1.0
        return tuple((origin + self.side * (raw + rng.random(raw.shape))).T)

    def vignetting(self, detx, dety) -> np.ndarray:
        """Share of the area on the axis at a place."""
        u, v = self.off_axis(detx, dety)
        return epic(self.name).vignetting(u, v)

    def off_axis(self, detx, dety) -> tuple[np.ndarray, np.ndarray]:
        """Arcmin from the axis."""
        return tuple(np.asarray(det) * UNIT / 60.0 - axis for det, axis in zip((detx, dety), self.axis, strict=True))


def _mos_origins() -> tuple[tuple[float, float], ...]:
    side = 600 * 22.02
    step = side + _GAP
    rows = {-1: (-0.5, 0.5), 0: (-1.0, 0.0, 1.0), 1: (-0.5, 0.5)}
    places = [(column * step, row * step) for row, columns in rows.items() for column in columns]
    places.sort(key=lambda place: np.hypot(*place))
    return tuple((x - side / 2, y - side / 2) for x, y in places)


def _pn_origins() -> tuple[tuple[float, float], ...]:
    width, height, x0, y0 = 64 * 82.0, 200 * 82.0, -2200.0, -1110.0
    return tuple(
        (x0 + (column - 3) * (width + _GAP) + _GAP / 2, y0 + (_GAP / 2 if top else -_GAP / 2 - height))
        for top in (True, False)
        for column in range(6)
    )


CAMERAS = {
    "M1": Camera(
        "M1", "EMOS1", "MI", "S001", ("XMMEA_EM", 0x766BA000), (600, 600), 22.02, _mos_origins(),
        (97.0, -172.0, 17152.0), (1.27, 2.38),
    ),
    "PN": Camera(
        "PN", "EPN", "PI", "S003", ("XMMEA_EP", 0xCFA0000), (64, 200), 82.0, _pn_origins(),
        (-2200.0, -1110.0, 17980.0), (0.88, 1.95),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Point:
    """A point source: detector coordinates, and counts of 0.5 to 2 keV that it would give on the axis."""

    detx: float
    dety: float
    counts: float


@dataclass(frozen=True)
class Cluster:
    """A beta model: detector coordinates, counts on the axis, core radius in arcsec, slope."""

    detx: float
    dety: float
    counts: float
    core: float = 60.0
    beta: float = 2.0 / 3.0
    last: float = 600.0


@dataclass(frozen=True)
class Flare:
    """Soft protons: number, begin and end as shares of the exposure (triangular between), e-folding energy in keV."""

    count: int
    begin: float
    end: float
    kev: float


@dataclass(frozen=True)
class Field:
    """What there is to see.

    ``sky`` and ``particles`` are counts of 0.5 to 2 keV per square arcmin in the whole exposure: those of the
    vignetted sky on the axis, and those of particles, which fall on all of the camera alike.  ``psf`` is one of
    those of `optics.epic`.
    """

    obs_id: str
    seed: int
    camera: str = "M1"
    points: Sequence[Point] = ()
    clusters: Sequence[Cluster] = ()
    sky: float = 14.0
    particles: float = 8.0
    seconds: float = 20_000.0
    roll: float = 73.0
    psf: str = "table"
    flares: Sequence[Flare] = ()
    mission: str = "xmm"

    @property
    def instrument(self) -> str:
        """Of the observation."""
        return self.camera

    def places(self) -> tuple[np.ndarray, np.ndarray]:
        """Event pixels of the point sources."""
        return sky_pixel(self, *(np.array([getattr(one, axis) for one in self.points]) for axis in ("detx", "dety")))

    def rates(self) -> np.ndarray:
        """Their rates on the axis, count/s; what arrives during the readout is lost to them."""
        counts = np.array([one.counts for one in self.points], float)
        return counts * (1.0 - OUT_OF_TIME[self.camera]) / livetime(self)

    def write(self, root: Path) -> None:
        """Write the observation, see `write_field`."""
        write_field(root, self)


def _photons(rng: np.random.Generator, what: Field, camera: Camera):
    """Places and origin of the photons of 0.5 to 2 keV that the mirrors let through."""
    mirrors, parts = epic(camera.name, what.psf), []
    for number, point in enumerate(what.points, start=1):
        u, v = (float(one) for one in camera.off_axis(point.detx, point.dety))
        count = rng.poisson(point.counts * float(mirrors.vignetting(u, v)))
        along, across = mirrors.spread(rng, count, u, v)
        parts.append((point.detx + along / UNIT, point.dety + across / UNIT, np.full(count, number)))
    for number, cluster in enumerate(what.clusters):
        count = rng.poisson(cluster.counts)
        slope = 3.0 * cluster.beta - 1.5
        most = 1.0 - (1.0 + (cluster.last / cluster.core) ** 2) ** -slope
        radius = cluster.core * np.sqrt((1.0 - most * rng.random(count)) ** (-1.0 / slope) - 1.0)
        around = rng.uniform(0, 2 * np.pi, count)
        along, across = mirrors.spread(rng, count, 0.0, 0.0)
        x = cluster.detx + (radius * np.cos(around) + along) / UNIT
        y = cluster.dety + (radius * np.sin(around) + across) / UNIT
        kept = rng.random(count) < camera.vignetting(x, y)
        parts.append((x[kept], y[kept], np.full(kept.sum(), CLUSTER + number)))
    half = camera.circle[2] * 1.02
    count = rng.poisson(what.sky * (2 * half * UNIT / 60.0) ** 2)
    x, y = (centre + rng.uniform(-half, half, count) for centre in camera.circle[:2])
    kept = (rng.random(count) < camera.vignetting(x, y)) & (np.hypot(x - camera.circle[0], y - camera.circle[1]) < half)
    parts.append((x[kept], y[kept], np.full(kept.sum(), SKY)))
    return tuple(np.concatenate(part) for part in zip(*parts, strict=True))


def _rows(rng: np.random.Generator, what: Field, camera: Camera) -> dict[str, np.ndarray]:
    x, y, origin = _photons(rng, what, camera)
    # As many photons again have 2 to 8 keV; the band of the images is 0.5 to 2.
    hard = rng.random(len(x)) < 0.3
    pi = np.where(hard, rng.integers(2001, 8000, len(x)), rng.integers(500, 2001, len(x)))
    again = np.flatnonzero(hard)
    x, y, origin = (np.concatenate((part, part[again])) for part in (x, y, origin))
    pi = np.concatenate((pi, rng.integers(500, 2001, len(again))))
    chip, rawx, rawy = camera.locate(x, y)
    late = (rng.random(len(x)) < OUT_OF_TIME[camera.name]) & (chip > 0)
    rawy = np.where(late, rng.integers(1, camera.size[1] + 1, len(x)), rawy)
    origin = np.where(late, OUTSIDE, origin)
    area = camera.size[0] * camera.size[1] * len(camera.origins) * (camera.side * UNIT / 60.0) ** 2
    number = rng.poisson(what.particles * area * (14_000 - 200) / 1500)
    chip = np.concatenate((chip, rng.integers(1, len(camera.origins) + 1, number)))
    rawx = np.concatenate((rawx, rng.integers(1, camera.size[0] + 1, number)))
    rawy = np.concatenate((rawy, rng.integers(1, camera.size[1] + 1, number)))
    pi = np.concatenate((pi, rng.integers(200, 14_000, number)))
    origin = np.concatenate((origin, np.full(number, PARTICLE)))
    when = rng.random(len(pi))
    for flare in what.flares:
        energies = 200.0 + rng.exponential(1000.0 * flare.kev, flare.count)
        x0, y0, most = camera.circle
        radius, around = most * np.sqrt(rng.random(flare.count)), rng.uniform(0, 2 * np.pi, flare.count)
        hit, x, y = camera.locate(x0 + radius * np.cos(around), y0 + radius * np.sin(around))
        moments = rng.triangular(flare.begin, 0.5 * (flare.begin + flare.end), flare.end, flare.count)
        added = (hit, x, y, np.minimum(energies, 14_000).astype(int), np.full(flare.count, FLARE), moments)
        chip, rawx, rawy, pi, origin, when = (
            np.concatenate(pair) for pair in zip((chip, rawx, rawy, pi, origin, when), added, strict=True)
        )
    time = _START + _FRAME * (np.floor(when * int(what.seconds / _FRAME)) + rng.random(len(pi)))
    order = np.lexsort((rawx, time))
    order = order[chip[order] > 0]
    chip, rawx, rawy, pi, origin, time = (part[order] for part in (chip, rawx, rawy, pi, origin, time))
    detx, dety = camera.place(rng, chip, rawx, rawy)
    cos, sin = np.cos(np.radians(what.roll)), np.sin(np.radians(what.roll))
    edge = (rawx <= 1) | (rawx >= camera.size[0]) | (rawy <= 1) | (rawy >= camera.size[1])
    outside = np.hypot(detx - camera.circle[0], dety - camera.circle[1]) > camera.circle[2]
    return {
        "TIME": time, "RAWX": rawx, "RAWY": rawy, "DETX": np.rint(detx), "DETY": np.rint(dety),
        "X": np.rint(_CENTRE - cos * detx - sin * dety), "Y": np.rint(_CENTRE - sin * detx + cos * dety),
        "PHA": pi // 4, "PI": pi, "FLAG": np.where(edge, _BORDER, 0) | np.where(outside, _OUT_OF_FOV, 0),
        "PATTERN": np.zeros(len(pi)), "CCDNR": chip, "PHOTSRC": origin,
    }  # fmt: skip


def sky_pixel(what: Field, detx, dety) -> tuple[np.ndarray, np.ndarray]:
    """X and Y of a place in detector coordinates."""
    cos, sin = np.cos(np.radians(what.roll)), np.sin(np.radians(what.roll))
    detx, dety = np.asarray(detx, float), np.asarray(dety, float)
    return _CENTRE - cos * detx - sin * dety, _CENTRE - sin * detx + cos * dety


def livetime(what: Field) -> float:
    """Seconds in which the list's photons were gathered."""
    return int(what.seconds / _FRAME) * _FRAME * _FRACTION


_FORMS = {"TIME": "D", "X": "J", "Y": "J", "FLAG": "J", "PATTERN": "B", "CCDNR": "B", "PHOTSRC": "J"}
_PLACE = (149.59, -11.06)


def write_field(root: Path, what: Field) -> Path:
    """Write the observation as the archive lays it out, below ``root / "fetch"``; return the list's path."""
    rng, camera = np.random.default_rng([2026, what.seed]), CAMERAS[what.camera]
    rows = _rows(rng, what, camera)
    events = fits.BinTableHDU.from_columns(
        [fits.Column(name, _FORMS.get(name, "I"), array=values) for name, values in rows.items()], name="EVENTS"
    )
    frames = int(what.seconds / _FRAME)
    common = {
        "TELESCOP": "XMM", "INSTRUME": camera.header_name, "OBS_ID": what.obs_id, "EXPIDSTR": camera.exposure,
        "DATAMODE": "IMAGING", "SUBMODE": "PrimeFullWindow", "FILTER": "Thin1", "OBJECT": "simulated",
        "RADECSYS": "FK5", "EQUINOX": 2000.0, "MJDREF": 50814.0, "TIMESYS": "TT", "TIMEUNIT": "s", "TIMEREF": "LOCAL",
        "TSTART": _START, "TSTOP": _START + frames * _FRAME, "RA_PNT": _PLACE[0], "DEC_PNT": _PLACE[1],
        "PA_PNT": what.roll, "SIMULATD": True,
    }  # fmt: skip
    for name, kind, value, step in (("X", "RA---TAN", _PLACE[0], -UNIT), ("Y", "DEC--TAN", _PLACE[1], UNIT)):
        n = events.columns.names.index(name) + 1
        events.header.update({
            f"TCTYP{n}": kind, f"TCRPX{n}": float(_CENTRE), f"TCRVL{n}": value, f"TCDLT{n}": step / 3600,
            f"TCUNI{n}": "deg", f"TLMIN{n}": 1, f"TLMAX{n}": 51840, f"TNULL{n}": _NULL,
        })  # fmt: skip
    events.header.update(common)
    word, mask = camera.good
    events.header[word] = f"(FLAG & {mask:#x}) == 0"
    head = fits.PrimaryHDU()
    head.header.update(common)
    units = [head, events]
    for chip in range(1, len(camera.origins) + 1):
        units += [_frames(chip, frames, camera, common), _good(chip, frames, common)]
    stream = io.BytesIO()
    fits.HDUList(units).writeto(stream)
    name = f"P{what.obs_id}{camera.name}{camera.exposure}{camera.product}EVLI0000.FTZ"
    path = root / "fetch" / "PPS" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(stream.getvalue(), 1, mtime=0))
    return path


def _frames(chip: int, frames: int, camera: Camera, common: dict) -> fits.BinTableHDU:
    columns = [
        fits.Column("TIME", "D", unit="s", array=_START + _FRAME * (np.arange(frames) + 0.5)),
        fits.Column("TIMEDEL", "E", unit="s", array=np.full(frames, _FRAME)),
        fits.Column("FRACEXP", "E", array=np.full(frames, _FRACTION)),
    ]
    table = fits.BinTableHDU.from_columns(columns, name=f"EXPOSU{chip:02d}")
    table.header.update(common | {"CCDID": chip, "WINDOWX0": 1, "WINDOWY0": 1, "WINDOWDX": camera.size[0]})
    table.header["WINDOWDY"] = camera.size[1]
    return table


def _good(chip: int, frames: int, common: dict) -> fits.BinTableHDU:
    stop = _START + frames * _FRAME
    columns = [fits.Column(key, "D", unit="s", array=[at]) for key, at in (("START", _START), ("STOP", stop))]
    table = fits.BinTableHDU.from_columns(columns, name=f"STDGTI{chip:02d}")
    table.header.update(common | {"CCDID": chip})
    return table
