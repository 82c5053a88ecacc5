"""Where on the sky a detector looked, found from its event list alone.

An event carries its pixel on the chip, its place in the focal plane and its place on
the sky.  Chip to focal plane is a shift, one of the eight rotations and reflections of
a square, and a known scale; focal plane to sky is the roll angle of the header, one
of the same eight, and a shift that varies as the telescope dithers or its mast bends.
So a few events fix every chip, and all events together show the dither.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from daxa.errors import DataError, NotPossible
from daxa.xray.cleaning.cut import Cut, select
from daxa.xray.eventlists.event_list import EventList
from daxa.xray.eventlists.fits_tables import column_names, column_null, read_numbers
from daxa.xray.eventlists.formats import card_number
from daxa.xray.eventlists.gti import union
from daxa.xray.eventlists.rules import Rule
from daxa.xray.imaging.attitude import Attitude
from daxa.xray.imaging.badpixels import BadPixels
from daxa.xray.telescopes.detector import Detector
from daxa.xray.telescopes.registry import camera_of

__all__ = ["ChipPart", "Footprint", "find_footprint"]


_LEAST_EVENTS = 8
_MANY_EVENTS = 200
_MOST_EVENTS = 200_000
_LEAST_ANGLE_ERROR = 1e-4
_MOST_ANGLE = 0.02
_SQUARE = tuple(
    np.array(rows, float)
    for rows in (
        ((1, 0), (0, 1)),
        ((1, 0), (0, -1)),
        ((-1, 0), (0, 1)),
        ((-1, 0), (0, -1)),
        ((0, 1), (1, 0)),
        ((0, 1), (-1, 0)),
        ((0, -1), (1, 0)),
        ((0, -1), (-1, 0)),
    )
)


@dataclass(frozen=True, eq=False)
class ChipPart:
    """A chip, or one of the parts of a chip that have their own place.

    Parameters
    ----------
    chip
        Key of its good time.
    matrix, origin
        Sky = matrix @ pixel + origin, in event sky pixels, shapes (2, 2) and (2,).
    mask
        Share of the time that each pixel is good, shape (ny, nx).
    first, rim
        As in `Detector`.
    """

    chip: int
    matrix: np.ndarray
    origin: np.ndarray
    mask: np.ndarray
    first: int
    rim: float


@dataclass(frozen=True, eq=False)
class Footprint:
    """The chips on the sky.

    Parameters
    ----------
    modules
        The chips that could be placed.
    dither
        Shifts of all of them, shape (n, 2), event sky pixels: one per event used, or one per
        record of the attitude.
    weights
        Weight of each shift, shape (n,): 1, or the seconds spent there.
    circle
        Field of view on the sky, (x, y, radius) in event sky pixels, or None.
    lost
        Chips with good time that too few events fell on to place them.
    bad_pixels
        True where the event list gave its bad pixels.
    """

    modules: tuple[ChipPart, ...]
    dither: np.ndarray
    weights: np.ndarray
    circle: tuple[float, float, float] | None
    lost: tuple[int, ...]
    bad_pixels: bool


def find_footprint(
    events: EventList, cut: Cut, attitude: Attitude | None = None, bad: Mapping[int, BadPixels] | None = None
) -> Footprint:
    """Place the chips of an event list on the sky.

    Parameters
    ----------
    events
        An event list with sky coordinates.
    cut
        Its screening and good times; its energy band is not used.
    attitude
        Where the telescope pointed; by default the dither is found from the events.
    bad
        Chip to its bad pixels, where these come in a file beside the list.

    Returns
    -------
    Footprint
        Without modules when there are too few events to place anything, or when the list
        does not say where on the detector they fell.

    Raises
    ------
    NotPossible
        Nothing is declared of the instrument's chips.
    DataError
        The attitude does not belong to the list, or covers too little of its good time.
    """
    detector = camera_of(events.format.mission, events.format.instrument).detector
    if detector is None:
        raise NotPossible(
            "footprint",
            f"nothing is declared of the chips of {events.format.title}, which {events.path.name} alone cannot place",
            remedy="make the exposure map of this instrument without its chips (daxa.xray.exposure_map does)",
        )
    chips = tuple(chip for chip, gti in sorted(cut.gtis.items()) if len(gti))
    sample = _sample(events, cut, detector)
    sky = _plane_to_sky(events, detector, sample) if sample else None
    if sample is None or sky is None:
        return Footprint((), np.zeros((1, 2)), np.ones(1), None, chips, False)
    matrix, origin, dither = sky
    weights = np.ones(len(dither))
    if attitude is not None:
        pixels, weights = attitude.dwell(events.sky, union(*cut.gtis.values()))
        origin = _origin_by_attitude(events, sample, matrix, attitude, detector.dither)
        mean = np.average(pixels, axis=0, weights=weights)
        origin, dither = origin + mean, pixels - mean
    placed = _place(detector, sample, chips)
    plain = [rule for rule in cut.rules if isinstance(rule, Rule)]
    strict = any(rule.column.upper() == "FLAG" and rule.op == "equal" for rule in plain)
    modules = []
    is_listed = False
    for (chip, number), (to_plane, shift) in sorted(placed.items()):
        if bad and chip in bad:
            lost_share, listed = _share_of(cut, detector, chip, bad[chip]), True
        else:
            lost_share, listed = _bad_share(events, cut, detector, chip, number)
        mask = _mask(events, detector, chip, lost_share, strict=strict)
        is_listed |= listed
        modules.append(ChipPart(chip, matrix @ to_plane, matrix @ shift + origin, mask, detector.first, detector.rim))
    circle = None
    if detector.circle and cut.rules:
        centre = matrix @ np.array(detector.circle[:2]) + origin
        circle = (float(centre[0]), float(centre[1]), detector.circle[2] * detector.sky_scale)
    lost = tuple(chip for chip in chips if chip not in {one.chip for one in modules})
    return Footprint(tuple(modules), dither, weights, circle, lost, is_listed)


_Placed = tuple[np.ndarray, np.ndarray]
"""The matrix and the shift from the pixels of a chip to the focal plane."""


@dataclass(frozen=True, eq=False)
class _Sample:
    chip: np.ndarray
    number: np.ndarray
    raw: np.ndarray
    plane: np.ndarray
    sky: np.ndarray
    time: np.ndarray


def _sample(events: EventList, cut: Cut, detector: Detector) -> _Sample | None:
    """Good events, evenly spread over the list; None when it lacks a column."""
    present = {name.lower() for name in column_names(events.rows)}
    if not {name.lower() for name in (*detector.raw, *detector.plane, detector.module) if name} <= present:
        return None
    step = max(1, len(events.rows) // _MOST_EVENTS)
    rows = events.rows[::step]
    whole = Cut(cut.rules, cut.gtis, None)
    keep = select(events, whole, rows, sky=True)
    for name in (*detector.raw, *detector.plane):
        keep &= _known(events, name, rows)
    rows = rows[keep]

    def pair(names: tuple[str, str]) -> np.ndarray:
        return np.column_stack([np.asarray(read_numbers(rows, name), float) for name in names])

    chip_column = events.format.chip_column
    chip = np.asarray(read_numbers(rows, chip_column), int) if chip_column else np.zeros(len(rows), int)
    number = np.asarray(read_numbers(rows, detector.module), int) if detector.module else chip
    time = events.times(rows)
    return _Sample(chip, number, pair(detector.raw), pair(detector.plane), pair(events.sky.columns), time)


def _known(events: EventList, name: str, rows: np.ndarray) -> np.ndarray:
    column = np.asarray(read_numbers(rows, name))
    if column.dtype.kind == "f":
        return np.isfinite(column)
    names = [one.lower() for one in column_names(events.rows)]
    null = column_null(events.header, names.index(name.lower()) + 1)
    return np.ones(len(column), dtype=bool) if null is None else column != null


def _orient(source: np.ndarray, target: np.ndarray, scale: float, turn: np.ndarray) -> tuple[np.ndarray, float]:
    """The member of the square's symmetry group that maps best, and the scatter it leaves.

    Scatter is measured from one event to the next: a slow dither of the telescope,
    which the map cannot know, does not count.
    """
    found = [(turn @ square) * scale for square in _SQUARE]
    scatters = [float(np.abs(np.diff(target - source @ one.T, axis=0)).sum(axis=1).mean()) for one in found]
    best = int(np.argmin(scatters))
    return found[best], scatters[best]


def _plane_to_sky(
    events: EventList, detector: Detector, sample: _Sample
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    if len(sample.sky) < _LEAST_EVENTS:
        return None
    angle = np.deg2rad(detector.sense * card_number(events.header, detector.roll, _primary(events, detector.roll)))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix, scatter = _orient(sample.plane, sample.sky, detector.sky_scale, turn)
    if scatter > detector.dither:
        return None
    matrix = _refined(matrix, sample)
    offsets = sample.sky - sample.plane @ matrix.T
    origin = np.median(offsets, axis=0)
    dither = offsets - origin
    return matrix, origin, dither[np.abs(dither).max(axis=1) <= detector.dither]


def _origin_by_attitude(
    events: EventList, sample: _Sample, matrix: np.ndarray, attitude: Attitude, most: float
) -> np.ndarray:
    """Where the focal plane's origin lies from the pointing, event sky pixels."""
    rest = sample.sky - sample.plane @ matrix.T - attitude.shifts(events.sky, sample.time)
    origin = np.median(rest, axis=0)
    # What the attitude leaves unexplained must not exceed the events' own dither.
    left = np.abs(np.quantile(rest - origin, (0.05, 0.95), axis=0)).max()
    if not left <= most:
        raise DataError(
            "attitude",
            f"{attitude.name} does not cover the times of {events.path.name}",
            remedy="give the attitude of the same observation",
        )
    return origin


