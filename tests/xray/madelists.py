"""Event lists as the missions' headers and columns describe them, for missions without a real one.

Every file says SIMULATD.  Columns, keywords and their types follow the missions' format
documents; the values are random, half of the events forbidden by something.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from astropy.io import fits

START = 2.0e8


@dataclass(frozen=True)
class Choice:
    """A screened column: its TFORM, values that are kept and values that are not."""

    form: str
    good: tuple[int, ...]
    bad: tuple[int, ...] = ()


@dataclass(frozen=True)
class MadeList:
    """What distinguishes the lists of one instrument.

    `sky` holds TFORM, reference pixel, degrees per pixel, projection and legal range of X and
    Y; `energies` TFORM and range of the channels, `kept` those that the screening keeps;
    `gtis` the names of the good time tables, one per chip of `chips`, or one for all.
    """

    cards: dict[str, object]
    columns: dict[str, Choice]
    pi: str = "PI"
    energies: tuple[str, int, int] = ("I", 0, 1023)
    band: tuple[int, int] = (50, 700)
    kept: tuple[int, int] | None = None
    sky: tuple[str, float, float, str, tuple[int, int]] | None = None
    names: tuple[str, str] = ("X", "Y")
    null: int | None = None
    pixel: float = 0.0
    table: str = "EVENTS"
    time: str = "TIME"
    unit: str = "s"
    gtis: tuple[str, ...] = ("GTI",)
    chips: tuple[int, ...] = ()
    chip: str = ""
    clock: dict[str, object] = field(default_factory=lambda: {"MJDREFI": 50814, "MJDREFF": 0.0, "TIMESYS": "TT"})
    live: float | None = None


def bits(width: int, *places: int) -> int:
    """A bit column's value with the bits at these places set; 1 is the first."""
    return sum(1 << (width - place) for place in places)


_HRC_I = "xxxxxx00xxxx0xxx00000000x0000000"
_HRC_S = "xxxxxx00xxxx0xxx0000x000x00000xx"


def _hrc(name: str, status: str, crpix: float, last: int) -> MadeList:
    free = [place for place, sign in enumerate(status, 1) if sign == "x"]
    held = [place for place, sign in enumerate(status, 1) if sign == "0"]
    return MadeList(
        {
            "TELESCOP": "CHANDRA",
            "INSTRUME": "HRC",
            "DETNAM": name,
            "OBS_ID": "1234",
            "DTCOR": 0.991,
            "SIM_Z": 126.98,
            "ROLL_NOM": 30.0,
        },
        {"status": Choice("32X", (0, *(bits(32, p) for p in free)), tuple(bits(32, p) for p in held))},
        pi="pi",
        energies=("I", 0, 1023),
        band=(48, 293),
        sky=("E", crpix, 3.661e-5, "TAN", (1, last)),
        names=("x", "y"),
        pixel=2.1088,
        time="time",
        live=0.991,
    )


def _erosita(mode: str, obs_id: str) -> MadeList:
    return MadeList(
        {"TELESCOP": "eROSITA", "INSTRUME": "MERGED", "OBS_MODE": mode, "OBS_ID": obs_id},
        {
            "FLAG": Choice("J", (0, 1 << 12 >> 12, 2, 8, 1 << 20), (16, 32, 256, 32768, 1 << 30, -(1 << 31))),
            "PAT_TYP": Choice("B", (1, 2, 3, 4), (0, 5)),
        },
        energies=("E", 200, 9000),
        band=(500, 1999),
        sky=("J", 0.0, 0.05 / 3600, "SIN", (-129_600, 129_600)),
        pixel=16.0,
        gtis=("GTI1", "GTI2", "GTI5"),
        chips=(1, 2, 5),
        chip="TM_NR",
        clock={"MJDREF": 51543.875, "TIMESYS": "TT"},
    )


_SUZAKU_STATUS = Choice("J", (0, 1, 65536, 524287), (524288, 1 << 20, (1 << 30) + 1))
_CCD = (0, 2, 3, 4, 6)

