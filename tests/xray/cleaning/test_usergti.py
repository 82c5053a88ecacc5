"""Good time intervals that users give: what is meant is used, what may be meant otherwise is refused."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daxa.errors import DataError
from daxa.xray.cleaning.cleaned import write_gti
from daxa.xray.cleaning.cut import Cut
from daxa.xray.cleaning.usergti import apply_user_gtis, read_user_gti
from daxa.xray.eventlists.gti import intersect, normalise, total, union
from daxa.xray.eventlists.opening import open_events
from tests.xray.simulatedlists import START, event_list, moments, over_the_field

XMM = "xmm/0404910601/eclean/mos1_exp1_clean_evts.fits"
CHANDRA = "chandra/acis_18461_cena_evt2.fits"


@pytest.fixture(scope="module")
def events():
    rng = np.random.default_rng(1)
    rows = over_the_field(rng, moments(rng, np.full(100, 0.5), 10.0), (300, 9999))
    whole = {chip: np.array([[START, START + 400.0], [START + 500.0, START + 1000.0]]) for chip in (1, 2)}
    return event_list([rows], 1000.0, gtis=whole)


def table(pairs, name="GTI", **cards) -> fits.BinTableHDU:
    start, stop = np.array(pairs, dtype=float).reshape(-1, 2).T
    unit = fits.BinTableHDU.from_columns(
        [fits.Column("START", "D", unit="s", array=start), fits.Column("STOP", "D", unit="s", array=stop)], name=name
    )
    unit.header.update(cards)
    return unit


def written(path, *tables):
    fits.HDUList([fits.PrimaryHDU(), *tables]).writeto(path)
    return path


PAIRS = [(START + 100, START + 200), (START + 150, START + 450), (START + 900, START + 2000)]


def test_text_says_what_it_says(tmp_path, events):
    path = tmp_path / "good.txt"
    lines = [f"{a!r}, {b!r}  # one" if n else f"\t{a:.3f} {b:.3e}0" for n, (a, b) in enumerate(PAIRS)]
    lines[0] = f"{PAIRS[0][0]:.1f}   {PAIRS[0][1]:.1f} ! first"
    path.write_text("# start stop\n\n" + "\r\n".join(lines) + "\n")
    found = read_user_gti(path, events)
    assert set(found) == {1, 2}
    assert (found[1] == normalise(PAIRS)).all()
    left = apply_user_gtis(events, events.gtis, [path])
    assert (left[2] == intersect(PAIRS, events.gtis[2])).all()


@pytest.mark.parametrize("packed", [False, True])
def test_fits_says_what_it_says(tmp_path, events, packed):
    path = written(tmp_path / "good.fits", table(PAIRS, "STDGTI", MJDREF=50814.0))
    if packed:
        path = tmp_path / "good.fits.gz"
        path.write_bytes(gzip.compress((tmp_path / "good.fits").read_bytes()))
    assert (read_user_gti(path, events)[2] == normalise(PAIRS)).all()


def test_files_are_joined_and_then_cut_by_the_archives_own_times(tmp_path, events):
    one = written(tmp_path / "a.fits", table(PAIRS[:1]))
    two = tmp_path / "b.txt"
    two.write_text(f"{START + 350} {START + 600}\n")
    left = apply_user_gtis(events, events.gtis, [one, two])
    expected = intersect(union(PAIRS[:1], [(START + 350, START + 600)]), events.gtis[1])
    assert (left[1] == expected).all()
    assert apply_user_gtis(events, events.gtis, []) is events.gtis


def test_text_of_other_editors_is_read(tmp_path, events):
    path = tmp_path / "a.txt"
    path.write_bytes(f"\ufeff{START + 350}\t{START + 600} ; first orbit\r\n".encode())
    assert read_user_gti(path, events)[1].tolist() == [[START + 350, START + 600]]


def test_tables_of_chips_are_for_them_alone(tmp_path, events):
    path = written(
        tmp_path / "a.fits", table(PAIRS[:1], CCDID=1), table(PAIRS[1:2], CCDID=7), table(PAIRS[2:], "GTI_X")
    )
    left = apply_user_gtis(events, events.gtis, [path])
    assert (left[1] == intersect(union(PAIRS[:1], PAIRS[2:]), events.gtis[1])).all()
    assert (left[2] == intersect(PAIRS[2:], events.gtis[2])).all()
    only = written(tmp_path / "b.fits", table(PAIRS, CCDID=1))
    assert len(apply_user_gtis(events, events.gtis, [only])[2]) == 0


TEXTS = {
    "words": "start stop\n1 2\n",
    "three": "1 2 3\n",
    "one": "1\n",
    "nan": "nan 5\n",
    "infinite": "0 inf\n",
    "underscores": "1_0 2_0\n",
    "hexadecimal": "0x10 0x20\n",
    "backward": "5 6\n20 10\n",
    "empty": "",
    "comments": "# nothing\n",
    "elsewhere": "10 20\n",
    "huge": "1e300 1e999\n",
    "two in a line": f"{START} {START + 5};{START + 8} {START + 9}\n",
}


@pytest.mark.parametrize("name", TEXTS)
def test_bad_text_is_refused(tmp_path, events, name):
    path = tmp_path / "bad.txt"
    path.write_text(TEXTS[name])
    with pytest.raises(DataError) as problem:
        apply_user_gtis(events, events.gtis, [path])
    assert problem.value.code == "data.user-gti"
    assert "bad.txt" in problem.value.message


def no_columns() -> fits.BinTableHDU:
    return fits.BinTableHDU.from_columns([fits.Column("A", "D", array=np.zeros(2))], name="GTI")


TABLES = {
    "no table": lambda: fits.ImageHDU(np.zeros((2, 2))),
    "other name": lambda: table(PAIRS, "RATE"),
    "no columns": no_columns,
    "no rows": lambda: table([]),
    "nan": lambda: table([(float("nan"), 5.0)]),
    "backward": lambda: table([(START + 5, START)]),
    "another reference": lambda: table(PAIRS, MJDREFI=51910, MJDREFF=7.4e-4),
    "another system": lambda: table(PAIRS, TIMESYS="TDB"),
    "days": lambda: table(PAIRS, TIMEUNIT="d"),
    "a zero": lambda: table(PAIRS, TIMEZERO=5.0),
    "another chip": lambda: table(PAIRS, CCDID=9),
    "text columns": lambda: fits.BinTableHDU.from_columns(
        [fits.Column(name, "4A", array=np.array(["1", "2"])) for name in ("START", "STOP")], name="GTI"
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_bad_fits_is_refused(tmp_path, events, name):
    events.header["TIMESYS"] = "TT"
    path = written(tmp_path / "bad.fits", TABLES[name]())
    with pytest.raises(DataError) as problem:
        apply_user_gtis(events, events.gtis, [path])
    assert problem.value.code in {"data.user-gti", "data.column", "data.column-type"}


def test_the_same_clock_in_other_cards_is_accepted(tmp_path, events):
    path = written(tmp_path / "a.fits", table(PAIRS, MJDREFI=50814, MJDREFF=0.0, TIMEUNIT="s", TIMEZERO=0.0))
    assert (read_user_gti(path, events)[1] == normalise(PAIRS)).all()


def test_an_absent_file_a_directory_and_a_monster_are_refused(tmp_path, events):
    monster = tmp_path / "monster.txt"
    with monster.open("wb") as stream:
        stream.truncate((1 << 26) + 1)
    for path in (tmp_path / "absent.txt", tmp_path, monster):
        with pytest.raises(DataError) as problem:
            read_user_gti(path, events)
        assert problem.value.code == "data.user-gti"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.binary(max_size=300) | st.text(max_size=80).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_read_or_refused(tmp_path, events, content):
    path = tmp_path / "any"
    path.write_bytes(content)
    try:
        found = read_user_gti(path, events)
    except DataError:
        return
    assert all((good[:, 1] > good[:, 0]).all() for good in found.values())


@pytest.mark.parametrize("name", [XMM, CHANDRA])
def test_our_own_files_come_back_chip_by_chip(tmp_path, real_data, name):
    events = open_events(real_data / name)
    start = min(good[0, 0] for good in events.gtis.values())
    gtis = {chip: intersect(good, [(start + 500, start + 2000 + 100 * chip)]) for chip, good in events.gtis.items()}
    write_gti(tmp_path / "gti.fits", events, Cut((), gtis), {})
    left = apply_user_gtis(events, events.gtis, [tmp_path / "gti.fits"])
    assert {chip: good.tolist() for chip, good in left.items()} == {chip: good.tolist() for chip, good in gtis.items()}


def test_the_good_times_of_an_event_list_can_be_taken(real_data):
    events = open_events(real_data / XMM)
    other = open_events(real_data / "xmm/0404910601/eclean/mos2_exp1_clean_evts.fits")
    left = apply_user_gtis(events, events.gtis, [other.path])
    assert (left[1] == intersect(events.gtis[1], other.gtis[1])).all()
    assert 0 < total(left[1]) < total(events.gtis[1])
    # CCD 6 was dead here: it gets no time from the other camera's.
    assert set(left) == set(events.gtis)
