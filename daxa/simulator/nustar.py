"""Simulated NuSTAR observations: the cleaned lists ``A01_cl`` and ``B01_cl``, and what nupipeline starts from.

Columns, units, null values and cards follow a real list of 2015.  The mast does not move
here.  A real cleaned list holds what passed its screening only; this one holds more, so that screening has work.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from daxa.simulator.fitsfile import FitsColumn, checksummed, primary, table, write_fits
from daxa.simulator.programme import FpmPointing
from daxa.simulator.sky import Source, draw_king, draw_photons, draw_power_law, plane
from daxa.simulator.times import iso_date, mission_seconds

__all__ = ["DEADC", "write_observation", "write_raw_observation"]

_MJDREFI, _MJDREFF = 55197, 7.6601852e-4
_MJDREF = _MJDREFI + _MJDREFF
_PIXEL_DEG = 6.828076e-4
_CENTRE = 500.5
_MIDDLE = 180.5
_AIM = 205.0
"""Place of the pointing on both axes of DET1: on detector 0, beside the gap."""
DEADC = 0.930582820848004
# Effective area of one module, rounded from Harrison et al. 2013, ApJ 770, 103.
_AREA = ((3.0, 4.0, 6.0, 10.0, 15.0, 20.0, 30.0, 40.0, 60.0, 78.0), (150, 250, 350, 430, 280, 210, 120, 80, 40, 10))
_OUTSIDE = 0.01


def write_observation(root: Path, pointing: FpmPointing, sources: Sequence[Source], *, seed: int) -> dict[str, float]:
    """Write the directory of one observation; return good time in seconds by module."""
    begin = round(mission_seconds(pointing.start, _MJDREF), 3)
    orbits = np.arange(begin + 400.0, begin + pointing.seconds - 3300.0, 5800.0)
    good = np.stack([orbits, orbits + 3150.0], axis=1)
    ontime = {}
    for number, module in enumerate("AB"):
        rng = np.random.default_rng([seed, int(pointing.obs_id), number])
        own = good + 0.25 * number
        rows = _events(rng, pointing, own, sources)
        cards = _cards(pointing, module, begin, own)
        hdus = [primary(cards), table("EVENTS", _columns(pointing, rows), [*_event_cards(), *cards])]
        hdus.append(table("GTI", [FitsColumn("START", "1D", own[:, 0], "s"), FitsColumn("STOP", "1D", own[:, 1], "s")],
                          [("HDUCLASS", "OGIP"), ("HDUCLAS1", "GTI"), ("HDUCLAS2", "STANDARD"), *cards]))  # fmt: skip
        hdus += [_bad_pixels(module, detector, cards, own) for detector in range(4)]
        path = root / "event_cl" / f"nu{pointing.obs_id}{module}01_cl.evt.gz"
        write_fits(path, map(checksummed, hdus))
        ontime[module] = float(np.diff(own).sum())
    (root / "auxil").mkdir(exist_ok=True)
    (root / "auxil" / f"nu{pointing.obs_id}_readme.txt").write_text("Simulated\n", encoding="ascii")
    return ontime


def write_raw_observation(root: Path, pointing: FpmPointing, sources: Sequence[Source], *, seed: int) -> None:
    """Write what nupipeline starts from: lists of all times, and files that say when the sky was seen.

    Good times follow from the housekeeping (passages of the South Atlantic Anomaly) and the orbit (elevation
    above the Earth); of the real files' columns only those that say it are here.
    """
    begin = round(mission_seconds(pointing.start, _MJDREF), 3)
    whole = np.array([[begin, begin + pointing.seconds]])
    orbits = np.arange(begin + 400.0, begin + pointing.seconds - 3300.0, 5800.0)
    seen = np.stack([orbits, orbits + 3150.0], axis=1)
    stem = f"nu{pointing.obs_id}"
    time = np.arange(whole[0, 0], whole[0, 1])
    elevated = ((time[:, None] >= seen[:, 0]) & (time[:, None] < seen[:, 1])).any(axis=1)
    for number, module in enumerate("AB"):
        rng = np.random.default_rng([seed, int(pointing.obs_id), number, 1])
        cards = _cards(pointing, module, begin, whole)
        rows = _events(rng, pointing, seen, sources)
        hdus = [primary(cards), table("EVENTS", _columns(pointing, rows), [*_event_cards(), *cards])]
        times = [FitsColumn(name, "1D", whole[:, at], "s") for at, name in enumerate(("START", "STOP"))]
        hdus.append(table("GTI", times, [("HDUCLASS", "OGIP"), ("HDUCLAS1", "GTI"), *cards]))
        hdus += [_bad_pixels(module, detector, cards, whole) for detector in range(4)]
        write_fits(root / "event_uf" / f"{stem}{module}_uf.evt.gz", map(checksummed, hdus))
        passage = (time >= seen[0, 1] - 300.0) & (time < seen[0, 1])
        columns = [FitsColumn("TIME", "1D", time, "s"), FitsColumn("HW_SAA", "1B", passage)]
        columns.append(FitsColumn("SW_SAA", "1B", passage))
        write_fits(root / "hk" / f"{stem}{module}_fpm.hk.gz", [primary(cards), table("HK1FPM", columns, cards)])
    cards = [card for card in _cards(pointing, "A", begin, whole) if card[0] != "INSTRUME"]
    few = time[::10]
    turned = [
        FitsColumn("TIME", "1D", few, "s"),
        FitsColumn("QPARAM", "4D", np.tile([0.0, 0.0, 0.0, 1.0], (len(few), 1))),
    ]
    orbit = [FitsColumn("TIME", "1D", time, "s"), FitsColumn("ELV", "1E", np.where(elevated, 40.0, -20.0), "deg")]
    mast = [FitsColumn("TIME", "1D", few, "s"), FitsColumn("T_FBOB", "3D", np.zeros((len(few), 3)), "mm")]
    for name, extension, columns in (
        (f"auxil/{stem}_att.fits.gz", "ATTITUDE", turned),
        (f"auxil/{stem}_orb.fits.gz", "ORBIT", orbit),
        (f"auxil/{stem}_mast.fits.gz", "MAST", mast),
        (f"hk/{stem}_chu123.fits.gz", "CHU1", turned),
    ):
        write_fits(root / name, [primary(cards), table(extension, columns, cards)])


def _events(
    rng: np.random.Generator, pointing: FpmPointing, good: np.ndarray, sources: Sequence[Source]
) -> dict[str, np.ndarray]:
    seconds = float(np.diff(good).sum()) * DEADC * (1 + _OUTSIDE)
    dx, dy, photons = [], [], []
    for source in sources:
        kev = draw_photons(rng, source, _AREA, seconds, (3.0, 78.0))
        x, y = plane(source.ra, source.dec, pointing.ra, pointing.dec)
        spread = np.asarray(draw_king(rng, len(kev), 12.0, 1.4, 300.0))
        if source.core:
            spread = np.add(spread, draw_king(rng, len(kev), source.core, 1.5, 480.0))
        kept = rng.random(len(kev)) < np.exp(-((np.hypot(x, y) / 60 / 6.5) ** 2))
        dx.append(-(x + spread[0])[kept] / _PIXEL_DEG / 3600)
        dy.append((y + spread[1])[kept] / _PIXEL_DEG / 3600)
        photons.append(kev[kept])
    detx, dety = _rotate(pointing, np.concatenate(dx), np.concatenate(dy))
    count = rng.poisson(0.35 * seconds)
    detx = np.concatenate([detx + _AIM, rng.uniform(15, 346, count)])
    dety = np.concatenate([dety + _AIM, rng.uniform(15, 346, count)])
    energy = np.concatenate([*photons, draw_power_law(rng, count, 0.9, (3.0, 160.0))])
    background = np.arange(len(energy)) >= len(energy) - count
    return _measured(rng, pointing, good, detx=detx, dety=dety, energy=energy, background=background)


def _rotate(pointing: FpmPointing, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    # Sky pixels grow to the west; the relation is its own inverse.
    cos, sin = np.cos(np.radians(pointing.roll)), np.sin(np.radians(pointing.roll))
    return -cos * x - sin * y, -sin * x + cos * y


def _to_raw(detx: np.ndarray, dety: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Detector (-1 for none) and pixel: four detectors about the middle, each turned by 90 degrees."""
    u, v = detx - _MIDDLE, dety - _MIDDLE
    detector = np.select([(u > 0) & (v > 0), (u <= 0) & (v > 0), (u <= 0) & (v <= 0)], [0, 1, 2], 3)
    along = np.choose(detector, [v, -u, -v, u])
    across = np.choose(detector, [u, v, -u, -v])
    rawx, rawy = np.floor((along - 3.5) / 5).astype(int), np.floor((across - 3.5) / 5).astype(int)
    inside = (rawx >= 0) & (rawx < 32) & (rawy >= 0) & (rawy < 32)
    return np.where(inside, detector, -1), rawx, rawy