MADE = {
    "xmm-pn": MadeList(
        {"TELESCOP": "XMM", "INSTRUME": "EPN", "OBS_ID": "0123456789", "EXPIDSTR": "S003", "DATAMODE": "IMAGING"},
        {
            "FLAG": Choice("J", (0,), (1, 2, 1 << 16, 1 << 21, -(1 << 31))),
            "PATTERN": Choice("B", (0, 1, 2, 3, 4), (5, 12, 255)),
        },
        energies=("I", 100, 12000),
        band=(500, 2000),
        sky=("J", 25921.0, 0.05 / 3600, "TAN", (1, 51840)),
        pixel=20.0,
        gtis=("GTI00005", "GTI00105", "GTI01105"),
        chips=(1, 4, 12),
        chip="CCDNR",
        clock={"MJDREF": 50814.0, "TIMESYS": "TT", "TIMEZERO": 0.0},
    ),
    "chandra-hrc-i": _hrc("HRC-I", _HRC_I, 16384.5, 32768),
    "chandra-hrc-s": _hrc("HRC-S", _HRC_S, 32768.5, 65536),
    "nicer": MadeList(
        {"TELESCOP": "NICER", "INSTRUME": "XTI", "OBS_ID": "1034200101", "DATAMODE": "PHOTON"},
        {
            "EVENT_FLAGS": Choice(
                "8X",
                (bits(8, 4), bits(8, 3, 4), bits(8, 4, 5)),
                (0, bits(8, 5), bits(8, 4, 6), bits(8, 4, 7), bits(8, 4, 8)),
            ),
        },
        energies=("I", 20, 1500),
        band=(40, 199),
        clock={"MJDREFI": 56658, "MJDREFF": 7.775925925925930e-4, "TIMESYS": "TT", "TIMEZERO": -1.0},
    ),
    "swift-pc": MadeList(
        {"TELESCOP": "SWIFT", "INSTRUME": "XRT", "DATAMODE": "PHOTON", "OBS_ID": "00092220001", "DEADC": 0.996},
        {
            "GRADE": Choice("I", (0, 5, 12), (13, 32, -1)),
            "STATUS": Choice("16X", (0,), tuple(bits(16, place) for place in range(1, 17))),
        },
        band=(30, 1000),
        sky=("I", 500.5, 6.548089e-4, "TAN", (1, 1000)),
        pixel=2.35731,
        clock={"MJDREFI": 51910, "MJDREFF": 7.4287037e-4, "TIMESYS": "TT", "TIMEZERO": 0.0},
        live=0.996,
    ),
    "swift-wt": MadeList(
        {"TELESCOP": "SWIFT", "INSTRUME": "XRT", "DATAMODE": "WINDOWED", "OBS_ID": "00684098000", "DEADC": 0.99835},
        {
            "GRADE": Choice("I", (0, 1, 2), (3, 5, 12)),
            "STATUS": Choice("16X", (0,), tuple(bits(16, place) for place in range(1, 17))),
        },
        band=(30, 1000),
        sky=("I", 500.5, 6.548089e-4, "TAN", (1, 1000)),
        clock={"MJDREFI": 51910, "MJDREFF": 7.4287037e-4, "TIMESYS": "TT"},
        live=0.99835,
    ),
    "erosita-survey": _erosita("SURVEY", ""),
    "erosita-scan": _erosita("SCAN", "300007"),
    "rosat-hri": MadeList(
        {"TELESCOP": "ROSAT", "INSTRUME": "HRI", "OBS_ID": "US800446H-1.N1", "OBS_MODE": "POINTING"},
        {},
        pi="PHA",
        energies=("I", 0, 15),
        band=(2, 10),
        kept=(2, 10),
        sky=("I", 4096.0, 0.5 / 3600, "TAN", (1, 8192)),
        pixel=5.0,
        table="STDEVT",
        gtis=("STDGTI",),
        clock={"MJDREFI": 48043, "MJDREFF": 0.8797453704, "TIMESYS": "MJD"},
    ),
    "rass": MadeList(
        {"TELESCOP": "ROSAT", "INSTRUME": "PSPCC", "OBS_ID": "RS931844N00", "OBS_MODE": "SCAN", "DTCOR": 0.97},
        {},
        energies=("I", 8, 401),
        band=(52, 201),
        sky=("I", 23040.5, 0.5 / 3600, "TAN", (1, 32767)),
        pixel=45.0,
        table="STDEVT",
        gtis=("STDGTI",),
        clock={"MJDREFI": 48043, "MJDREFF": 0.8797453704},
        live=0.97,
    ),
    "suzaku-xis1": MadeList(
        {"TELESCOP": "SUZAKU", "INSTRUME": "XIS1", "OBS_ID": "801064010", "DATAMODE": "STANDARD", "DEADC": 1.0},
        {"GRADE": Choice("J", _CCD, (1, 5, 7)), "STATUS": _SUZAKU_STATUS, "SEGMENT": Choice("J", (0, 1, 2, 3))},
        energies=("J", 0, 4095),
        band=(137, 548),
        sky=("J", 768.5, 2.895e-4, "TAN", (1, 1536)),
        pixel=8.3376,
        clock={"MJDREFI": 51544, "MJDREFF": 7.4287037e-4, "TIMESYS": "TT"},
    ),
    "asca-sis0": MadeList(
        {"TELESCOP": "ASCA", "INSTRUME": "SIS0", "DATAMODE": "BRIGHT", "DEADC": 1.0},
        {"GRADE": Choice("I", (0, 2, 3, 4), (1, 5, 6, 7)), "CCDID": Choice("I", (0, 1))},
        energies=("I", 0, 4095),
        band=(137, 548),
        sky=("I", 640.5, 1.59 / 3600, "TAN", (1, 1280)),
        pixel=6.36,
        gtis=("STDGTI",),
        clock={"MJDREF": 48988.0, "TIMESYS": "1993.0"},
    ),
    "asca-gis2": MadeList(
        {"TELESCOP": "ASCA", "INSTRUME": "GIS2", "DATAMODE": "PH", "DEADC": 0.98},
        {"RISE_TIME": Choice("I", (10, 100))},
        band=(60, 170),
        sky=("I", 128.5, 14.73 / 3600, "TAN", (1, 256)),
        pixel=14.73,
        gtis=("STDGTI",),
        clock={"MJDREF": 48988.0, "TIMESYS": "1993.0"},
        live=0.98,
    ),
    "xrism-xtend": MadeList(
        {"TELESCOP": "XRISM", "INSTRUME": "XTEND", "OBS_ID": "000154000", "DATAMODE": "WINDOW1", "DEADC": 0.95},
        {
            "GRADE": Choice("B", _CCD, (1, 5, 7)),
            "STATUS": Choice("48X", (0, bits(48, 2), bits(48, 48), bits(48, 9)), (bits(48, 1),)),
        },
        energies=("J", 0, 4095),
        band=(84, 333),
        sky=("I", 1215.5, 1.768 / 3600, "TAN", (1, 2430)),
        pixel=14.144,
        clock={"MJDREFI": 58484, "MJDREFF": 8.00740740741e-4, "TIMESYS": "TT"},
        live=0.95,
    ),
    "xrism-resolve": MadeList(
        {"TELESCOP": "XRISM", "INSTRUME": "RESOLVE", "OBS_ID": "000154000", "DATAMODE": "PX_NORMAL"},
        {
            "RISE_TIME": Choice("I", (47, 52)),
            "DERIV_MAX": Choice("I", (0, 1333)),
            "ITYPE": Choice("B", (0, 1, 2, 3, 4), (5, 6)),
            "PIXEL": Choice("I", (0, 11, 13, 27, 35), (12,)),
            "STATUS": Choice("16X", (0, bits(16, 1), bits(16, 5), bits(16, 16)), (bits(16, 4), 0xFFFF)),
        },
        energies=("J", 600, 59999),
        band=(4000, 20000),
        sky=("I", 1215.5, 1.768 / 3600, "TAN", (1, 2430)),
        clock={"MJDREFI": 58484, "MJDREFF": 8.00740740741e-4, "TIMESYS": "TT"},
    ),
    "hitomi-sxi": MadeList(
        {"TELESCOP": "HITOMI", "INSTRUME": "SXI", "OBS_ID": "100040010", "DEADC": 0.9},
        {"GRADE": Choice("B", _CCD), "STATUS": Choice("48X", (0,))},
        energies=("J", 0, 4095),
        band=(84, 333),
        sky=("I", 1215.5, 1.768 / 3600, "TAN", (1, 2430)),
        pixel=14.144,
        clock={"MJDREFI": 56658, "MJDREFF": 7.77592592593e-4, "TIMESYS": "TT"},
        live=0.9,
    ),
    "ixpe-du2": MadeList(
        {
            "TELESCOP": "IXPE", "INSTRUME": "GPD", "DETNAM": "DU2", "OBS_ID": "01903701",
            "ONTIME": 36504.0, "LIVETIME": 36342.0, "DEADC": 1.0,
        },
        {"STATUS": Choice("16X", (0, 1)), "W_MOM": Choice("E", (0, 1))},
        energies=("J", 0, 374),
        band=(50, 199),
        sky=("E", 300.0, 2.6 / 3600, "TAN", (1, 600)),
        pixel=5.2,
        clock={"MJDREFI": 57754, "MJDREFF": 8.0074074074e-4, "TIMESYS": "TT", "TIMEZERO": 0.0},
        live=36342.0 / 36504.0,
    ),
    "einstein-ipc": MadeList(
        {"TELESCOP": "EINSTEIN", "INSTRUME": "IPC", "OBS_ID": "8102", "DTCOR": 0.9583015},
        {},
        energies=("I", 0, 15),
        band=(2, 10),
        sky=("I", 512.0, 8.0 / 3600, "TAN", (1, 1024)),
        pixel=16.0,
        clock={"MJDREFI": 43508, "MJDREFF": 0.0, "TIMESYS": "UNKNOWN"},
        live=0.9583015,
    ),
    "bepposax-mecs2": MadeList(
        {"TELESCOP": "BeppoSAX", "INSTRUME": "MECS2", "OBS_ID": "1"},
        {},
        energies=("I", 0, 255),
        band=(30, 200),
        sky=("I", 128.5, 20.0 / 3600, "TAN", (1, 256)),
        pixel=20.0,
        gtis=("ALLGTI",),
        clock={"MJDREF": 50082.0, "TIMESYS": "TT"},
    ),
    "integral-isgri": MadeList(
        {"TELESCOP": "INTEGRAL", "INSTRUME": "IBIS", "DETNAM": "ISGRI", "DEADC": 0.733204707992993},
        {"ISGRI_Y": Choice("B", (0, 127))},
        pi="ISGRI_PHA",
        energies=("I", 0, 2047),
        band=(40, 500),
        table="ISGR-EVTS-ALL",
        unit="d",
        gtis=("IBIS-GNRL-GTI",),
        clock={"MJDREF": 51544.0, "TIMESYS": "TT", "TIMEUNIT": "d"},
        live=0.733204707992993,
    ),
    "integral-jemx1": MadeList(
        {"TELESCOP": "INTEGRAL", "INSTRUME": "JMX1", "DEADC": 0.85},
        {},
        energies=("B", 0, 255),
        band=(40, 200),
        table="JMX1-FULL-ALL",
        unit="d",
        gtis=("JMX1-GNRL-GTI",),
        clock={"MJDREF": 51544.0, "TIMESYS": "TT", "TIMEUNIT": "d"},
        live=0.85,
    ),
}  # fmt: skip