def _refined(matrix: np.ndarray, sample: _Sample) -> np.ndarray:
    """The matrix turned by the small angle at which the camera is mounted, where the events can show it."""
    plane = (sample.plane - sample.plane.mean(axis=0)) @ matrix.T
    off = sample.sky - sample.sky.mean(axis=0) - plane
    spread = float((plane**2).sum())
    angle = float((plane[:, 0] * off[:, 1] - plane[:, 1] * off[:, 0]).sum()) / spread
    if float((off**2).sum()) / len(off) / spread > _LEAST_ANGLE_ERROR**2 or abs(angle) > _MOST_ANGLE:
        return matrix
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ matrix


def _primary(events: EventList, keyword: str) -> float | None:
    value = card_number(events.primary, keyword, np.nan) if keyword in events.primary else np.nan
    return None if np.isnan(value) else value


def _place(detector: Detector, sample: _Sample, chips: tuple[int, ...]) -> dict[tuple[int, int], _Placed]:
    """(Chip, module) to the matrix and shift from its pixels to the focal plane."""
    placed: dict[tuple[int, int], _Placed] = {}
    for chip in chips:
        numbers = range(detector.turns) if detector.module else (chip,)
        for number in numbers:
            inside = (sample.chip == chip) & (sample.number == number)
            fit = _raw_to_plane(detector, sample.raw[inside], sample.plane[inside])
            if fit:
                placed[chip, number] = fit
        if detector.turns > 1:
            _complete(detector, placed, chip)
    return placed