def _measured(
    rng: np.random.Generator,
    pointing: FpmPointing,
    good: np.ndarray,
    *,
    detx: np.ndarray,
    dety: np.ndarray,
    energy: np.ndarray,
    background: np.ndarray,
) -> dict[str, np.ndarray]:
    detector, rawx, rawy = _to_raw(detx, dety)
    keep = detector >= 0
    for number in range(4):
        x, y = _bad_positions(number)
        keep &= ~((detector == number) & np.isin(rawx * 32 + rawy, x * 32 + y))
    detx, dety, energy, background, detector, rawx, rawy = (
        part[keep] for part in (detx, dety, energy, background, detector, rawx, rawy)
    )
    count = len(energy)
    lengths = np.diff(good)[:, 0]
    place = rng.random(count) * lengths.sum()
    orbit = np.minimum((place // lengths[0]).astype(int), len(good) - 1)
    time = good[orbit, 0] + place - orbit * lengths[0]
    stray = rng.random(count) < _OUTSIDE
    time[stray] = good[orbit[stray], 1] + rng.uniform(1.0, 300.0, stray.sum())
    measured = energy + rng.normal(0.0, 0.18 + 0.003 * energy)
    pi = np.clip(np.floor((measured - 1.6) / 0.04), 0, 4095)
    x, y = _rotate(pointing, np.rint(detx) - _AIM, np.rint(dety) - _AIM)
    sky = np.rint(np.stack([x, y]) + _CENTRE)
    lost = (sky < 1).any(axis=0) | (sky > 1000).any(axis=0)
    sky[:, lost] = -1
    status = np.zeros((count, 16), dtype=bool)
    # The last bit is bit 0: 4 is a detector edge, 5 a hot pixel, 7 the depth cut.
    edge = (rawx == 0) | (rawx == 31) | (rawy == 0) | (rawy == 31)
    status[:, 15 - 4] = edge
    status[:, 15 - 7] = background & (rng.random(count) < 0.05)
    status[:, 15 - 1] = background & (rng.random(count) < 0.01)
    bad_grade = background & (rng.random(count) < 0.04)
    rows = {
        "TIME": time, "PI": pi, "DET_ID": detector, "RAWX": rawx, "RAWY": rawy, "DET1X": np.rint(detx),
        "DET1Y": np.rint(dety), "DET2X": np.rint(detx) + 106, "DET2Y": np.rint(dety) + 112, "X": sky[0], "Y": sky[1],
        "STATUS": status, "SHIELD": (background & (rng.random(count) < 0.03)).astype(int),
        "GRADE": np.where(bad_grade, rng.integers(27, 33, count), rng.choice(27, count, p=_GRADES)),
        "PRIOR": rng.exponential(0.15, count), "energy": measured,
    }  # fmt: skip
    order = np.argsort(time, kind="stable")
    return {name: values[order] for name, values in rows.items()}


_GRADES = np.array([60.0, 8, 8, 8, 8, *[0.37] * 22])
_GRADES /= _GRADES.sum()


def _columns(pointing: FpmPointing, rows: dict[str, np.ndarray]) -> list[FitsColumn]:
    count = len(rows["TIME"])

    def vector(name: str, form: str, unit: str = "", comment: str = "") -> FitsColumn:
        values = np.zeros((count, 9))
        if name in ("RAWPHAS", "OFFPHAS", "TRPHAS", "PHAS", "PIS_GAIN"):
            # The central pixel of the 3 x 3 carries the event.
            values[:, 4] = rows["PI"] if name == "PIS_GAIN" else np.rint(rows["energy"] * 60)
        elif name in ("TRIGGERS", "SWTRIG"):
            values[:, 4] = 1
        return FitsColumn(name, form, values, unit, comment)

    def flag(name: str, comment: str) -> FitsColumn:
        values = rows.get(name)
        return FitsColumn(name, "1B", np.zeros(count) if values is None else values, "NA", comment)

    def place(name: str, last: int) -> FitsColumn:
        cards = (("TLMIN", 1), ("TLMAX", last), ("TNULL", -4095), ("TCDLT", 0.12096), ("TCTYP", name), ("TCUNI", "mm"))
        return FitsColumn(name, "1I", rows[name], "pixel", "Event position", cards)

    def sky(name: str, kind: str, value: float, step: float) -> FitsColumn:
        cards = (("TLMIN", 1), ("TLMAX", 1000), ("TCRPX", _CENTRE), ("TCRVL", value), ("TCDLT", step),
                 ("TCTYP", kind), ("TCUNI", "deg"), ("TNULL", -1))  # fmt: skip
        return FitsColumn(name, "1I", rows[name], "pixel", "", cards)

    zeros = np.zeros(count)
    limits = (("TNULL", -4095), ("TLMIN", 0), ("TLMAX", 4095))
    return [
        FitsColumn("TIME", "1D", rows["TIME"], "s", "Event Time (seconds since Jan 2010 00:00:00 UTC)"),
        FitsColumn("PRIOR", "1D", rows["PRIOR"], "s", "Elapsed Livetime Since Prior Event - seconds"),
        *(FitsColumn(name, "1J", zeros, "NA") for name in ("NUMRISE", "DENRISE", "SUBFRM")),
        vector("PREPHAS", "9I", "NA"),
        vector("POSTPHAS", "9I", "NA"),
        FitsColumn("RESET", "1D", zeros, "s"),
        vector("TRIGGERS", "9X", "NA", "Hardware Triggers"),
        flag("DET_ID", "Detector ID (0,1,2,3)"),
        flag("S_CAP", "Starting Cap # (0..15)"),
        flag("HWTRIG", "Number of hardware triggers"),
        flag("RAWX", "X-position of central pixel in raw coordinates"),
        flag("RAWY", "Y-position of central pixel in raw coordinates"),
        *(flag(name, "") for name in ("MODE", "STIM", "UP")),
        flag("SHIELD", "Shield hit flag"),
        *(flag(name, "") for name in ("SHLD_T", "SHLD_HI")),
        FitsColumn("STATUS", "16X", rows["STATUS"], "", "Event Quality Flag"),
        FitsColumn("BADPOS", "8X", np.zeros((count, 8)), "", "Position of neighbor bad pixels"),
        FitsColumn("HOTPOS", "8X", np.zeros((count, 8)), "", "Position of neighbor hot/flickering pixels"),
        vector("RAWPHAS", "9I"),
        vector("OFFPHAS", "9E"),
        vector("TRPHAS", "9E"),
        vector("PHAS", "9E"),
        FitsColumn("GRADE", "1I", rows["GRADE"], "", "Event Grade", (("TLMIN", 0), ("TLMAX", 32))),
        vector("SWTRIG", "9B"),
        vector("PIS_GAIN", "9E", "chan"),
        FitsColumn("SURRPI", "1J", zeros),
        FitsColumn("PI_CLC", "1E", rows["PI"]),
        FitsColumn("PI", "1J", rows["PI"], "chan", "Event Pulse Invariant", limits),
        *(place(name, 360) for name in ("DET1X", "DET1Y")),
        *(place(name, 600) for name in ("DET2X", "DET2Y")),
        sky("X", "RA---TAN", pointing.ra, -_PIXEL_DEG),
        sky("Y", "DEC--TAN", pointing.dec, _PIXEL_DEG),
    ]


def _event_cards() -> list[tuple]:
    return [
        ("HDUCLASS", "OGIP"), ("HDUCLAS1", "EVENTS"), ("HDUCLAS2", "ALL"), ("TSORTKEY", "TIME"),
        ("NUFLAG", True, "Are events flagged (T/F)?"), ("DSTYP1", "GRADE"), ("DSVAL1", "0:32"),
        ("DEPTHCUT", "NOMINAL", "Events depth cut screening"),
    ]  # fmt: skip


def _cards(pointing: FpmPointing, module: str, begin: float, good: np.ndarray) -> list[tuple]:
    end, ontime = begin + pointing.seconds, float(np.diff(good).sum())
    return [
        ("TELESCOP", "NuSTAR", "Telescope (mission) name"), ("INSTRUME", f"FPM{module}", "Instrument name"),
        ("OBS_ID", pointing.obs_id, "Observation ID"), ("OBJECT", pointing.target, "Name of observed object"),
        ("RA_OBJ", pointing.ra, "[deg]"), ("DEC_OBJ", pointing.dec, "[deg]"), ("RA_NOM", pointing.ra, "[deg]"),
        ("DEC_NOM", pointing.dec, "[deg]"), ("RA_PNT", pointing.ra, "[deg]"), ("DEC_PNT", pointing.dec, "[deg]"),
        ("PA_PNT", pointing.roll, "[deg] Position angle (roll)"), ("EQUINOX", 2000.0), ("RADECSYS", "FK5"),
        ("TASSIGN", "SATELLITE"), ("TIMESYS", "TT"), ("MJDREFI", _MJDREFI, "MJD reference day"),
        ("MJDREFF", _MJDREFF, "MJD reference (fraction of day)"), ("TIMEREF", "LOCAL"), ("CLOCKAPP", False),
        ("TIMEUNIT", "s"), ("TIMEZERO", 0.0), ("TSTART", begin, "time start"), ("TSTOP", end, "time stop"),
        ("TELAPSE", end - begin), ("DATE-OBS", iso_date(begin, _MJDREF)), ("DATE-END", iso_date(end, _MJDREF)),
        ("MJD-OBS", _MJDREF + begin / 86400), ("ORIGIN", "daxa sample observatory"), ("DATAMODE", "NONE"),
        ("ONTIME", ontime, "On-source time"), ("EXPOSURE", ontime * DEADC, "Exposure time"),
        ("LIVETIME", ontime * DEADC, "On-source time"), ("DEADC", DEADC, "Deadtime correction"),
        ("DEADAPP", False, "Has DEADC been applied to data"),
    ]  # fmt: skip


def _bad_positions(detector: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([detector, 3])
    return rng.integers(1, 31, 5), rng.integers(1, 31, 5)


def _bad_pixels(module: str, detector: int, cards: list[tuple], good: np.ndarray) -> bytes:
    x, y = _bad_positions(detector)
    limits = (("TLMIN", 0), ("TLMAX", 31))
    columns = [
        FitsColumn("RAWX", "1B", x, "pixel", "X-position in raw detector coordinates", limits),
        FitsColumn("RAWY", "1B", y, "pixel", "Y-position in raw detector coordinates", limits),
        FitsColumn("TIME", "1D", np.full(5, good[0, 0] - 1000), "s", "Start Time of Bad Pixel Interval"),
        FitsColumn("TIME_STOP", "1D", np.full(5, good[-1, 1] + 1000), "s", "Stop Time of Bad Pixel Interval"),
        # Bit 1: disabled on board.
        FitsColumn("BADFLAG", "16X", np.tile(np.arange(16) == 14, (5, 1)), "", "Bad Pixel flag"),
    ]
    return table("BADPIX", columns, [("EXTVER", detector + 1), ("DETNAM", f"DET{detector}"), *cards])
