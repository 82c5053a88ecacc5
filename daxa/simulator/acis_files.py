"""Headers of Chandra files, and the files that go with an event list.

Columns of the aspect solution, the bad pixels, the field of view and the mask are those
that the data products guide of CIAO names.
"""

from __future__ import annotations

import numpy as np

from daxa.simulator.fitsfile import FitsColumn, table
from daxa.simulator.programme import AcisPointing
from daxa.simulator.sky import sphere
from daxa.simulator.times import iso_date

__all__ = [
    "AXIS",
    "CHIPS",
    "MJDREF",
    "PIXEL",
    "aspect",
    "bad_pixels",
    "clock_cards",
    "common_cards",
    "dither",
    "field_of_view",
    "mask",
    "pointing_cards",
    "turn",
]

MJDREF = 50814.0
"""1998-01-01, terrestrial time."""

PIXEL = 0.492
"""Side of a sky pixel, arcsec."""

AXIS = 4096.5
"""Reference pixel of detector and sky coordinates on both axes."""

CHIPS = {  # detx, dety = origin + matrix @ (chipx, chipy), fitted to a real list
    0: ((3056.88, 2973.18), ((0.0, 0.9987), (0.9987, 0.0))),
    1: ((5121.65, 3995.10), ((0.0, -0.9987), (-0.9987, 0.0))),
    2: ((3054.22, 4017.06), ((0.0, 0.9987), (0.9987, 0.0))),
    3: ((5118.92, 5039.58), ((0.0, -0.9987), (-0.9987, 0.0))),
}


