"""Event lists harmed at random: headers, tables and bytes; a list either reads or fails with an error of ours.

python -m tests.xray.mutations DIRECTORY [--count 10000] [--seed 1]
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import tempfile
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

from daxa.errors import DaxaError
from daxa.xray import EventList
from daxa.xray.cleaning.cleaned import write_clean_events
from daxa.xray.cleaning.cut import select, standard_cut
from daxa.xray.cleaning.lightcurve import light_curve
from daxa.xray.cleaning.livetime import livetime
from daxa.xray.imaging.image import count_image, grid_for, image_header
from tests.xray.madelists import MADE, make_list

_LETTERS = list(b"0123456789' =.-+ETFXDBIJQP/\x00\xff&:;()")
_VALUES = (
    b"0", b"-1", b"1", b"1E400", b"-1E308", b"1E-320", b"NaN", b"999999999999999999", b"T", b"F", b"''",
    b"'../../x'", b"'XMM'", b"'EVENTS'", b"'TIME'", b"'1D'", b"'1PJ(9)'", b"'0D'", b"'9J'", b"'d'", b"'GTI'",
    b"'RA---TAN'", b"'DEC--TAN'", b"'0.0'", b"'$(rm)'", b"2147483648", b"4", b"0.5", b"1000",
)  # fmt: skip


def harm(content: bytes, random: np.random.Generator) -> bytes:
    """The bytes of a FITS file with one to three mutations of random kinds."""
    harmed = bytearray(content)
    for _ in range(random.integers(1, 4)):
        kind = random.choice(["letter", "value", "value", "drop", "swap", "data", "nan", "cut", "rows"])
        cards = _cards(harmed)
        if not cards:
            return bytes(harmed)
        at = int(cards[random.integers(len(cards))])
        if kind == "letter":
            harmed[at + random.integers(80)] = random.choice(_LETTERS)
        elif kind == "value":
            value = _VALUES[random.integers(len(_VALUES))]
            harmed[at + 8 : at + 80] = (b"= " + value.rjust(20)).ljust(72)
        elif kind == "drop":
            harmed[at : at + 80] = b"COMMENT".ljust(80)
        elif kind == "swap":
            other = int(cards[random.integers(len(cards))])
            harmed[at : at + 80], harmed[other : other + 80] = harmed[other : other + 80], harmed[at : at + 80]
        elif kind == "data":
            place = random.integers(len(harmed))
            harmed[place : place + 8] = random.bytes(len(harmed[place : place + 8]))
        elif kind == "nan":
            place = random.integers(len(harmed) // 8) * 8
            harmed[place : place + 8] = np.array([random.choice([np.nan, np.inf, -np.inf])], ">f8").tobytes()
        elif kind == "rows":
            rows = [card for card in cards if harmed[card : card + 6] == b"NAXIS2"]
            if rows:
                card = rows[random.integers(len(rows))]
                harmed[card + 10 : card + 30] = str(random.integers(0, 5000)).encode().rjust(20)
        elif random.random() < 0.3:
            del harmed[random.integers(len(harmed)) :]
    return bytes(harmed)


def _cards(content: bytearray) -> list[int]:
    """Where the cards of all headers start, found by what they look like."""
    keywords = (b"SIMPLE  ", b"XTENSION")
    cards, inside = [], False
    for block in range(0, len(content) - 2879, 2880):
        inside = inside or bytes(content[block : block + 8]) in keywords
        if not inside:
            continue
        for card in range(block, block + 2880, 80):
            if bytes(content[card : card + 8]) == b"END     ":
                inside = False
                break
            cards.append(card)
    return cards


def use(path: Path, pixel: float) -> None:
    """All that is done with a list."""
    events = EventList.open(path)
    repr(events)
    cut = standard_cut(events, pi=(2, 900))
    select(events, cut, events.rows)
    clean = path.with_name("clean.fits")
    clean.unlink(missing_ok=True)
    with contextlib.suppress(DaxaError):
        write_clean_events(clean, events, standard_cut(events), {})
    livetime(events, events.gtis)
    events.times()
    events.clock.date(events.times()[:3])
    curve_bin = max(1.0, sum(float(good[-1, 1] - good[0, 0]) for good in events.gtis.values() if len(good)) / 1000)
    with contextlib.suppress(DaxaError):
        light_curve(events, cut, curve_bin)
    if events.why_not("energy-band") == "":
        events.energies(events.rows[:5])
    grid = grid_for(events, pixel or events.sky.pixel_arcsec)
    if grid.nx * grid.ny < 1 << 22:
        count_image(events, cut, grid)
        events.positions(events.rows[:5])
        image_header(events, cut, grid).tostring()


def sources(place: Path, real: Path | None) -> list[tuple[bytes, float]]:
    """Made lists of every mission, small, and the small real ones."""
    found = [(make_list(name, place / f"{name}.fits", count=200).read_bytes(), MADE[name].pixel) for name in MADE]
    if real is not None:
        for name, pixel in (
            ("rosat/rosat.evt", 15.0),
            ("nicer/ngc300nicer_bary.evt", 0.0),
            ("rxte/xte_se_93087-01-02-11.evt.gz", 0.0),
            ("nustar/nu30101031002A_cut_evt.fits", 2.458),
        ):
            content = (real / name).read_bytes()
            found.append((gzip.decompress(content) if name.endswith(".gz") else content, pixel))
    return found


def run(place: Path, real: Path | None, count: int, seed: int) -> Counter[str]:
    """How often each outcome came, by the code of the error; anything that is not one of daxa's errors is raised."""
    lists, outcomes = sources(place, real), Counter()
    path = place / "harmed.fits"
    for number in range(count):
        random = np.random.default_rng([seed, number])
        content, pixel = lists[number % len(lists)]
        path.write_bytes(harm(content, random))
        try:
            with warnings.catch_warnings():
                # Dates that make no sense are not what is tested.
                warnings.simplefilter("ignore")
                use(path, pixel)
        except DaxaError as problem:
            assert problem.remedy
            outcomes[problem.code] += 1
        except BaseException as bug:
            bug.add_note(f"mutation {number} of seed {seed}")
            raise
        else:
            outcomes["read"] += 1
    return outcomes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("real", type=Path, help="directory of the real observations")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        outcomes = run(Path(place), arguments.real, arguments.count, arguments.seed)
    for code, times in outcomes.most_common():
        print(f"{times:>8} {code}")


if __name__ == "__main__":
    main()
