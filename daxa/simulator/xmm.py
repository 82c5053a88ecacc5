"""Simulated XMM-Newton EPIC event lists as the pipeline distributes them (``PIEVLI``, ``MIEVLI``).

Tables, columns, units, null values and cards follow real EPIC MOS lists and the Data
Files Handbook.  The MOS chips lie where those of real lists lie; the layout of the pn
is simplified, with chips of the true size, and its frames are those of the extended full frame mode.
A real list holds nothing outside its good time; these do, so that screening has work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from daxa.simulator.epic import CAMERAS, EpicCamera, Frames
from daxa.simulator.epic_files import (
    CDELT,
    MJDREF,
    SKY0,
    attitude,
    background_rate,
    calibration_index,
    clock_cards,
    common_cards,
)
from daxa.simulator.fitsfile import FitsColumn, primary, table, write_fits
from daxa.simulator.programme import EpicPointing
from daxa.simulator.sky import Source, draw_king, draw_photons, draw_power_law, plane
from daxa.simulator.times import mission_seconds

__all__ = ["write_observation"]

_NULL = -99999999
_OUT_OF_FOV, _GATTI, _BORDER, _BADCOL = 0x10000, 0x400000, 0x2, 0x200
_OUTSIDE = 0.01
"""Share of events that arrive outside good time."""


def write_observation(root: Path, pointing: EpicPointing, sources: Sequence[Source], *, seed: int) -> dict[str, float]:
    """Write the directory of one observation.

    Parameters
    ----------
    root
        The observation's directory.
    sources
        The sources in the field.
    seed
        Of the random numbers.

    Returns
    -------
    dict
        Good time in seconds by camera.
    """
    begin = mission_seconds(pointing.start, MJDREF)
    ontime = {}
    for number, camera in enumerate(CAMERAS):
        rng = np.random.default_rng([seed, int(pointing.obs_id), number])
        frames = {chip: _frames(rng, camera, chip, begin, pointing.seconds) for chip in camera.chips}
        rows = _events(rng, camera, pointing, frames, sources)
        stem = f"P{pointing.obs_id}{camera.name}{camera.exposure}"
        hdus = _event_list(camera, pointing, frames, rows)
        write_fits(root / "PPS" / f"{stem}{camera.product}EVLI0000.FTZ", hdus)
        write_fits(root / "PPS" / f"{stem}FBKTSR0000.FTZ", background_rate(camera, pointing, frames, rows))
        ontime[camera.name] = max(float(np.diff(one.good).sum()) for one in frames.values())
    write_fits(root / "PPS" / f"P{pointing.obs_id}OBX000ATTTSR0000.FTZ", attitude(pointing, begin, seed))
    summary = root / "PPS" / f"P{pointing.obs_id}OBX000SUMMAR0000.HTM"
    summary.write_text(f"<html><body>Simulated observation {pointing.obs_id}</body></html>\n", encoding="ascii")
    (root / "ODF").mkdir(exist_ok=True)
    (root / "ODF" / f"MANIFEST.{pointing.obs_id}").write_text("Simulated: no raw data\n", encoding="ascii")
    return ontime


def _frames(rng: np.random.Generator, camera: EpicCamera, chip: int, begin: float, seconds: float) -> Frames:
    shift = rng.random() * camera.frame
    count = int((seconds * camera.share - shift) / camera.frame)
    centre = begin + camera.late + shift + (np.arange(count) + 0.5) * camera.frame
    length = np.full(count, camera.frame - camera.gap, dtype=np.float32)
    fraction = np.clip(rng.normal(camera.live, camera.jitter, count), 0.9, 1.0).astype(np.float32)
    edges = centre - camera.frame / 2
    # The first and last frames are not good, and telemetry is lost once.
    lost, found = int(0.62 * count), int(0.63 * count)
    good = np.array([[edges[1], edges[lost]], [edges[found], edges[-1]]])
    return Frames(centre, length, fraction, good)


@dataclass(frozen=True)
class _Photons:
    """Events before the detector: offsets east and north of the pointing in arcsec, keV, times or NaN."""

    east: np.ndarray
    north: np.ndarray
    energy: np.ndarray
    flare: np.ndarray


def _celestial(
    rng: np.random.Generator, camera: EpicCamera, pointing: EpicPointing, seconds: float, sources: Sequence[Source]
) -> _Photons:
    east, north, energy = [], [], []
    for source in sources:
        kev = draw_photons(rng, source, camera.area, seconds, (0.2, 12.0))
        x, y = plane(source.ra, source.dec, pointing.ra, pointing.dec)
        spread = np.asarray(draw_king(rng, len(kev), 5.0, 1.5, 300.0))
        if source.core:
            spread = np.add(spread, draw_king(rng, len(kev), source.core, 1.5, 480.0))
        east.append(x + spread[0])
        north.append(y + spread[1])
        energy.append(kev)
    # The sky behind: soft, and even over the field.
    count = rng.poisson(camera.sky_rate * seconds)
    radius, angle = 1080 * np.sqrt(rng.random(count)), rng.random(count) * 2 * np.pi
    east.append(radius * np.cos(angle))
    north.append(radius * np.sin(angle))
    energy.append(draw_power_law(rng, count, 2.4, (0.3, 12.0)))
    x, y, kev = (np.concatenate(parts) for parts in (east, north, energy))
    along, across = _to_detector(x, y, pointing.roll)
    kept = rng.random(len(x)) < camera.vignetting(along, across)
    return _Photons(x[kept], y[kept], kev[kept], np.full(kept.sum(), -1))


def _to_detector(east: np.ndarray, north: np.ndarray, roll: float) -> tuple[np.ndarray, np.ndarray]:
    # Sky pixels grow to the west; the relation is its own inverse (measured on a real MOS list).
    x, y = -np.asarray(east) / 0.05, np.asarray(north) / 0.05
    cos, sin = np.cos(np.radians(roll)), np.sin(np.radians(roll))
    return -cos * x - sin * y, -sin * x + cos * y


def _events(
    rng: np.random.Generator,
    camera: EpicCamera,
    pointing: EpicPointing,
    frames: Mapping[int, Frames],
    sources: Sequence[Source],
) -> dict[str, np.ndarray]:
    middle = frames[camera.central]
    good = middle.inside()
    seconds = float(np.sum(middle.length[good] * middle.fraction[good], dtype=np.float64))
    seconds *= 1 + _OUTSIDE
    photons = _celestial(rng, camera, pointing, seconds, sources)
    detx, dety = _to_detector(photons.east, photons.north, pointing.roll)
    # Particles and protons fall on every chip alike, in and out of the field of view.
    particles = rng.poisson(camera.particle_rate * seconds)
    protons = [
        rng.poisson(rate * camera.flare_gain * np.sum(_flare_shape(middle, pointing, i)[good]) * camera.frame)
        for i, (_, _, rate) in enumerate(pointing.flares)
    ]
    xs, ys = camera.scatter(rng, particles + sum(protons))
    detx, dety = np.concatenate([detx, xs]), np.concatenate([dety, ys])
    energy = np.concatenate([
        photons.energy,
        draw_power_law(rng, particles, 0.2, (0.2, 14.0)),
        draw_power_law(rng, sum(protons), 0.6, (0.3, 14.0)),
    ])  # fmt: skip
    flare = np.concatenate([np.full(len(energy) - sum(protons), -1), np.repeat(np.arange(len(protons)), protons)])
    proton = np.arange(len(energy)) >= len(photons.energy)
    chip, rawx, rawy = camera.locate(detx, dety)
    kept = chip > 0
    detx, dety, energy, flare, proton, chip, rawx, rawy = (
        part[kept] for part in (detx, dety, energy, flare, proton, chip, rawx, rawy)
    )
    time = np.zeros(len(chip))
    for number, one in frames.items():
        here = chip == number
        time[here] = _draw_times(rng, one, flare[here], pointing)
    rows = {"TIME": time, "RAWX": rawx, "RAWY": rawy, "DETX": np.rint(detx), "DETY": np.rint(dety), "CCDNR": chip}
    minus_x, plus_y = _from_detector(detx, dety, pointing.roll)
    rows["X"], rows["Y"] = np.rint(SKY0 + minus_x), np.rint(SKY0 + plus_y)
    measured = energy + rng.normal(0.0, 0.05 * np.sqrt(np.maximum(energy, 0.2) / 3.0))
    rows["PI"] = np.clip(np.rint(measured * 1000), 150, camera.last_pi)
    rows["PHA"] = np.clip(np.rint(rows["PI"] / camera.adu), 1, 4095)
    rows["PATTERN"] = _patterns(rng, camera, proton)
    rows["FLAG"] = _flags(rng, camera, rows)
    order = np.lexsort((rows["RAWX"], rows["TIME"]))
    on_bad = camera.on_bad_pixel(chip, rawx, rawy)[order]
    return {name: values[order][~on_bad] for name, values in rows.items()}


def _from_detector(detx: np.ndarray, dety: np.ndarray, roll: float) -> tuple[np.ndarray, np.ndarray]:
    cos, sin = np.cos(np.radians(roll)), np.sin(np.radians(roll))
    return -cos * detx - sin * dety, -sin * detx + cos * dety


def _draw_times(rng: np.random.Generator, frames: Frames, flare: np.ndarray, pointing: EpicPointing) -> np.ndarray:
    good = frames.inside()
    stray = rng.random(len(flare)) < _OUTSIDE
    weight = frames.length * frames.fraction
    chosen = np.zeros(len(flare), dtype=int)
    for group in range(-1, len(pointing.flares)):
        share = np.where(good, weight, 0.0).astype(np.float64)
        if group >= 0:
            share *= _flare_shape(frames, pointing, group)
        here = flare == group
        if not here.any():
            continue
        chosen[here] = np.searchsorted(np.cumsum(share) / share.sum(), rng.random(here.sum()), side="right")
    chosen[stray] = rng.choice(np.flatnonzero(~good), stray.sum())
    chosen = np.minimum(chosen, len(frames.centre) - 1)
    return frames.centre[chosen] + (rng.random(len(flare)) - 0.5) * frames.length[chosen]


def _flare_shape(frames: Frames, pointing: EpicPointing, number: int) -> np.ndarray:
    # A flare rises fast and fades slowly; its peak is 1.
    place = (frames.centre - mission_seconds(pointing.start, MJDREF)) / pointing.seconds
    begin, end, _ = pointing.flares[number]
    phase = (place - begin) / (end - begin)
    return np.where((phase >= 0) & (phase < 1), np.minimum(phase / 0.1, (1 - phase) / 0.9), 0.0)


def _patterns(rng: np.random.Generator, camera: EpicCamera, proton: np.ndarray) -> np.ndarray:
    photons, particles = (np.asarray(part, float) for part in camera.patterns)
    drawn = np.where(
        proton,
        rng.choice(len(particles), len(proton), p=particles / particles.sum()),
        rng.choice(len(photons), len(proton), p=photons / photons.sum()),
    )
    # Beyond the valid patterns are tracks of particles.
    return np.where(drawn == len(photons) - 1, rng.integers(13, 32, len(drawn)), drawn)


def _flags(rng: np.random.Generator, camera: EpicCamera, rows: dict[str, np.ndarray]) -> np.ndarray:
    x0, y0, radius = camera.field
    flags = np.where(np.hypot(rows["DETX"] - x0, rows["DETY"] - y0) > radius, _OUT_OF_FOV, 0)
    nx, ny = camera.size
    edge = (rows["RAWX"] <= 1) | (rows["RAWX"] >= nx) | (rows["RAWY"] <= 1) | (rows["RAWY"] >= ny)
    flags |= np.where(edge, _BORDER, 0)
    flags |= np.where(camera.beside_bad_column(rows["CCDNR"], rows["RAWX"], rows["RAWY"]), _BADCOL, 0)
    return flags | np.where(rng.random(len(flags)) < camera.rejected, _GATTI, 0)


def _event_list(
    camera: EpicCamera, pointing: EpicPointing, frames: Mapping[int, Frames], rows: Mapping[str, np.ndarray]
) -> list[bytes]:
    begin = min(one.centre[0] - camera.frame / 2 for one in frames.values())
    end = max(one.centre[-1] + camera.frame / 2 for one in frames.values())
    common, clock = common_cards(camera, pointing, begin, end), clock_cards(begin, end)
    creator = [("CREATOR", "daxa sample observatory", "name of creator")]
    hdus = [primary([*creator, *common, ("CONTENT", camera.content)])]
    subspace = camera.subspace()
    times = [card for chip, one in frames.items() for card in _chip_times(chip, one)]
    columns = camera.columns(rows, pointing, CDELT, SKY0, _NULL)
    hdus.append(table("EVENTS", columns, [*clock, *camera.flag_words, *common, *times, *subspace]))
    offsets = [
        FitsColumn("RAWX", "I", np.arange(4)),
        FitsColumn("OFFSETX", "I", np.full(4, 4042)),
        FitsColumn("OFFSETY", "I", np.zeros(4)),
        FitsColumn("CCDNR", "B", np.ones(4)),
    ]
    hdus.append(table("OFFSETS", offsets, [*clock, *common]))
    for chip, one in frames.items():
        window = [
            ("CCDID", camera.ccd_id(chip)),
            ("CCDNODE", 0),
            *camera.window(),
            ("FRMTIME", camera.frame * 1000, "[ms]"),
        ]
        exposure = [
            FitsColumn("TIME", "D", one.centre, "s", "time of the center of each frame"),
            FitsColumn("TIMEDEL", "E", one.length, "s", "duration of each frame"),
            FitsColumn("FRACEXP", "E", one.fraction, "FRACTION", "effective time / real time"),
        ]
        hdus.append(table(f"EXPOSU{chip:02d}", exposure, [*window, *clock, *common]))
        hdus.append(table(f"BADPIX{chip:02d}", camera.bad_pixel_columns(chip), [*window, *common]))
    for chip, one in frames.items():
        hdus.append(table(f"STDGTI{chip:02d}", _interval_columns(one.good), [*_gti_cards(chip, one), *clock, *common]))
    hdus.append(calibration_index(camera))
    return hdus


def _chip_times(chip: int, one: Frames) -> list[tuple]:
    inside = one.inside()
    live = float(np.sum(one.length[inside].astype(float) * one.fraction[inside].astype(float)))
    return [
        (f"ONTIME{chip:02d}", float(np.diff(one.good).sum()), "Sum of GTIs for a particular CCD"),
        (f"LIVETI{chip:02d}", live, "Live time for a particular CCD"),
    ]


def _gti_cards(chip: int, one: Frames) -> list[tuple]:
    return [
        ("CCDID", chip, "Numerical identifier of the CCD"),
        ("NUMGTI", len(one.good), "Number of good time intervals"),
        ("ONTIME", float(np.diff(one.good).sum()), "Total good time"),
        ("HDUCLASS", "OGIP", "File conforms to OGIP/GSFC conventions"),
        ("HDUCLAS1", "GTI", "File contains Good Time Intervals"),
        ("HDUCLAS2", "STANDARD", "File contains Good Time Intervals"),
    ]


def _interval_columns(good: np.ndarray) -> list[FitsColumn]:
    return [FitsColumn("START", "D", good[:, 0], "SECONDS"), FitsColumn("STOP", "D", good[:, 1], "SECONDS")]
