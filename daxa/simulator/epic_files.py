"""Headers of XMM-Newton files, and the files that go with an event list."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from daxa.simulator.epic import EpicCamera, Frames
from daxa.simulator.fitsfile import FitsColumn, primary, table
from daxa.simulator.programme import EpicPointing
from daxa.simulator.times import iso_date

__all__ = ["CDELT", "MJDREF", "SKY0", "attitude", "background_rate", "calibration_index", "clock_cards", "common_cards"]

MJDREF = 50814.0
"""1998-01-01, terrestrial time."""

SKY0 = 25921
"""Reference pixel of the sky coordinates on both axes."""

CDELT = 0.05 / 3600
"""Side of a sky pixel, degrees."""

_OUT_OF_FOV = 0x10000


def common_cards(camera: EpicCamera, pointing: EpicPointing, begin: float, end: float) -> list[tuple]:
    """Cards of every HDU."""
    return [
        ("DATAMODE", "IMAGING", "Instrument mode (IMAGING or TIMING)"),
        ("TELESCOP", "XMM", "XMM mission"),
        ("INSTRUME", camera.header_name),
        ("OBS_ID", pointing.obs_id, "Observation Identifier"),
        ("EXP_ID", f"{pointing.obs_id}{camera.exposure[1:]}", "Exposure Identifier"),
        ("DATE-OBS", iso_date(begin, MJDREF), "Start time of exposure"),
        ("DATE-END", iso_date(end, MJDREF), "End time of exposure"),
        ("OBS_MODE", "POINTING", "Observation mode (pointing or slew)"),
        ("REVOLUT", int((pointing.start - 51524) / 1.994), "Revolution number"),
        ("OBJECT", pointing.target, "Name of observed object"),
        ("OBSERVER", "Sample Observatory", "Name of observer"),
        ("RA_OBJ", pointing.ra, "[deg] RA of target"),
        ("DEC_OBJ", pointing.dec, "[deg] Dec of target"),
        ("RA_NOM", pointing.ra, "[deg] RA of nominal boresight"),
        ("DEC_NOM", pointing.dec, "[deg] Dec of nominal boresight"),
        ("EXPIDSTR", camera.exposure, "Exposure ID"),
        ("FILTER", "Thin1", "Filter ID"),
        ("ATT_SRC", "AHF", "Source of attitude data (AHF|RAF|THF)"),
        ("SUBMODE", camera.submode, "Guest Observer mode"),
        ("EQUINOX", 2000.0, "Equinox for sky coordinate x/y axes"),
        ("RADECSYS", "FK5", "World coord. system for this file"),
        ("REFXCTYP", "RA---TAN"),
        ("REFXCRPX", SKY0),
        ("REFXCRVL", pointing.ra, "[deg]"),
        ("REFXCDLT", -CDELT, "[deg/pix]"),
        ("REFXLMIN", 1),
        ("REFXLMAX", 51840),
        ("REFXCUNI", "deg"),
        ("REFYCTYP", "DEC--TAN"),
        ("REFYCRPX", SKY0),
        ("REFYCRVL", pointing.dec, "[deg]"),
        ("REFYCDLT", CDELT, "[deg/pix]"),
        ("REFYLMIN", 1),
        ("REFYLMAX", 51840),
        ("REFYCUNI", "deg"),
        ("AVRG_PNT", "MEDIAN", "Meaning of PNT values (mean or median)"),
        ("RA_PNT", pointing.ra, "[deg] Actual (mean) pointing RA of the optical axis"),
        ("DEC_PNT", pointing.dec, "[deg] Actual (mean) pointing Dec of the optical axis"),
        ("PA_PNT", pointing.roll, "[deg] Actual (mean) measured position angle of the telescope"),
    ]


def clock_cards(begin: float, end: float) -> list[tuple]:
    """Cards of the time system."""
    return [
        ("TSTART", begin, "[s] Start time of first frame"),
        ("TSTOP", end, "[s] End time of last frame"),
        ("TELAPSE", end - begin, "[s] Full time interval for the exposure"),
        ("TIMEUNIT", "s", "All times in s unless specified otherwise"),
        ("TIMESYS", "TT", "XMM time will be TT (Terrestrial Time)"),
        ("MJDREF", MJDREF, "[d] 1998-01-01T00:00:00 (TT) expressed in MJD"),
        ("TIMEREF", "LOCAL", "Reference location of photon arrival times"),
        ("TASSIGN", "SATELLITE", "Location of time assignment"),
        ("TIMEZERO", 0.0, "[s] Clock correction (if not zero)"),
        ("CLOCKAPP", True, "Clock correction applied"),
    ]


def calibration_index(camera: EpicCamera) -> bytes:
    """The table of calibration files: one row that says there were none."""
    cells = {
        "TELESCOP": ("4A", "XMM"), "SCOPE": ("6A", camera.header_name), "TYPEID": ("32A", "SIMULATED"),
        "ISSUE": ("I", 0), "VALDATE": ("19A", "1998-01-01T00:00:00"), "VALDATE-END": ("19A", ""),
        "FNAME": ("256A", ""), "DATE": ("19A", "1998-01-01T00:00:00"), "FSIZE": ("J", 0),
        "SUBDATE": ("19A", "1998-01-01T00:00:00"), "EXTSEQU": ("32A", "ANY"), "EXTSEQID": ("256A", ""),
        "MD5": ("32A", ""), "CREATOR": ("64A", "daxa sample observatory"),
    }  # fmt: skip
    units = {"FSIZE": "byte", **dict.fromkeys(("VALDATE", "VALDATE-END", "DATE", "SUBDATE"), "yyyy:dd:mmZhh:mm:ss")}
    columns = [FitsColumn(name, form, np.array([value]), units.get(name, "")) for name, (form, value) in cells.items()]
    return table("CALINDEX", columns, [("CATEGORY", "XMMCCF")])


def background_rate(
    camera: EpicCamera, pointing: EpicPointing, frames: Mapping[int, Frames], rows: Mapping[str, np.ndarray]
) -> list[bytes]:
    """Rate of hard single events in the field: the pipeline's flare time series."""
    begin = min(one.centre[0] for one in frames.values())
    end = max(one.centre[-1] for one in frames.values())
    edges = np.arange(begin, end, 100.0)
    kept = (rows["PATTERN"] == 0) & (rows["PI"] > 10000) & (rows["FLAG"] & _OUT_OF_FOV == 0)
    counts = np.histogram(rows["TIME"][kept], edges)[0]
    # Per ks and square arcminute of the field of view.
    scale = 10.0 / (np.pi * (camera.field[2] * 0.05 / 60) ** 2)
    middle = frames[camera.central]
    live = np.histogram(middle.centre, edges, weights=middle.length * middle.fraction)[0] / 100.0
    columns = [
        FitsColumn("RATE", "E", counts * scale, "count/ks/arcmin**2"),
        FitsColumn("ERROR", "E", np.sqrt(counts) * scale, "count/ks/arcmin**2"),
        FitsColumn("TIME", "D", (edges[1:] + edges[:-1]) / 2, "s"),
        FitsColumn("FRACEXP", "E", np.minimum(live, 1.0)),
    ]
    cards = [*common_cards(camera, pointing, begin, end), *clock_cards(begin, end), ("TIMEDEL", 100.0, "[s]")]
    head = primary([("CREATOR", "daxa sample observatory"), *common_cards(camera, pointing, begin, end)])
    return [head, table("RATE", columns, [*cards, ("HDUCLASS", "OGIP"), ("HDUCLAS1", "LIGHTCURVE")])]


