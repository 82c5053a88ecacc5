"""Simulated Chandra ACIS-I observations: ``evt2`` and the files that go with it, and what chandra_repro starts from.

Columns, units, null values and cards follow a real ACIS list of 2016, whose chips lie
where these lie; the focal plane dithers, as the aspect solution says.  A real level 2
list holds good grades in good time only; this one holds others too, so that screening has work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from daxa.simulator.acis_files import (
    AXIS,
    CHIPS,
    MJDREF,
    PIXEL,
    aspect,
    bad_pixels,
    common_cards,
    dither,
    field_of_view,
    mask,
    pointing_cards,
    turn,
)
from daxa.simulator.fitsfile import FitsColumn, checksummed, primary, table, write_fits
from daxa.simulator.programme import AcisPointing
from daxa.simulator.sky import Source, draw_king, draw_photons, draw_power_law, plane
from daxa.simulator.times import mission_seconds

__all__ = ["write_observation", "write_raw_observation"]

_FRAME, _EXPOSED = 3.14104, 3.1
_DTCOR = 0.98693426381071
_TDET = {  # the same for tiled detector coordinates
    0: ((3061, 5132), ((0, 1), (-1, 0))),
    1: ((5132, 4107), ((0, -1), (1, 0))),
    2: ((3061, 4086), ((0, 1), (-1, 0))),
    3: ((5132, 3061), ((0, -1), (1, 0))),
}
# Effective area, rounded from figures of the Proposers' Observatory Guide (after contamination).
_AREA = ((0.3, 0.6, 1.0, 1.5, 2.0, 4.0, 6.0, 7.0, 8.0, 10.0), (0.0, 20, 220, 560, 420, 370, 260, 180, 90, 5))
_OUTSIDE = 0.01


def write_observation(root: Path, pointing: AcisPointing, sources: Sequence[Source], *, seed: int) -> float:
    """Write the directory of one observation; return its live time in seconds."""
    rng = np.random.default_rng([seed, int(pointing.obs_id)])
    begin = mission_seconds(pointing.start, MJDREF)
    gtis = {chip: _good(begin + 0.04 * chip, pointing.seconds) for chip in CHIPS}
    rows = _events(rng, pointing, begin, gtis, sources)
    stem, head = f"acisf{pointing.obs_id:>05}", [_primary(pointing, begin)]
    files = {
        f"primary/{stem}N001_evt2.fits.gz": _event_tables(pointing, begin, gtis, rows),
        f"primary/pcadf{pointing.obs_id:>05}_000N001_asol1.fits.gz": [aspect(pointing, begin)],
        f"primary/{stem}_000N001_bpix1.fits.gz": [bad_pixels(pointing, begin, chip) for chip in CHIPS],
        f"primary/{stem}_000N001_fov1.fits.gz": [field_of_view(pointing, begin)],
        f"secondary/{stem}_000N001_msk1.fits.gz": [mask(pointing, begin, chip) for chip in CHIPS],
    }
    for path, hdus in files.items():
        write_fits(root / path, [*head, *(checksummed(hdu) for hdu in hdus)])
    (root / "00README").write_text(f"Simulated observation {pointing.obs_id}\n", encoding="ascii")
    return float(np.diff(gtis[3]).sum()) * _DTCOR


def write_raw_observation(root: Path, pointing: AcisPointing, sources: Sequence[Source], *, seed: int) -> None:
    """Write an observation with its level 1 list, good times, and tables that chandra_repro reads beside them.

    The level 1 list holds what the level 2 list of the same observation does, which here is all events.
    """
    write_observation(root, pointing, sources, seed=seed)
    rng = np.random.default_rng([seed, int(pointing.obs_id)])
    begin = mission_seconds(pointing.start, MJDREF)
    gtis = {chip: _good(begin + 0.04 * chip, pointing.seconds) for chip in CHIPS}
    tables = _event_tables(pointing, begin, gtis, _events(rng, pointing, begin, gtis, sources), level=1)
    stem, head = f"secondary/acisf{pointing.obs_id:>05}_000N001", _primary(pointing, begin)
    time = FitsColumn("time", "1D", begin + np.arange(0.0, pointing.seconds, 32.8), "s")
    nothing, cards = np.zeros(len(time.values)), common_cards(pointing, begin)
    for end, hdus in {
        "evt1": tables,
        "flt1": tables[1:],
        "mtl1": [table("MTL", [time, FitsColumn("FP_TEMP", "1E", nothing + 153.6, "K")], cards)],
        "stat1": [table("STAT", [time, FitsColumn("DTCOR", "1E", nothing + _DTCOR)], cards)],
        "pbk0": [table("ACISPBLK", [FitsColumn("FEP_ID", "1I", nothing[:4])], cards)],
    }.items():
        write_fits(root / f"{stem}_{end}.fits.gz", [head, *(checksummed(hdu) for hdu in hdus)])


def _good(begin: float, seconds: float) -> np.ndarray:
    return np.array([[begin + 5.0, begin + 0.42 * seconds], [begin + 0.45 * seconds, begin + seconds - 8.0]])


def _events(
    rng: np.random.Generator,
    pointing: AcisPointing,
    begin: float,
    gtis: Mapping[int, np.ndarray],
    sources: Sequence[Source],
) -> dict[str, np.ndarray]:
    seconds = float(np.diff(gtis[3]).sum()) * _DTCOR * (1 + _OUTSIDE)
    east, north, energy = _celestial(rng, pointing, seconds, sources)
    particles, flare = rng.poisson(0.32 * len(CHIPS) * seconds), 0
    if pointing.flare:
        a, b, rate = pointing.flare
        flare = rng.poisson(rate * len(CHIPS) * (b - a) * pointing.seconds)
    chip = rng.choice(list(CHIPS), particles + flare)
    x, y = (2 + rng.integers(0, 1022, len(chip)) for _ in range(2))
    energy = np.concatenate([
        energy,
        draw_power_law(rng, particles, 0.3, (0.3, 12.0)),
        draw_power_law(rng, flare, 0.9, (0.3, 12.0)),
    ])  # fmt: skip
    time = _draw_times(rng, pointing, begin, gtis[3], count=len(energy), flare=flare)
    # Photons reach the chips through the dithering focal plane; particles do not care.
    shift = dither(begin, time[: len(east)])
    detx, dety = turn(pointing, -(east - shift[0]) / PIXEL, (north - shift[1]) / PIXEL, -1.0)
    hit, chipx, chipy = _locate(detx + AXIS, dety + AXIS)
    rows = {
        "ccd_id": np.concatenate([hit, chip]),
        "chipx": np.concatenate([chipx, x]),
        "chipy": np.concatenate([chipy, y]),
        "energy": energy * 1000,
        "time": time,
        "proton": np.arange(len(energy)) >= len(east),
    }
    kept = rows["ccd_id"] >= 0
    order = np.argsort(rows["time"][kept], kind="stable")
    return _measured(rng, pointing, begin, {name: values[kept][order] for name, values in rows.items()})


def _celestial(
    rng: np.random.Generator, pointing: AcisPointing, seconds: float, sources: Sequence[Source]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    easts, norths, photons = [], [], []
    for source in sources:
        kev = draw_photons(rng, source, _AREA, seconds, (0.3, 10.0))
        x, y = plane(source.ra, source.dec, pointing.ra, pointing.dec)
        # The image widens with the square of the distance from the axis.
        away = np.hypot(x, y) / 60
        width = 0.4 + 0.045 * away**2
        spread = rng.normal(0.0, width, (2, len(kev)))
        if source.core:
            spread = np.add(spread, draw_king(rng, len(kev), source.core, 1.5, 480.0))
        easts.append(x + spread[0])
        norths.append(y + spread[1])
        photons.append(kev)
    count = rng.poisson(0.25 * seconds)
    easts.append(rng.uniform(-900, 900, count))
    norths.append(rng.uniform(-900, 900, count))
    photons.append(draw_power_law(rng, count, 2.0, (0.4, 8.0)))
    east, north, energy = (np.concatenate(parts) for parts in (easts, norths, photons))
    away = np.hypot(east, north) / 60
    kept = rng.random(len(east)) < 1.0 / (1.0 + (away / 16.0) ** 2)
    return east[kept], north[kept], energy[kept]


def _draw_times(
    rng: np.random.Generator, pointing: AcisPointing, begin: float, good: np.ndarray, *, count: int, flare: int
) -> np.ndarray:
    lengths = np.diff(good)[:, 0]
    place = rng.random(count) * lengths.sum()
    time = np.where(place < lengths[0], good[0, 0] + place, good[1, 0] + place - lengths[0])
    if pointing.flare and flare:
        first, last, _ = pointing.flare
        time[-flare:] = begin + pointing.seconds * rng.uniform(first, last, flare)
    stray = rng.random(count) < _OUTSIDE
    time[stray] = rng.uniform(good[0, 1] + _FRAME, good[1, 0] - _FRAME, stray.sum())
    # An event carries the middle of its frame.
    return begin + (np.floor((time - begin) / _FRAME) + 0.5) * _FRAME


def _locate(detx: np.ndarray, dety: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    chip, x, y = np.full(len(detx), -1), np.zeros(len(detx), dtype=int), np.zeros(len(detx), dtype=int)
    for number, (origin, ((_, b), (c, _))) in CHIPS.items():
        chipx, chipy = np.rint((dety - origin[1]) / c).astype(int), np.rint((detx - origin[0]) / b).astype(int)
        # The outermost pixels give no events.
        here = (chip < 0) & (chipx >= 2) & (chipx <= 1023) & (chipy >= 2) & (chipy <= 1023)
        chip[here], x[here], y[here] = number, chipx[here], chipy[here]
    return chip, x, y


def _measured(
    rng: np.random.Generator, pointing: AcisPointing, begin: float, rows: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    count = len(rows["time"])
    pixels = np.stack([rows["chipx"], rows["chipy"]]).astype(float)
    inside = pixels + rng.random((2, count)) - 0.5
    det, tdet = np.zeros((2, count)), np.zeros((2, count))
    for chip in CHIPS:
        here = rows["ccd_id"] == chip
        det[:, here] = np.array(CHIPS[chip][1]) @ inside[:, here] + np.array(CHIPS[chip][0])[:, None]
        tdet[:, here] = np.array(_TDET[chip][1]) @ pixels[:, here] + np.array(_TDET[chip][0])[:, None]
    shift = dither(begin, rows["time"])
    x, y = turn(pointing, det[0] - AXIS, det[1] - AXIS, 1.0)
    energy = np.maximum(rows["energy"] + rng.normal(0.0, 55.0, count), 120.0)
    bad = rows["proton"] & (rng.random(count) < 0.08)
    grades = np.where(
        bad, rng.choice([1, 5, 7], count), rng.choice([0, 2, 3, 4, 6], count, p=(0.5, 0.2, 0.1, 0.1, 0.1))
    )
    status = np.zeros((count, 32), dtype=bool)
    # Bits 16 to 19 mark afterglow candidates (the last bit is bit 0).
    status[:, 31 - 16] = rows["proton"] & (rng.random(count) < 0.02)
    return {
        **rows,
        "node_id": (rows["chipx"] - 1) // 256,
        "expno": np.rint((rows["time"] - begin) / _FRAME - 0.5) + 3,
        "tdetx": tdet[0],
        "tdety": tdet[1],
        "detx": det[0],
        "dety": det[1],
        "x": x + AXIS - shift[0] / PIXEL,
        "y": y + AXIS + shift[1] / PIXEL,
        "energy": energy,
        "pha": np.rint(energy / 3.9),
        "pha_ro": np.rint(energy / 4.3),
        "pi": np.minimum(np.floor(energy.astype(np.float32) / 14.6) + 1, 1024),
        "fltgrade": np.choose(grades, [0, 1, 2, 8, 16, 24, 22, 255]),
        "grade": grades,
        "status": status,
    }


def _primary(pointing: AcisPointing, begin: float) -> bytes:
    return checksummed(primary([("HDUNAME", "PRIMARY"), *common_cards(pointing, begin)]), blank_datasum=True)


def _event_tables(
    pointing: AcisPointing,
    begin: float,
    gtis: Mapping[int, np.ndarray],
    rows: Mapping[str, np.ndarray],
    *,
    level: int = 2,
) -> list[bytes]:
    ontime = {chip: float(np.diff(good).sum()) for chip, good in gtis.items()}
    times = [("ONTIME", ontime[3], "[s] Sum of GTIs"), *((f"ONTIME{chip}", value) for chip, value in ontime.items())]
    for whole, each in (("LIVETIME", "LIVTIME"), ("EXPOSURE", "EXPOSUR")):
        times += [(whole, ontime[3] * _DTCOR, "[s]")]
        times += [(f"{each}{chip}", value * _DTCOR, "[s]") for chip, value in ontime.items()]
    cards = [
        ("CONTENT", f"EVT{level}", "What data product"), ("HDUCLASS", "OGIP"), ("HDUCLAS1", "EVENTS"),
        ("HDUCLAS2", "ACCEPTED" if level == 2 else "ALL"), *common_cards(pointing, begin), *pointing_cards(pointing),
        ("TIMEREF", "LOCAL"), ("TASSIGN", "SATELLITE"), ("TIMEPIXR", 0.5), ("TIMEDEL", _FRAME),
        ("EXPTIME", _EXPOSED, "[s]"), ("FIRSTROW", 1), ("NROWS", 1024), ("CCD_ID", 3, "CCD ID: 0-9"), *times,
        ("DTCOR", _DTCOR, "Dead time correction"), ("ASPTYPE", "KALMAN"), *_subspace(gtis),
        ("MTYPE1", "sky"), ("MFORM1", "x,y", "[pixel]"), ("MTYPE2", "EQPOS"), ("MFORM2", "RA,DEC", "[deg]"),
    ]  # fmt: skip
    tables = [table("EVENTS", _columns(pointing, rows), cards)]
    for chip, good in gtis.items():
        columns = [FitsColumn("START", "1D", good[:, 0], "s"), FitsColumn("STOP", "1D", good[:, 1], "s")]
        named = [("EXTVER", chip), ("HDUNAME", f"GTI{chip}"), *common_cards(pointing, begin), ("CCD_ID", chip)]
        tables.append(table("GTI", columns, named))
    return tables


def _subspace(gtis: Mapping[int, np.ndarray]) -> list[tuple]:
    cards = [("DSTYP1", "time"), ("DSVAL1", "TABLE", "[s]"), ("DSFORM1", "D"), ("DSTYP2", "ccd_id"), ("DSFORM2", "I")]
    for i, chip in enumerate(gtis, start=1):
        prefix = "" if i == 1 else str(i)
        cards += [(f"{prefix}DSREF1", f":GTI{chip}"), (f"{prefix}DSVAL2", f"{chip}:{chip}")]
    return cards


def _columns(pointing: AcisPointing, rows: Mapping[str, np.ndarray]) -> list[FitsColumn]:
    def limits(first: float, last: float, null: int | None = None) -> tuple[tuple, ...]:
        return (("TLMIN", first), ("TLMAX", last), *([("TNULL", null)] if null is not None else []))

    def sky(name: str, kind: str, value: float, step: float, form: str = "RA") -> FitsColumn:
        cards = (*limits(0.5, 8192.5), ("TCTYP", kind), ("TCRVL", value), ("TCRPX", AXIS), ("TCDLT", step),
                 ("TCUNI", "deg"))  # fmt: skip
        return FitsColumn(name, "1E", rows[name], "pixel", f"{form} coordinates", cards)

    def chip(name: str) -> FitsColumn:
        cards = (*limits(1, 1024), ("TCTYP", f"CPC{name[-1].upper()}"), ("TCRVL", 0.0), ("TCRPX", 0.5),
                 ("TCDLT", 0.023987), ("TCUNI", "mm"))  # fmt: skip
        return FitsColumn(name, "1I", rows[name], "pixel", "Chip coords", cards)

    step = PIXEL / 3600
    return [
        FitsColumn("time", "1D", rows["time"], "s", "S/C TT corresponding to mid-exposure"),
        FitsColumn("ccd_id", "1I", rows["ccd_id"], "", "CCD reporting event", limits(0, 9)),
        FitsColumn("node_id", "1I", rows["node_id"], "", "CCD serial readout amplifier node", limits(0, 3)),
        FitsColumn("expno", "1J", rows["expno"], "", "Exposure number of CCD frame containing event", (("TLMIN", 0),)),
        chip("chipx"),
        chip("chipy"),
        FitsColumn("tdetx", "1I", rows["tdetx"], "pixel", "ACIS tiled detector coordinates", limits(1, 8192, 9999)),
        FitsColumn("tdety", "1I", rows["tdety"], "pixel", "ACIS tiled detector coordinates", limits(1, 8192, 9999)),
        sky("detx", "LONG-TAN", 0.0, step, "ACIS detector"),
        sky("dety", "NPOL-TAN", 0.0, step, "ACIS detector"),
        sky("x", "RA---TAN", pointing.ra, -step, "sky"),
        sky("y", "DEC--TAN", pointing.dec, step, "sky"),
        FitsColumn("pha", "1J", rows["pha"], "adu", "total pulse height of event", limits(0, 36855, 0)),
        FitsColumn("pha_ro", "1J", rows["pha_ro"], "adu", "total read-out pulse height of event", limits(0, 36855, 0)),
        FitsColumn("energy", "1E", rows["energy"], "eV", "nominal energy of event (eV)", limits(0.0, 1.0e6)),
        FitsColumn("pi", "1J", rows["pi"], "chan", "pulse invariant energy of event", limits(1, 1024, 0)),
        FitsColumn("fltgrade", "1I", rows["fltgrade"], "", "event grade, flight system", limits(0, 255)),
        FitsColumn("grade", "1I", rows["grade"], "", "binned event grade", limits(0, 7)),
        FitsColumn("status", "32X", rows["status"], "", "event status bits"),
    ]
