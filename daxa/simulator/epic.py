"""The three EPIC cameras: chips, effective areas, vignetting and flags."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from daxa.simulator.fitsfile import FitsColumn
from daxa.simulator.programme import EpicPointing

__all__ = ["CAMERAS", "Chip", "EpicCamera", "Frames"]


@dataclass(frozen=True)
class Frames:
    """Frames and good time of one chip, s."""

    centre: np.ndarray
    length: np.ndarray
    fraction: np.ndarray
    good: np.ndarray

    def inside(self) -> np.ndarray:
        """Which frames lie wholly in good time."""
        first, last = self.centre - self.length / 2, self.centre + self.length / 2
        return np.any([(first >= start) & (last <= stop) for start, stop in self.good], axis=0)


@dataclass(frozen=True)
class Chip:
    """Where a chip lies: detector = origin + matrix @ (RAWX, RAWY), units of 0.05 arcsec."""

    origin: tuple[float, float]
    matrix: tuple[tuple[float, float], tuple[float, float]]

    def to_raw(self, detx: np.ndarray, dety: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixel of a place in detector coordinates, before rounding."""
        (a, b), (c, d) = self.matrix
        x, y = np.asarray(detx) - self.origin[0], np.asarray(dety) - self.origin[1]
        return (d * x - b * y) / (a * d - b * c), (a * y - c * x) / (a * d - b * c)