def _raw_to_plane(detector: Detector, raw: np.ndarray, plane: np.ndarray) -> _Placed | None:
    if len(raw) < _LEAST_EVENTS:
        return None
    matrix, scatter = _orient(raw, plane, detector.raw_scale, np.eye(2))
    # Two uniform deviates within a pixel differ by a third of it on average; chips are tilted by parts in a thousand.
    if scatter > (2.0 + 0.005 * max(detector.size)) * detector.raw_scale:
        return None
    shift = np.median(plane - raw @ matrix.T, axis=0)
    if len(raw) >= _MANY_EVENTS and not detector.module:
        free = np.linalg.lstsq(np.column_stack([raw, np.ones(len(raw))]), plane, rcond=None)[0]
        if np.abs(free[:2].T - matrix).max() < 0.02 * detector.raw_scale:
            return free[:2].T, free[2]
    return matrix, shift


def _complete(detector: Detector, placed: dict[tuple[int, int], _Placed], chip: int) -> None:
    """Place modules without events where those with events, turned, would be."""
    known = [number for owner, number in placed if owner == chip]
    if not known:
        return
    centre = np.full(2, detector.turn_centre)
    quarter = np.array([[0.0, -1.0], [1.0, 0.0]])
    for number in range(detector.turns):
        if (chip, number) not in placed:
            matrix, shift = placed[chip, known[0]]
            turn = np.linalg.matrix_power(quarter, (number - known[0]) % 4)
            placed[chip, number] = (turn @ matrix, turn @ (shift - centre) + centre)


