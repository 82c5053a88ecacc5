"""Live times against those that the observatories computed."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits

from daxa.errors import DataError
from daxa.xray.cleaning.cleaned import write_clean_events
from daxa.xray.cleaning.cut import Cut
from daxa.xray.cleaning.livetime import livetime, ontime
from daxa.xray.eventlists.opening import open_events
from tests.xray.madelists import make_list
from tests.xray.reallists import LISTS

XMM = [name for name in LISTS if name.startswith("xmm")]


@pytest.mark.parametrize("name", XMM)
def test_xmm_equals_sas_on_every_ccd(real_data, name):
    events = open_events(real_data / LISTS[name].path)
    good, live = ontime(events, events.gtis), livetime(events, events.gtis)
    assert sorted(live) == sorted(LISTS[name].tables)
    for chip in live:
        assert good[chip] == pytest.approx(events.header[f"ONTIME{chip:02d}"], abs=1e-6)
        assert live[chip] == pytest.approx(events.header[f"LIVETI{chip:02d}"], rel=1e-8)


def test_chandra_equals_the_archive_on_every_chip(real_data):
    events = open_events(real_data / LISTS["chandra-18461"].path)
    live = livetime(events, events.gtis)
    assert sorted(live) == [0, 1, 2, 3, 6]
    for chip, seconds in live.items():
        assert seconds == pytest.approx(events.header[f"LIVTIME{chip}"], rel=1e-9)


def test_nustar_equals_the_archive(real_data):
    events = open_events(real_data / LISTS["nustar-30101031002"].path)
    assert livetime(events, events.gtis)[0] == pytest.approx(events.header["LIVETIME"], abs=1e-6)


@pytest.mark.parametrize("name", LISTS)
def test_half_of_the_good_time_gives_about_half_of_the_live_time(real_data, name):
    """A cut of ours changes the live time, which a card of the header would not."""
    events = open_events(real_data / LISTS[name].path)
    whole = livetime(events, events.gtis)
    halved = {}
    for chip, good in events.gtis.items():
        middle = good[0, 0] + np.interp(0.5, np.linspace(0, 1, 2), [0, good[-1, 1] - good[0, 0]])
        halved[chip] = np.clip(good, None, middle)
    part = livetime(events, halved)
    seconds, all_seconds = ontime(events, halved), ontime(events, events.gtis)
    for chip, value in part.items():
        assert value < whole[chip]
        # Frames cut by the edges of intervals are lost: at most one (5.2 s) for each edge.
        assert value / whole[chip] == pytest.approx(seconds[chip] / all_seconds[chip], abs=0.02)


def test_no_good_time_is_no_live_time(real_data):
    for entry in LISTS.values():
        events = open_events(real_data / entry.path)
        assert set(livetime(events, dict.fromkeys(events.gtis, np.empty((0, 2)))).values()) == {0.0}


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("xmm-0404910601-m1", b"EXTNAME = 'EXPOSU03'", b"EXTNAME = 'EXPOSX03'"),
        ("chandra-18461", b"DTCOR   =  9.8693426381071E-01", b"DTCOR   =  9.8693426381071E+01"),
        ("chandra-18461", b"DTCOR   = ", b"DTXXX   = "),
        ("nustar-30101031002", b"DEADC   =    0.9", b"DEADC   =   -0.9"),
    ],
)
def test_an_unknown_live_time_is_an_error(real_data, tmp_path, name, old, new):
    target = tmp_path / "broken.fits"
    content = (real_data / LISTS[name].path).read_bytes()
    assert old in content
    target.write_bytes(content.replace(old, new))
    events = open_events(target)
    with pytest.raises(DataError) as problem:
        livetime(events, events.gtis)
    assert problem.value.code in {"data.livetime", "data.card"}


def test_an_impossible_live_fraction_is_an_error(real_data, tmp_path):
    source = open_events(real_data / LISTS["xmm-0404910601-m1"].path)
    table = source.find_table("EXPOSU01")
    content = bytearray(source.path.read_bytes())
    first = table.rows()[:1]
    place = content.find(first.tobytes())
    first = first.copy()
    first["FRACEXP"] = np.nan
    content[place : place + first.nbytes] = first.tobytes()
    (tmp_path / "nan.fits").write_bytes(content)
    events = open_events(tmp_path / "nan.fits")
    with pytest.raises(DataError, match="EXPOSU01"):
        livetime(events, events.gtis)


def test_rosat_einstein_and_others_take_the_card_they_have(real_data):
    rosat = open_events(real_data / "rosat/rosat.evt")
    assert livetime(rosat, rosat.gtis)[0] == pytest.approx(rosat.header["XS-LIVTI"])
    given = [(79487000.0, 79487000.0 + 4440.957031250007)]
    einstein = open_events(real_data / "einstein/ipc_8102_ctb109_fragment.fits", good_times=given)
    assert livetime(einstein, einstein.gtis)[0] == pytest.approx(einstein.header["LIVETIME"], rel=1e-6)
    nicer = open_events(real_data / "nicer/ngc300nicer_bary.evt")
    # The card says the whole seconds of a cut list.
    assert livetime(nicer, nicer.gtis)[0] == pytest.approx(nicer.header["EXPOSURE"], rel=1e-3)


@pytest.mark.parametrize(("ontime", "live"), [("0.0", "36342.0"), ("100.0", "200.0"), ("-1.0", "5.0")])
def test_an_impossible_quotient_is_an_error(tmp_path, ontime, live):
    path = make_list("ixpe-du2", tmp_path / "made.fits")
    with fits.open(path, mode="update") as units:
        units["EVENTS"].header["ONTIME"], units["EVENTS"].header["LIVETIME"] = ontime, live
    events = open_events(path)
    with pytest.raises(DataError, match="LIVETIME/ONTIME"):
        livetime(events, events.gtis)


PRIMARY_ONLY = [("suzaku-xis1", "DEADC"), ("swift-pc", "DEADC"), ("chandra-hrc-i", "DTCOR")]


@pytest.mark.parametrize(("name", "card"), PRIMARY_ONLY)
def test_a_live_fraction_that_only_the_primary_header_has_counts(tmp_path, name, card):
    path = make_list(name, tmp_path / "made.fits", count=20)
    with fits.open(path, mode="update") as units:
        units[1].header.remove(card, ignore_missing=True)
        units[0].header[card] = 0.0125
    events = open_events(path)
    assert livetime(events, events.gtis)[0] == pytest.approx(0.0125 * ontime(events, events.gtis)[0], rel=1e-12)
    assert "all of the good time is live" not in events.assumptions
    write_clean_events(tmp_path / "clean.fits", events, Cut((), events.gtis), {})
    clean = open_events(tmp_path / "clean.fits")
    assert livetime(clean, clean.gtis) == pytest.approx(livetime(events, events.gtis), rel=1e-12)