def attitude(pointing: EpicPointing, begin: float, seed: int) -> list[bytes]:
    """The attitude history, one row a second."""
    rng = np.random.default_rng([seed, int(pointing.obs_id), 99])
    time = begin + np.arange(int(pointing.seconds) + 60.0) - 30.0
    # The star tracker's steps are a few hundredths of an arcsecond here: less than a pixel.
    steps = rng.integers(-1, 2, (2, len(time))) * 1e-5
    ra, dec = pointing.ra + steps[0], pointing.dec + steps[1]
    away = np.hypot(steps[0] * np.cos(np.radians(pointing.dec)), steps[1])
    roll = np.full(len(time), pointing.roll)
    columns = [FitsColumn("TIME", "D", time, "sec", "time")]
    for prefix in ("AHF", "OM"):
        columns += [FitsColumn(f"{prefix}{name}", "D", values, "degrees") for name, values in zip(
            ("RA", "DEC", "PA"), (ra, dec, roll), strict=True)]  # fmt: skip
    columns += [FitsColumn(name, "D", away, "degrees") for name in ("DAHFPNT", "DOMPNT")]
    columns.append(FitsColumn("DAHFOM", "D", np.zeros(len(time)), "degrees"))
    end = float(time[-1])
    head = primary([
        ("CREATOR", "daxa sample observatory"), ("TELESCOP", "XMM"), ("OBS_MODE", "POINTING"),
        ("OBS_ID", pointing.obs_id), ("DATE-OBS", iso_date(begin, MJDREF)), ("DATE-END", iso_date(end, MJDREF)),
        ("RA_OBJ", pointing.ra), ("DEC_OBJ", pointing.dec), ("MAHFRA", pointing.ra, "[deg] Median AHF RA"),
        ("MAHFDEC", pointing.dec, "[deg] Median AHF Dec"), ("MAHFPA", pointing.roll, "[deg] Median AHF PA"),
        ("NATT", len(time), "Number of attitude entries"),
    ])  # fmt: skip
    return [head, table("ATTHK", columns)]