def _mask(events: EventList, detector: Detector, chip: int, lost: np.ndarray, *, strict: bool) -> np.ndarray:
    """Share of the time that each pixel is good: read out, and not bad."""
    nx, ny = detector.size
    x0, y0, x1, y1 = _window(events, detector, chip)
    mask = np.zeros((ny, nx))
    # FLAG == 0 also drops what lies beside an edge or a bad pixel.
    edge = detector.border + (1 if strict else 0)
    mask[max(y0 + edge, 0) : max(y1 - edge, 0), max(x0 + edge, 0) : max(x1 - edge, 0)] = 1.0
    return mask * (1.0 - (_dilated(lost) if strict else lost))


def _window(events: EventList, detector: Detector, chip: int) -> tuple[int, int, int, int]:
    """Part that is read out: zero-based, half-open x0, y0, x1, y1."""
    nx, ny = detector.size
    header = events.header
    if detector.window == "EXPOSU":
        table = events.find_table(f"EXPOSU{chip:02d}")
        if table is None:
            return 0, 0, nx, ny
        header = table.header
        x0, y0 = (int(card_number(header, key, 1)) - 1 for key in ("WINDOWX0", "WINDOWY0"))
        width, height = int(card_number(header, "WINDOWDX", nx)), int(card_number(header, "WINDOWDY", ny))
        return max(x0, 0), max(y0, 0), min(x0 + width, nx), min(y0 + height, ny)
    if detector.window == "EVENTS":
        row, rows = int(card_number(header, "FIRSTROW", 1)) - 1, int(card_number(header, "NROWS", ny))
        return 0, max(row, 0), nx, min(row + rows, ny)
    return 0, 0, nx, ny


def _bad_share(events: EventList, cut: Cut, detector: Detector, chip: int, number: int) -> tuple[np.ndarray, bool]:
    """Share of the good time for which the list calls each pixel bad, and whether it lists any."""
    table = events.find_table("BADPIX", number + 1) if detector.module else events.find_table(f"BADPIX{chip:02d}")
    if table is None:
        return np.zeros(detector.size[::-1]), False
    rows = table.rows()
    x, y = (np.asarray(read_numbers(rows, name), int) for name in ("RAWX", "RAWY"))
    lower = {name.lower() for name in column_names(rows)}
    length = np.asarray(read_numbers(rows, "YEXTENT"), int) if "yextent" in lower else np.ones(len(rows), int)
    start, stop = np.full(len(rows), -np.inf), np.full(len(rows), np.inf)
    if {"time", "time_stop"} <= lower:
        start, stop = (np.asarray(read_numbers(rows, name), float) for name in ("TIME", "TIME_STOP"))
    return _share_of(cut, detector, chip, BadPixels(x, x, y, y + length - 1, start, stop)), True


def _share_of(cut: Cut, detector: Detector, chip: int, bad: BadPixels) -> np.ndarray:
    """Share of the good time for which a list or a file calls each pixel of a chip bad."""
    nx, ny = detector.size
    lost = np.zeros((ny, nx))
    good = union(cut.gtis[chip])
    whole = float((good[:, 1] - good[:, 0]).sum())
    passed = np.concatenate(([0.0], np.cumsum(good[:, 1] - good[:, 0])))
    # Share of the good time before the start and the stop of each record.
    begins, ends = (
        np.interp(np.where(np.isnan(when), ever, when), good.ravel(), np.repeat(passed, 2)[1:-1]) / whole
        for when, ever in ((bad.start, -np.inf), (bad.stop, np.inf))
    )
    corners = [one - detector.first for one in (bad.x0, bad.x1, bad.y0, bad.y1)]
    reached = np.zeros((ny, nx))
    # Records of one pixel may overlap: in the order of their starts, each adds what comes after the others' ends.
    for row in np.argsort(begins, kind="stable"):
        x0, x1, y0, y1 = (int(one[row]) for one in corners)
        inside = slice(max(y0, 0), max(y1 + 1, 0)), slice(max(x0, 0), max(x1 + 1, 0))
        lost[inside] += np.maximum(ends[row] - np.maximum(begins[row], reached[inside]), 0.0)
        reached[inside] = np.maximum(reached[inside], ends[row])
    return np.minimum(lost, 1.0)


def _dilated(lost: np.ndarray) -> np.ndarray:
    """The worst of each pixel and its eight neighbours."""
    wide = np.pad(lost, 1)
    ny, nx = lost.shape
    return np.max([wide[j : j + ny, i : i + nx] for j in range(3) for i in range(3)], axis=0)