@dataclass(frozen=True)
class EpicCamera:
    """A camera.

    Parameters
    ----------
    name, header_name, exposure, product, submode, content
        ``M1``, ``EMOS1``, ``S001``, ``MI``, and the texts of the header.
    chips, size, central
        Its chips by number, their pixels, and the number of the central one.
    field, axis
        Circle of the field of view and place of the optical axis, detector units of 0.05 arcsec.
    area
        Effective area on the axis: keV and cm^2, rounded from figures of the Users' Handbook.
    curve
        Vignetting 1 + a t^2 + b t^3 + c t^4, t in arcmin (fits to exposure maps of SAS, 0.5-2 keV).
    frame, gap, live, jitter, late, share
        Frame time and its dead part in s, live fraction of a frame and its scatter, seconds by
        which the exposure begins after the observation, and its length as a share of it.
    sky_rate, particle_rate, flare_gain
        Counts per second of the sky and of particles, and flares relative to a MOS.
    last_pi, adu
        Highest PI, and eV per PHA channel.
    patterns
        Weights of the patterns 0, 1, ... of photons and of particles; the last one stands
        for all invalid ones.
    rejected
        Share of events flagged as rejected.
    good, soft
        The word that selects good events, its value and comment; bits of flags and their names.
    dss_flag
        Flags that the pipeline removed, as its data subspace says, '' for none.
    extra
        Columns of pattern numbers that only the pn has.
    """

    name: str
    header_name: str
    exposure: str
    product: str
    submode: str
    content: str
    chips: Mapping[int, Chip]
    size: tuple[int, int]
    central: int
    field: tuple[float, float, float]
    axis: tuple[float, float]
    area: tuple[tuple[float, ...], tuple[float, ...]]
    curve: tuple[float, float, float]
    frame: float
    gap: float
    live: float
    jitter: float
    late: float
    share: float
    sky_rate: float
    particle_rate: float
    flare_gain: float
    last_pi: int
    adu: float
    patterns: tuple[tuple[float, ...], tuple[float, ...]]
    rejected: float
    good: tuple[str, int, str]
    soft: Mapping[int, str]
    dss_flag: str = ""
    extra: bool = False

    def vignetting(self, detx: np.ndarray, dety: np.ndarray) -> np.ndarray:
        """Share of the effective area at a place, held beyond 16 arcmin."""
        t = np.minimum(np.hypot(detx - self.axis[0], dety - self.axis[1]) * 0.05 / 60, 16.0)
        a, b, c = self.curve
        return 1 + a * t**2 + b * t**3 + c * t**4

    def locate(self, detx: np.ndarray, dety: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Chip (0 for none) and pixel of places in detector coordinates."""
        chip, x, y = (np.zeros(len(detx), dtype=int) for _ in range(3))
        for number, one in self.chips.items():
            rawx, rawy = (np.rint(part).astype(int) for part in one.to_raw(detx, dety))
            here = (chip == 0) & (rawx >= 1) & (rawx <= self.size[0]) & (rawy >= 1) & (rawy <= self.size[1])
            chip[here], x[here], y[here] = number, rawx[here], rawy[here]
        return chip, x, y

    def scatter(self, rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Places that lie evenly on all chips."""
        numbers = rng.choice(list(self.chips), count)
        rawx = 0.5 + self.size[0] * rng.random(count)
        rawy = 0.5 + self.size[1] * rng.random(count)
        detx, dety = np.zeros(count), np.zeros(count)
        for number, one in self.chips.items():
            here = numbers == number
            (a, b), (c, d) = one.matrix
            detx[here] = one.origin[0] + a * rawx[here] + b * rawy[here]
            dety[here] = one.origin[1] + c * rawx[here] + d * rawy[here]
        return detx, dety

    def bad_pixels(self, chip: int) -> np.ndarray:
        """RAWX, RAWY, TYPE, YEXTENT, BADFLAG of the bad pixels of a chip; the first is a column."""
        rng = np.random.default_rng([len(self.name), chip, self.size[0]])
        nx, ny = self.size
        column = (int(rng.integers(nx // 5, nx - nx // 5)), int(rng.integers(2, ny // 2)), 3, ny // 3, 2)
        hot = [(int(rng.integers(3, nx - 2)), int(rng.integers(3, ny - 2)), 1, 1, 1) for _ in range(8)]
        return np.array([column, *hot])

    def on_bad_pixel(self, chip: np.ndarray, rawx: np.ndarray, rawy: np.ndarray) -> np.ndarray:
        """Which events fell on a bad pixel."""
        return self._near(chip, rawx, rawy, reach=0, rows=slice(None))

    def beside_bad_column(self, chip: np.ndarray, rawx: np.ndarray, rawy: np.ndarray) -> np.ndarray:
        """Which events fell next to a bad column."""
        return self._near(chip, rawx, rawy, reach=1, rows=slice(1))

    def _near(self, chip: np.ndarray, rawx: np.ndarray, rawy: np.ndarray, *, reach: int, rows: slice) -> np.ndarray:
        found = np.zeros(len(chip), dtype=bool)
        for number in self.chips:
            for x, y, _, extent, _ in self.bad_pixels(number)[rows]:
                found |= (chip == number) & (abs(rawx - x) <= reach) & (rawy >= y - reach) & (rawy < y + extent + reach)
        return found

    def bad_pixel_columns(self, chip: int) -> list[FitsColumn]:
        """The columns of its BADPIX table."""
        names = ("RAWX", "RAWY", "TYPE", "YEXTENT", "BADFLAG")
        return [FitsColumn(name, "I", values) for name, values in zip(names, self.bad_pixels(chip).T, strict=True)]

    def ccd_id(self, chip: int) -> int:
        """CCDID card: the pn counts chips within a quadrant."""
        return (chip - 1) % 3 if self.extra else chip

    def window(self) -> list[tuple]:
        """Cards of the part that is read out."""
        return [("WINDOWX0", 1), ("WINDOWY0", 1), ("WINDOWDX", self.size[0]), ("WINDOWDY", self.size[1])]

    @property
    def flag_words(self) -> list[tuple]:
        """Cards that define the flag words."""
        words = [(f"XMMEA_{bit}", f"(FLAG & {1 << bit:#x}) != 0", name) for bit, name in self.soft.items()]
        keyword, mask, comment = self.good
        return [*words, (keyword, f"(FLAG & {mask:#x}) == 0", comment)]

    def subspace(self) -> list[tuple]:
        """Data subspace cards: one component a chip, each with its own good times."""
        names = ["CCDNR", *(["FLAG"] if self.dss_flag else []), "TIME"]
        last = len(names)
        cards: list[tuple] = [
            (f"DSTYP{i}", name, "data subspace descriptor: name") for i, name in enumerate(names, start=1)
        ]
        cards.append((f"DSUNI{last}", "s", "data subspace descriptor: units"))
        if self.dss_flag:
            cards += [("DSFORM2", "X", "data subspace descriptor: data type"), ("DSVAL2", self.dss_flag)]
        cards.append((f"DSVAL{last}", "TABLE", "data subspace descriptor: value"))
        for i, chip in enumerate(self.chips, start=1):
            prefix = "" if i == 1 else str(i)
            cards += [(f"{prefix}DSVAL1", str(chip)), (f"{prefix}DSREF{last}", f":STDGTI{chip:02d}")]
        return cards

    def columns(
        self, rows: Mapping[str, np.ndarray], pointing: EpicPointing, cdelt: float, centre: int, null: int
    ) -> list[FitsColumn]:
        """The columns of the EVENTS table."""

        def limits(first: float, last: float, name: str) -> tuple[tuple, ...]:
            values = rows[name]
            return (
                ("TLMIN", first, f"Legal minimum for {name}"),
                ("TDMIN", int(values.min()), f"Actual minimum for {name}"),
                ("TLMAX", last, f"Legal maximum for {name}"),
                ("TDMAX", int(values.max()), f"Actual maximum for {name}"),
            )

        def sky(name: str, kind: str, value: float, step: float) -> FitsColumn:
            cards = (
                ("TNULL", null, "Null value of the column"),
                *limits(1.0, 51840.0, name),
                ("TCRPX", centre, "axis reference pixel of projected image"),
                ("TCTYP", kind, "Coord. type"),
                ("TCRVL", value, "[deg] coord. at axis ref. pixel"),
                ("TCDLT", step, "[deg/pix] increment at ref. pixel"),
                ("TCUNI", "deg", "Physical units of axis"),
            )
            return FitsColumn(name, "J", rows[name], "pixel", f"{name} in projected sky coordinates", cards)

        def detector(name: str) -> FitsColumn:
            cards = (*limits(-20300, 20300, name), ("TCRPX", 0), ("TCTYP", f"{name}_ANG"), ("TCRVL", 0.0),
                     ("TCDLT", cdelt), ("TCUNI", "deg"))  # fmt: skip
            return FitsColumn(name, "I", rows[name], "pixel", "in linearised camera coordinates", cards)

        columns = [
            FitsColumn("TIME", "D", rows["TIME"], "s", "time of the center of the frame"),
            FitsColumn("RAWX", "I", rows["RAWX"], "PIXELS", "X in node coordinates", limits(1, self.size[0], "RAWX")),
            FitsColumn("RAWY", "I", rows["RAWY"], "PIXELS", "Y in node coordinates", limits(1, self.size[1], "RAWY")),
            detector("DETX"),
            detector("DETY"),
            sky("X", "RA---TAN", pointing.ra, -cdelt),
            sky("Y", "DEC--TAN", pointing.dec, cdelt),
            FitsColumn("PHA", "I", rows["PHA"], "CHAN", "total charge of the event", limits(0, 32767, "PHA")),
            FitsColumn("PI", "I", rows["PI"], "CHAN", "measured energy in eV", limits(0, self.last_pi, "PI")),
            FitsColumn("FLAG", "J", rows["FLAG"], "", "quality flag"),
            FitsColumn("PATTERN", "B", rows["PATTERN"], "", "pattern", (("TLMIN", 0), ("TLMAX", 31))),
        ]
        if self.extra:
            zeros = np.zeros(len(rows["TIME"]))
            columns += [FitsColumn("PAT_ID", "I", zeros), FitsColumn("PAT_SEQ", "B", zeros)]
        columns.append(FitsColumn("CCDNR", "B", rows["CCDNR"], "", "CCD", (("TLMIN", 1), ("TLMAX", 17))))
        return columns


_P = 22.02
_UP, _DOWN = ((_P, 0.0), (0.0, _P)), ((-_P, 0.0), (0.0, -_P))
_LEFT, _RIGHT = ((0.0, -_P), (_P, 0.0)), ((0.0, _P), (-_P, 0.0))

_MOS1_CHIPS = {  # measured on a real list of 2006; chip 6 was lost in March 2005
    1: Chip((-6615.7, -6615.6), _UP),
    2: Chip((13125.5, -20175.1), _LEFT),
    3: Chip((19883.8, -6922.9), _LEFT),
    4: Chip((13189.1, 6408.8), _LEFT),
    5: Chip((-13029.4, 19721.3), _RIGHT),
    7: Chip((-13143.7, -6844.1), _RIGHT),
}
_MOS2_CHIPS = {
    1: Chip((-6616.2, -6616.3), _UP),
    2: Chip((13255.5, -20030.7), _LEFT),
    3: Chip((19991.1, -6852.2), _LEFT),
    4: Chip((13228.8, 6521.2), _LEFT),
    5: Chip((-13202.0, 19789.3), _RIGHT),
    6: Chip((-19859.1, 6552.0), _RIGHT),
    7: Chip((-13320.1, -6812.7), _RIGHT),
}


def _pn_chips() -> dict[int, Chip]:
    size, gap, x0, y0 = 82.0, 60.0, -2200.0, -1110.0
    width, height = 64 * size, 200 * size
    chips = {}
    for number in range(1, 13):
        quadrant, place = divmod(number - 1, 3)
        right, top = quadrant in (0, 3), quadrant in (0, 1)
        # The upper half is read out at its upper edge and seen upside down.
        sign = -1.0 if top else 1.0
        left = x0 + gap / 2 + place * (width + gap) if right else x0 - gap / 2 - width - place * (width + gap)
        low = y0 + gap / 2 if top else y0 - gap / 2 - height
        x = left + width + size / 2 if top else left - size / 2
        y = low + height + size / 2 if top else low - size / 2
        chips[number] = Chip((x, y), ((sign * size, 0.0), (0.0, sign * size)))
    return chips


_MOS_FLAGS = {
    0: "DIAGONAL", 1: "CLOSE_TO_CCD_BORDER", 5: "CLOSE_TO_ONBOARD_BADPIX", 6: "CLOSE_TO_BRIGHTPIX",
    8: "CLOSE_TO_DEADPIX", 9: "CLOSE_TO_BADCOL", 10: "CLOSE_TO_BADROW", 11: "IN_SPOILED_FRAME", 13: "ON_BADOFFSET",
    15: "FLICKERING", 16: "OUT_OF_FOV", 17: "IN_BAD_FRAME", 19: "COSMIC_RAY", 21: "ON_BADPIX",
    22: "REJECTED_BY_GATTI", 25: "OUT_OF_CCD_WINDOW", 26: "OUTSIDE_THRESHOLDS", 28: "ON_BADROW", 29: "BAD_E3E4",
    30: "UNDERSHOOT",
}  # fmt: skip

_MOS1 = EpicCamera(
    name="M1",
    header_name="EMOS1",
    exposure="S001",
    product="MI",
    submode="PrimeFullWindow",
    content="EPIC MOS IMAGING MODE EVENT LIST",
    chips=_MOS1_CHIPS,
    size=(600, 600),
    central=1,
    field=(97.0, -172.0, 17152.0),
    axis=(118.0, 1449.0),
    area=((0.2, 0.5, 1.0, 1.5, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0), (30, 200, 420, 480, 400, 370, 330, 180, 60, 10)),
    curve=(-1.13646e-2, 8.8798e-4, -2.2566e-5),
    frame=2.6,
    gap=0.006,
    live=0.9893,
    jitter=0.001,
    late=0.0,
    share=1.0,
    sky_rate=0.5,
    particle_rate=0.8,
    flare_gain=1.0,
    last_pi=15000,
    adu=3.5,
    patterns=(
        (76.0, 6.0, 5.0, 6.0, 5.0, 0.3, 0.3, 0.3, 0.3, 0.2, 0.2, 0.2, 0.2, 0.0),
        (62.0, 6.0, 5.0, 6.0, 5.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 8.0),
    ),
    rejected=0.01,
    good=("XMMEA_EM", 0x766BA000, "Select good MOS events"),
    soft=_MOS_FLAGS,
    dss_flag="b000x00xxx0x0x0x0x0xxxxxxxxxxxxx",
)
_MOS2 = replace(_MOS1, name="M2", header_name="EMOS2", exposure="S002", chips=_MOS2_CHIPS)
_PN = replace(
    _MOS1,
    name="PN",
    header_name="EPN",
    exposure="S003",
    product="PI",
    submode="PrimeFullWindowExtended",
    content="EPIC PN IMAGING MODE EVENT LIST",
    chips=_pn_chips(),
    size=(64, 200),
    central=4,
    field=(-2200.0, -1110.0, 17980.0),
    axis=(-360.0, 912.0),
    area=((0.2, 0.5, 1.0, 1.5, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0), (200, 700, 1050, 1150, 950, 850, 850, 550, 280, 90)),
    curve=(-1.01268e-2, 6.7200e-4, -1.2892e-5),
    frame=0.1991,
    gap=0.0,
    live=0.93,
    jitter=0.0,
    late=1600.0,
    share=0.8,
    sky_rate=1.3,
    particle_rate=1.4,
    flare_gain=1.5,
    last_pi=20479,
    adu=5.0,
    patterns=(
        (66.0, 8.0, 8.0, 8.0, 8.0, 0.5, 0.5, 0.3, 0.3, 0.1, 0.1, 0.1, 0.1, 0.0),
        (56.0, 8.0, 8.0, 8.0, 8.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 6.0),
    ),
    rejected=0.0,
    good=("XMMEA_EP", 0xCFA0000, "Select good PN events"),
    soft={
        0: "INVALID_PATTERN", 1: "CLOSE_TO_CCD_BORDER", 2: "CLOSE_TO_CCD_WINDOW", 5: "CLOSE_TO_ONBOARD_BADPIX",
        6: "CLOSE_TO_BRIGHTPIX", 8: "CLOSE_TO_DEADPIX", 9: "CLOSE_TO_BADCOL", 16: "OUT_OF_FOV",
    },
    dss_flag="",
    extra=True,
)  # fmt: skip

CAMERAS = (_MOS1, _MOS2, _PN)
"""MOS1, MOS2 and pn."""