def dither(begin: float, time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Offset of the pointing to the east and north, arcsec: 8 arcsec in 1000 and 707 s."""
    phase = 2 * np.pi * (time - begin)
    return 8.0 * np.sin(phase / 1000.0), 8.0 * np.sin(phase / 707.1 + 0.5)


def turn(pointing: AcisPointing, x: np.ndarray, y: np.ndarray, sign: float) -> tuple[np.ndarray, np.ndarray]:
    """Rotate detector offsets to sky offsets (sign 1) or back (sign -1) by the roll angle."""
    cos, sin = np.cos(np.radians(pointing.roll)), sign * np.sin(np.radians(pointing.roll))
    return cos * x + sin * y, -sin * x + cos * y


def clock_cards(pointing: AcisPointing, begin: float) -> list[tuple]:
    """Cards of the time system."""
    return [
        ("TIMESYS", "TT", "Time system"),
        ("MJDREF", MJDREF, "[d] MJD zero point for times"),
        ("TIMEZERO", 0.0, "[s] Clock correction"),
        ("TIMEUNIT", "s", "Time unit"),
        ("CLOCKAPP", True),
        ("TSTART", begin, "[s] Observation start time (MET)"),
        ("TSTOP", begin + pointing.seconds, "[s] Observation end time (MET)"),
    ]


def common_cards(pointing: AcisPointing, begin: float) -> list[tuple]:
    """Cards of every HDU."""
    return [
        ("ORIGIN", "ASC", "Source of FITS file"),
        ("CREATOR", "daxa sample observatory", "tool that created this output"),
        ("DATE-OBS", iso_date(begin, MJDREF), "Observation start date"),
        ("DATE-END", iso_date(begin + pointing.seconds, MJDREF), "Observation end date"),
        ("MJD_OBS", MJDREF + begin / 86400, "Modified Julian date of observation"),
        *clock_cards(pointing, begin),
        ("MISSION", "AXAF", "Mission"),
        ("TELESCOP", "CHANDRA", "Telescope"),
        ("INSTRUME", "ACIS", "Instrument"),
        ("OBS_ID", pointing.obs_id, "Observation id"),
        ("SEQ_NUM", "900001", "Sequence number"),
    ]


def pointing_cards(pointing: AcisPointing) -> list[tuple]:
    """Cards of the pointing and of the instrument."""
    places = [
        card
        for suffix in ("PNT", "NOM")
        for card in (
            (f"RA_{suffix}", pointing.ra, "[deg]"),
            (f"DEC_{suffix}", pointing.dec, "[deg]"),
            (f"ROLL_{suffix}", pointing.roll, "[deg]"),
        )
    ]
    return [
        *places,
        ("RA_TARG", pointing.ra, "[deg] Observer's specified target RA"),
        ("DEC_TARG", pointing.dec, "[deg] Observer's specified target Dec"),
        ("SIM_X", -0.78234819833843, "[mm]"),
        ("SIM_Y", 0.0, "[mm]"),
        ("SIM_Z", -233.58743446083, "[mm]"),
        ("FOC_LEN", 10070.0, "[mm] HRMA focal length"),
        ("GRATING", "NONE", "Grating"),
        ("DETNAM", "ACIS-0123", "Detector"),
        ("OBJECT", pointing.target, "Source name"),
        ("RADESYS", "ICRS"),
        ("EQUINOX", 2000.0),
        ("DATAMODE", "FAINT", "Data mode"),
        ("READMODE", "TIMED", "Read mode"),
        ("OBS_MODE", "POINTING", "Observation mode"),
    ]


def aspect(pointing: AcisPointing, begin: float) -> bytes:
    """The aspect solution."""
    time = begin + np.arange(0.0, pointing.seconds, 1.025)
    east, north = dither(begin, time)
    ra, dec = sphere(east, north, pointing.ra, pointing.dec)
    nothing = np.zeros(len(time))
    names = {"ra": ra, "dec": dec, "roll": nothing + pointing.roll}
    columns = [FitsColumn("time", "1D", time, "s")]
    columns += [FitsColumn(name, "1D", values, "deg") for name, values in names.items()]
    columns += [FitsColumn(f"{name}_err", "1E", nothing, "deg") for name in names]
    columns += [
        FitsColumn("dy", "1E", nothing, "mm"),
        FitsColumn("dz", "1E", nothing, "mm"),
        FitsColumn("dtheta", "1E", nothing, "deg"),
    ]
    return table("ASPSOL", columns, [("CONTENT", "ASPSOL"), *common_cards(pointing, begin), *pointing_cards(pointing)])


def bad_pixels(pointing: AcisPointing, begin: float, chip: int) -> bytes:
    """The bad pixels of one chip."""
    rng = np.random.default_rng([chip, 2])
    x, y = (rng.integers(5, 1020, 6)[:, None].repeat(2, axis=1) for _ in range(2))
    columns = [
        FitsColumn("SHAPE", "9A", np.array(["Point"] * 6)),
        FitsColumn("COMPONENT", "1I", np.arange(1, 7)),
        FitsColumn("CHIPX", "2I", x, "pixel"),
        FitsColumn("CHIPY", "2I", y, "pixel"),
        FitsColumn("TIME", "1D", np.full(6, begin), "s"),
        FitsColumn("TIME_STOP", "1D", np.full(6, begin + pointing.seconds), "s"),
        FitsColumn("STATUS", "32X", np.tile(np.arange(32) == 31, (6, 1))),
    ]
    named = [("EXTVER", chip), ("HDUNAME", f"BADPIX{chip}"), ("CONTENT", "BADPIX"), ("CCD_ID", chip)]
    return table("BADPIX", columns, [*named, *common_cards(pointing, begin)])


def field_of_view(pointing: AcisPointing, begin: float) -> bytes:
    """The outlines of the chips on the sky."""
    corners = np.array([[0.5, 0.5], [1024.5, 0.5], [1024.5, 1024.5], [0.5, 1024.5], [0.5, 0.5]]).T
    outlines = []
    for origin, matrix in CHIPS.values():
        det = np.array(matrix) @ corners + np.array(origin)[:, None] - AXIS
        # Wider by the dither, so that every place that was ever seen lies inside.
        det += 16.3 * np.sign(det - det.mean(axis=1, keepdims=True))
        outlines.append(np.stack(turn(pointing, det[0], det[1], 1.0)))
    outline = np.array(outlines)
    ra, dec = sphere(-outline[:, 0] * PIXEL, outline[:, 1] * PIXEL, pointing.ra, pointing.dec)
    columns = [
        FitsColumn("SHAPE", "16A", np.array(["Polygon"] * len(CHIPS))),
        FitsColumn("X", "5D", outline[:, 0] + AXIS, "pixel"),
        FitsColumn("Y", "5D", outline[:, 1] + AXIS, "pixel"),
        FitsColumn("RA", "5D", ra, "deg"),
        FitsColumn("DEC", "5D", dec, "deg"),
        FitsColumn("COMPONENT", "1I", np.arange(1, len(CHIPS) + 1)),
        FitsColumn("CCD_ID", "1I", np.array(list(CHIPS))),
    ]
    return table("FOV", columns, [("CONTENT", "FOV"), *common_cards(pointing, begin), *pointing_cards(pointing)])


def mask(pointing: AcisPointing, begin: float, chip: int) -> bytes:
    """The part of a chip that was read out."""
    columns = [
        FitsColumn("SHAPE", "16A", np.array(["Rectangle"])),
        FitsColumn("COMPONENT", "1J", np.array([1])),
        FitsColumn("CHIPX", "2J", np.array([[1, 1024]]), "pixel"),
        FitsColumn("CHIPY", "2J", np.array([[1, 1024]]), "pixel"),
        FitsColumn("SAMP_CYC", "1J", np.array([1])),
        FitsColumn("PHAMIN", "1J", np.array([0]), "adu"),
        FitsColumn("PHAMAX", "1J", np.array([4095]), "adu"),
    ]
    named = [("EXTVER", chip), ("HDUNAME", f"MASK{chip}"), ("CONTENT", "MASK"), ("CCD_ID", chip)]
    return table("MASK", columns, [*named, *common_cards(pointing, begin)])
