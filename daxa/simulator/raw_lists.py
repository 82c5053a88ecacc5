"""Small raw observations of Swift, NICER, Suzaku and XRISM: level 1 lists, and files for what goes with them.

Columns that pipelines screen by are as the missions' format documents have them; of the others there are few.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from daxa.simulator.fitsfile import FitsColumn, primary, table, write_fits
from daxa.simulator.sky import Source, draw_king, draw_power_law, plane
from daxa.simulator.times import iso_date, mission_seconds

__all__ = ["CAMERAS", "RawCamera", "write_raw"]

_RATE, _QUIET, _SECONDS = 0.6, 0.4, 3000.0
"""Counts per second of sources and of the background; length of the exposure, s."""

_FORBIDDEN = 0.1
"""Share of the events that screening must take out."""


@dataclass(frozen=True)
class RawCamera:
    """A list of level 1 and what goes with it.

    Parameters
    ----------
    path
        Of the list, below the observation's directory, with ``{o}`` for the ObsID.
    cards
        What its headers say.
    reference
        Zero of its times, MJD, whole days and the rest.
    channels
        Form of PI, keV of channel 0, keV of a channel, last channel.
    sky
        Form, reference pixel, degrees of a pixel, last pixel of X and Y.
    screened
        Column to its form, a value that is kept and one that is not; bits are given as numbers.
    others
        Paths of housekeeping and auxiliary files.
    """

    path: str
    cards: Mapping[str, object]
    reference: tuple[int, float]
    channels: tuple[str, float, float, int]
    sky: tuple[str, float, float, int] | None
    screened: Mapping[str, tuple[str, int, int]]
    others: tuple[str, ...] = field(default=())


_XRISM = (58484, 8.00740740741e-4)

CAMERAS: Mapping[str, tuple[RawCamera, ...]] = {
    "swift": (
        RawCamera(
            "xrt/event/sw{o}xpcw3po_uf.evt.gz",
            {"TELESCOP": "SWIFT", "INSTRUME": "XRT", "DATAMODE": "PHOTON", "DEADC": 0.996},
            (51910, 7.4287037e-4),
            ("1I", 0.0, 0.01, 1023),
            ("1I", 500.5, 6.548089e-4, 1000),
            {"GRADE": ("1I", 0, 20), "STATUS": ("16X", 0, 1 << 6)},
            ("xrt/hk/sw{o}xhd.hk.gz", "auxil/sw{o}sat.fits.gz"),
        ),
    ),
    "nicer": (
        RawCamera(
            "xti/event_uf/ni{o}_0mpu0_uf.evt.gz",
            {"TELESCOP": "NICER", "INSTRUME": "XTI", "DATAMODE": "PHOTON"},
            (56658, 7.775925925925930e-4),
            ("1I", 0.0, 0.01, 1500),
            None,
            {"EVENT_FLAGS": ("8X", 0b00010000, 0b00010001)},
            ("xti/hk/ni{o}_0mpu0.hk.gz", "auxil/ni{o}.att.gz", "auxil/ni{o}.orb.gz"),
        ),
    ),
    "suzaku": (
        RawCamera(
            "xis/event_uf/ae{o}xi1_0_3x3n066a_uf.evt.gz",
            {"TELESCOP": "SUZAKU", "INSTRUME": "XIS1", "DATAMODE": "STANDARD", "DEADC": 1.0},
            (51544, 7.4287037e-4),
            ("1J", 0.0, 3.65e-3, 4095),
            ("1J", 768.5, 2.895e-4, 1536),
            {"GRADE": ("1J", 0, 7), "STATUS": ("1J", 0, 1 << 20)},
            ("xis/hk/ae{o}xi1_0.hk.gz", "auxil/ae{o}.att.gz", "auxil/ae{o}.orb.gz"),
        ),
    ),
    "xrism": (
        RawCamera(
            "xtend/event_uf/xa{o}xtd_p030000010_uf.evt.gz",
            {"TELESCOP": "XRISM", "INSTRUME": "XTEND", "DATAMODE": "WINDOW1", "DEADC": 0.95},
            _XRISM,
            ("1J", 0.0, 0.006, 4095),
            ("1I", 1215.5, 1.768 / 3600, 2430),
            {"GRADE": ("1B", 0, 7), "STATUS": ("48X", 0, 1 << 47)},
            ("auxil/xa{o}.ehk.gz",),
        ),
        RawCamera(
            "resolve/event_uf/xa{o}rsl_p0px1000_uf.evt.gz",
            {"TELESCOP": "XRISM", "INSTRUME": "RESOLVE", "DATAMODE": "PX_NORMAL"},
            _XRISM,
            ("1J", 0.0, 5.0e-4, 59999),
            None,
            {
                "STATUS": ("16X", 0, 1 << 12),
                "PIXEL": ("1I", 0, 12),
                "ITYPE": ("1B", 0, 6),
                "RISE_TIME": ("1I", 50, 50),
                "DERIV_MAX": ("1I", 0, 0),
            },
        ),
    ),
}
"""Mission to the lists of its observation."""


def write_raw(
    root: Path,
    mission: str,
    obs_id: str,
    sources: Sequence[Source],
    *,
    place: tuple[float, float],
    start: float,
    seed: int,
) -> None:
    """Write the raw files of an observation.

    Parameters
    ----------
    root
        The observation's directory.
    mission, obs_id
        Which.
    sources
        What is in the field; the last is the brightest.
    place
        Right ascension and declination of the pointing, degrees.
    start
        Begin, MJD UTC.
    seed
        Of the random numbers.
    """
    for number, camera in enumerate(CAMERAS[mission]):
        rng = np.random.default_rng([seed, int(obs_id), number])
        begin = round(mission_seconds(start, sum(camera.reference)), 3)
        cards = _cards(camera, obs_id, place, begin)
        columns = _columns(rng, camera, place, begin, sources)
        good = [
            FitsColumn("START", "1D", np.array([begin]), "s"),
            FitsColumn("STOP", "1D", np.array([begin + _SECONDS]), "s"),
        ]
        hdus = [primary(cards), table("EVENTS", columns, cards), table("GTI", good, cards)]
        write_fits(root / camera.path.format(o=obs_id), hdus)
        time = FitsColumn("TIME", "1D", begin + np.arange(0.0, _SECONDS, 10.0), "s")
        for path in camera.others:
            write_fits(root / path.format(o=obs_id), [primary(cards), table("HK", [time], cards)])


def _cards(camera: RawCamera, obs_id: str, place: tuple[float, float], begin: float) -> list[tuple]:
    whole = sum(camera.reference)
    live = _SECONDS * float(str(camera.cards.get("DEADC", 1.0)))
    return [
        *camera.cards.items(), ("OBS_ID", obs_id), ("OBJECT", "Abell 907"), ("RA_PNT", place[0]), ("DEC_PNT", place[1]),
        ("RA_NOM", place[0]), ("DEC_NOM", place[1]), ("PA_PNT", 30.0), ("EQUINOX", 2000.0), ("RADECSYS", "FK5"),
        ("TIMESYS", "TT"), ("MJDREFI", camera.reference[0]), ("MJDREFF", camera.reference[1]), ("TIMEUNIT", "s"),
        ("TIMEZERO", 0.0), ("TSTART", begin), ("TSTOP", begin + _SECONDS), ("DATE-OBS", iso_date(begin, whole)),
        ("DATE-END", iso_date(begin + _SECONDS, whole)), ("ONTIME", _SECONDS), ("EXPOSURE", live), ("LIVETIME", live),
    ]  # fmt: skip


def _columns(
    rng: np.random.Generator, camera: RawCamera, place: tuple[float, float], begin: float, sources: Sequence[Source]
) -> list[FitsColumn]:
    seen, quiet = (rng.poisson(rate * _SECONDS) for rate in (_RATE, _QUIET))
    count = seen + quiet
    form, zero, gain, last = camera.channels
    energies = np.concatenate(
        [draw_power_law(rng, seen, 1.8, (0.5, 8.0)), draw_power_law(rng, quiet, 0.5, (0.5, 10.0))]
    )
    order = np.argsort(time := begin + rng.uniform(0.0, _SECONDS, count), kind="stable")
    channel = np.clip(np.floor((energies - zero) / gain), 0, last)
    columns = [
        FitsColumn("TIME", "1D", time[order], "s"),
        FitsColumn("PI", form, channel[order], "chan", "", (("TLMIN", 0), ("TLMAX", last))),
    ]
    if camera.sky:
        columns += _places(rng, camera.sky, place, sources, seen=seen, order=order)
    forbidden = rng.random(count) < _FORBIDDEN
    for name, (kind, kept, other) in camera.screened.items():
        values = np.where(forbidden, other, kept)
        if kind.endswith("X"):
            width = int(kind[:-1])
            columns.append(FitsColumn(name, kind, (values[:, None] >> np.arange(width)[::-1]) & 1))
        else:
            columns.append(FitsColumn(name, kind, values))
    return columns


def _places(
    rng: np.random.Generator,
    sky: tuple[str, float, float, int],
    place: tuple[float, float],
    sources: Sequence[Source],
    *,
    seen: int,
    order: np.ndarray,
) -> list[FitsColumn]:
    """X and Y: of photons of the sources, then of the background all over the field."""
    form, reference, step, last = sky
    pixel = step * 3600
    which = np.minimum(rng.integers(0, 2 * len(sources), seen), len(sources) - 1)
    offsets = np.array([plane(one.ra, one.dec, *place) for one in sources])[which]
    spread = np.stack(draw_king(rng, seen, 20.0, 1.6, 300.0), axis=1)
    at = reference + (offsets + spread) / pixel * np.array([-1.0, 1.0])
    rest = rng.uniform(0.1 * last, 0.9 * last, (len(order) - seen, 2))
    pixels = np.clip(np.rint(np.concatenate([at, rest])), 1, last)[order]
    made = []
    for axis, (name, kind, sign) in enumerate((("X", "RA---TAN", -1.0), ("Y", "DEC--TAN", 1.0))):
        cards = (("TLMIN", 1), ("TLMAX", last), ("TCTYP", kind), ("TCRVL", place[axis]), ("TCRPX", reference),
                 ("TCDLT", sign * step), ("TCUNI", "deg"))  # fmt: skip
        made.append(FitsColumn(name, form, pixels[:, axis], "pixel", "", cards))
    return made