IMAGING = tuple(name for name, made in MADE.items() if made.pixel)


def make_list(name: str, path: Path, *, seed: int = 1, count: int = 3000, clean: bool = False) -> Path:
    """Write the list of this name; with `clean`, no event is forbidden by its columns or its time."""
    made, random = MADE[name], np.random.default_rng(seed)
    intervals = {table: _intervals(random) for table in made.gtis}
    chips = random.choice(made.chips or (0,), count)
    if not clean and made.chip:
        chips[: count // 20] = 3
    columns = [fits.Column(made.time, "D", unit=made.unit, array=_times(made, random, chips, intervals, clean))]
    if made.chip:
        columns.append(fits.Column(made.chip, "B", array=chips))
    columns.append(fits.Column(made.pi, made.energies[0], array=_channels(made, random, count, clean)))
    for column, choice in made.columns.items():
        columns.append(_column(column, choice, random, count, clean))
    if made.sky:
        columns += _positions(made, random, count, clean)
    table = fits.BinTableHDU.from_columns(columns, name=made.table)
    table.header["HDUCLASS"], table.header["HDUCLAS1"] = "OGIP", "EVENTS"
    cards = {**made.cards, **made.clock, "OBJECT": "made for a test", "SIMULATD": True}
    cards |= {"RA_NOM": 150.0, "DEC_NOM": -11.0, "RADESYS": "FK5", "EQUINOX": 2000.0}
    for key, value in cards.items():
        table.header[key] = value
    if made.sky:
        _world(made, table.header, len(columns))
    if name == "xmm-pn":
        _subspace(made, table.header)
    primary = fits.PrimaryHDU()
    for key in ("TELESCOP", "INSTRUME", "SIMULATD"):
        primary.header[key] = cards[key]
    tables = [_gti_table(made, table_name, pairs) for table_name, pairs in intervals.items()]
    tables += [_companion(name, chip, random) for chip in made.chips]
    fits.HDUList([primary, table, *tables]).writeto(path)
    return path


def _intervals(random: np.random.Generator) -> np.ndarray:
    edges = np.sort(random.choice(4000, 12, replace=False)) * 2.0 + START
    return edges.reshape(-1, 2)


def _times(made, random, chips, intervals, clean) -> np.ndarray:
    """Multiples of a quarter of a second, never a stop, where CFITSIO and we differ by intention."""
    times = START + random.integers(0, 32_000, len(chips)) * 0.25 + 0.125
    starts = np.concatenate([pairs[:, 0] for pairs in intervals.values()])
    some = random.random(len(times)) < 0.05
    times[some] = random.choice(starts, some.sum())
    if clean:
        for number, pairs in enumerate(intervals.values()):
            own = (chips == made.chips[number]) if made.chips else np.ones(len(chips), dtype=bool)
            which = random.integers(0, len(pairs), own.sum())
            times[own] = pairs[which, 0] + random.random(own.sum()) * (pairs[which, 1] - pairs[which, 0]) * 0.999
    return times / 86400.0 if made.unit == "d" else times


def _channels(made, random, count, clean) -> np.ndarray:
    form, low, high = made.energies
    values = random.integers(low, high + 1, count)
    edges = np.array([made.band[0] - 1, made.band[0], made.band[1], made.band[1] + 1])
    some = random.random(count) < 0.1
    values[some] = random.choice(edges[(edges >= 0) & (edges <= 2 * high)], some.sum())
    if clean and made.kept:
        values = np.clip(values, *made.kept)
    return values + random.random(count).astype(np.float32) if form == "E" else values


def _column(name, choice, random, count, clean) -> fits.Column:
    values = random.choice(np.array(choice.good, dtype=np.int64), count)
    if choice.bad and not clean:
        some = random.random(count) < 0.15
        values[some] = random.choice(np.array(choice.bad, dtype=np.int64), some.sum())
    if choice.form.endswith("X"):
        width = int(choice.form[:-1])
        shifts = np.arange(width - 1, -1, -1)
        return fits.Column(name, choice.form, array=(values[:, None] >> shifts & 1).astype(bool))
    return fits.Column(name, choice.form, array=values)


def _positions(made, random, count, clean) -> list[fits.Column]:
    form, crpix, _, _, (first, last) = made.sky
    reach = min(6000, (last - first) // 2)
    columns = []
    for name in made.names:
        values = np.clip(np.round(crpix) + random.integers(-reach, reach, count), first, last).astype(np.float64)
        if form == "E":
            values += random.random(count) - 0.5
            if not clean:
                values[random.random(count) < 0.02] = np.nan
        columns.append(fits.Column(name, form, array=values, null=made.null))
    return columns


def _world(made, header, count) -> None:
    _, crpix, cdelt, projection, limits = made.sky
    for axis, number in ((0, count - 1), (1, count)):
        header[f"TCTYP{number}"] = ("RA---", "DEC--")[axis] + projection
        header[f"TCRPX{number}"] = crpix
        header[f"TCRVL{number}"] = (150.0, -11.0)[axis]
        header[f"TCDLT{number}"] = (-cdelt, cdelt)[axis]
        header[f"TLMIN{number}"], header[f"TLMAX{number}"] = limits


def _subspace(made, header) -> None:
    """As SAS describes which table holds for which CCD."""
    for number, (chip, table) in enumerate(zip(made.chips, made.gtis, strict=True), 1):
        prefix = "" if number == 1 else str(number)
        header[f"{prefix}DSVAL1"] = str(chip)
        header[f"{prefix}DSREF2"] = f":{table}"
        if number == 1:
            header["DSTYP1"], header["DSTYP2"], header["DSVAL2"] = "CCDNR", "TIME", "TABLE"


def _gti_table(made, name, pairs) -> fits.BinTableHDU:
    scaled = pairs / 86400.0 if made.unit == "d" else pairs
    columns = [
        fits.Column(key, "D", unit=made.unit, array=values)
        for key, values in zip(("START", "STOP"), scaled.T, strict=True)
    ]
    table = fits.BinTableHDU.from_columns(columns, name=name)
    table.header["HDUCLASS"], table.header["HDUCLAS1"] = "OGIP", "GTI"
    for key, value in made.clock.items():
        table.header[key] = value
    return table


def _companion(name, chip, random) -> fits.BinTableHDU:
    """What live times come from: frames of XMM, dead times of eROSITA."""
    if name == "xmm-pn":
        centres = START + np.arange(8000) + 0.5
        columns = [
            fits.Column("TIME", "D", unit="s", array=centres),
            fits.Column("TIMEDEL", "D", unit="s", array=np.ones(8000)),
            fits.Column("FRACEXP", "E", array=random.uniform(0.9, 1.0, 8000)),
        ]
        return fits.BinTableHDU.from_columns(columns, name=f"EXPOSU{chip:02d}")
    columns = [
        fits.Column("TIME", "D", unit="s", array=START + 100.0 * np.arange(80)),
        fits.Column("DEADC", "E", array=random.uniform(0.95, 1.0, 80)),
    ]
    return fits.BinTableHDU.from_columns(columns, name=f"DEADCOR{chip}")
