"""Faults that the reference package had in missions and filters; each test fails on code that has the fault."""

from __future__ import annotations

import json
import tomllib
from contextlib import contextmanager

import astropy.units as u
import numpy as np
import pytest
import tomlkit

from daxa.errors import CriteriaError
from daxa.missions import find_mission
from daxa.query import Mission, make_criteria, read_criteria
from daxa.query.tables.snapshot import take_snapshot
from daxa.settings import load_settings
from tests.missions.test_services import row_of
from tests.query.rows import XMM
from tests.query.service import serve, table_service

DIAGONAL = {"chandra": [str(1000 + n) for n in range(8)], "rosat": [f"RP5002{n:02d}N00" for n in range(8)],
            "xmm": [f"04049106{n:02d}" for n in range(8)]}  # fmt: skip


def rows_along(name):
    """Eight observations, each half a degree east of and a year after the one before."""
    spec = find_mission(name)
    columns, row = spec.table.columns, row_of(spec)
    for number, obs_id in enumerate(DIAGONAL[name]):
        start = 50000.0 + 365 * number
        change = {
            columns["obs_id"]: obs_id,
            columns["ra"]: 100 + number / 2,
            columns["dec"]: 0.0,
            columns["start"]: start,
        }
        yield row | change | ({columns["end"]: start + 1} if "end" in columns else {})


@contextmanager
def served(name, rows=None):
    """A mission whose table holds these rows."""
    with serve(table_service(list(rows_along(name) if rows is None else rows))) as service:
        yield Mission(name, service.settings())


def chosen(mission) -> list[str]:
    return mission.observations["obs_id"].tolist()


def replayed(mission, source):
    """The same mission from what an archive stores, through TOML and JSON."""
    plain = mission.criteria.to_plain()
    stored = [tomllib.loads(tomlkit.dumps(plain)), json.loads(json.dumps(plain))]
    (criteria,) = {read_criteria(mission.spec, one) for one in stored}
    return source.filter(criteria)


def test_arguments_given_by_position_are_recorded_as_given():
    """Effect there: a search within 5 deg replayed as one within the default, an inverted list as the list."""
    with served("xmm") as xmm:
        wide = xmm.filter(position=(100.0, 0.0), radius="1.1 deg")
        inverted = xmm.filter(~make_criteria(xmm.spec, obs_ids=DIAGONAL["xmm"][:2]))
        assert chosen(wide) == DIAGONAL["xmm"][:3]
        assert chosen(inverted) == DIAGONAL["xmm"][2:]
        assert chosen(replayed(wide, xmm)) == chosen(wide)
        assert chosen(replayed(inverted, xmm)) == chosen(inverted)
        with pytest.raises(TypeError):
            xmm.filter(None, (100.0, 0.0), "1.1 deg")  # only names say what is meant


def test_a_filter_that_fails_does_not_stop_later_ones_from_being_recorded():
    """Effect there: after one error no filter of any mission was in the history of that session."""
    with served("xmm") as xmm, served("chandra") as chandra:
        for bad in ({"radius": "1 parsec", "position": (1, 2)}, {"obs_ids": "x"}, {"time": (2, 1)}):
            with pytest.raises(CriteriaError):
                xmm.filter(**bad)
        with pytest.raises(CriteriaError):
            xmm.filter(position=(10.0, 80.0)).select()
        for mission in (xmm, chandra):
            near = mission.filter(position=(100.0, 0.0), radius="10 arcmin")
            assert near.criteria.to_plain() == {"position": [[100.0, 0.0]], "radius": "10 arcmin"}
            assert chosen(near) == DIAGONAL[mission.name][:1]


@pytest.mark.parametrize("name", ["chandra", "rosat", "xmm"])
@pytest.mark.parametrize("radius", [None, "20 arcmin"])
def test_a_positional_search_keeps_the_filters_before_it(name, radius):
    """Effect there: on Chandra and ROSAT the default search forgot every earlier filter, and chose other years."""
    with served(name) as mission:
        window = {"time": ("1996-06-01", "1998-06-01")}
        place = {"position": (100.5, 0.0)} | ({} if radius is None else {"radius": radius})
        dated, near = mission.filter(**window), mission.filter(**place)
        assert chosen(dated) == DIAGONAL[name][1:3]
        assert DIAGONAL[name][1] in chosen(near)
        both = dated.filter(**place)
        assert set(chosen(both)) == set(chosen(dated)) & set(chosen(near))
        assert both.criteria == near.filter(**window).criteria
        assert {*window, *place} <= set(both.criteria.to_plain())


def test_a_box_across_ra_0_holds_its_inside():
    """Effect there: the right ascensions were exchanged, and the complement was chosen."""
    rows = [XMM | {"obsid": f"00000000{n:02d}", "ra": (352.0 + n) % 360, "dec": 0.5} for n in range(16)]
    with served("xmm", rows) as xmm:
        inside = chosen(xmm.filter(box={"ra": (355, 3), "dec": (-1, 1)}))
        outside = chosen(xmm.filter(~make_criteria(xmm.spec, box={"ra": (355, 3), "dec": (-1, 1)})))
    assert inside == [row["obsid"] for row in rows if row["ra"] >= 355 or row["ra"] <= 3]
    assert len(inside) == 9
    assert sorted(inside + outside) == [row["obsid"] for row in rows]


@pytest.mark.parametrize("name", ["erass1", "erosita_calpv"])
def test_the_instruments_of_erosita_survive_being_stored(name):
    """Effect there: they could not be set after construction, so a reloaded mission had all of them."""
    mission = Mission(name).filter(instruments=["tm2", "TM1"])
    assert replayed(mission, Mission(name)).criteria.instruments == ("TM1", "TM2")
    assert Mission(name, criteria=mission.criteria.to_plain()).criteria.instruments == ("TM1", "TM2")
    assert mission.filter(instruments="TM2").criteria.instruments == ("TM2",)


def test_the_field_of_47_tucanae_is_spelt_as_its_file():
    """Effect there: its alias led to a field that does not exist."""
    (bundle,) = (bundle for bundle in find_mission("erosita_calpv").bundles if "700011" in bundle.obs_ids)
    assert bundle.field.startswith("47_TUC")
    assert bundle.file == "47_Tuc.tar.gz"
    assert len(bundle.obs_ids) == 8


def test_every_instrument_can_be_chosen_whatever_the_case_of_its_name():
    """Effect there: names were put in capitals and then compared with PICsIT, which was never found."""
    integral = find_mission("integral")
    for name in ("PICsIT", "picsit", "PICSIT"):
        assert make_criteria(integral, instruments=name).instruments == ("PICSIT",)
    row = row_of(integral) | {"good_isgri": 0.0, "good_jemx1": 0.0, "good_jemx2": 0.0, "good_spi": 0.0}
    with served("integral", [row]) as mission:
        found = mission.filter(obs_ids=integral.id_example, instruments="PICsIT").observations
    assert found["instruments"].tolist() == ["PICSIT"]


FILES = [
    ("xrism", "300049010", "events", "resolve/event_cl/xa300049010rsl_p0px1000_cl.evt"),
    ("xrism", "300049010", "image", "resolve/products/xa300049010rsl_p0px1000_cl.sky.img"),
    ("xrism", "300049010", "events", "xtend/event_cl/xa300049010xtd_p0300000a0_cl.evt"),
    ("xrism", "300049010", "image", "xtend/products/xa300049010xtd_p0300000a0_cl.sky.img"),
    ("asca", "87036000", "events", "screened/ad87036000g200170m.evt"),
    ("asca", "87036000", "events", "screened/ad87036000g300370m.evt"),
]


@pytest.mark.parametrize(("name", "obs_id", "kind", "path"), FILES)
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_products_are_found_compressed_or_not(name, obs_id, kind, path, suffix):
    """Effect there: XRISM's and ASCA GIS's files never matched, the first after .gz had been taken away."""
    products = find_mission(name).products
    assert [one.kind for one in products if one.regex(obs_id).fullmatch(path + suffix)] == [kind]


def test_no_product_of_bat_is_offered_that_does_not_exist():
    """Effect there: the pattern of BAT's events matched nothing, and the path that it led to was absent."""
    assert {one.instrument for one in find_mission("swift").products} == {"XRT", "UVOT"}


def test_the_survey_of_rosat_takes_instruments_as_others_do():
    """Effect there: naming the instruments of several missions at once was a TypeError for the survey."""
    spec = find_mission("rass")
    with served("rass", [row_of(spec)]) as mission:
        assert chosen(mission.filter(instruments="PSPC", everything=True)) == [spec.id_example]


@pytest.mark.parametrize("written", ["/data/store", "/data/store/", "/data//store/."])
def test_a_directory_may_be_written_with_or_without_a_slash(written):
    """Effect there: setting the path lost the slash, and data went to .../storexmm_pointed_raw."""
    place = load_settings(environ={"DAXA_STORE": written, "DAXA_CACHE": written}, user_file=None)
    assert (str(place.store / "xmm"), str(place.cache / "xmm")) == ("/data/store/xmm", "/data/store/xmm")


NOTHING = [
    {"position": (10.0, 80.0)},
    {"position": (10.0, 80.0), "radius": "1 arcmin"},
    {"sample": {"ra": [10.0, 20.0], "dec": [80.0, 80.0], "radius_arcmin": [1.0, 2.0]}},
    {"time": ("1980-01-01", "1981-01-01")},
    {"time": ("1995-10-10T00:01", "1995-10-11"), "inside": True},
    {"box": {"ra": (200, 210)}},
    {"region": "icrs; circle(10,80,0.1)"},
    {"moc": "5/0"},
    {"min_exposure": "900 Ms"},
    {"access": "proprietary"},
]


@pytest.mark.parametrize("asked", NOTHING)
@pytest.mark.parametrize("first", [{}, {"time": ("1995-01-01", "1999-01-01")}])
def test_a_filter_that_finds_nothing_says_so_and_spoils_nothing(asked, first):
    """Effect there: the mission's mask was blank after the error, and some filters raised none at all."""
    with served("chandra") as chandra:
        before = chandra.filter(**first)
        known = chosen(before)
        with pytest.raises(CriteriaError) as caught:
            before.filter(**asked).select()
        assert caught.value.code == "criteria.empty"
        assert "loosen" in caught.value.remedy
        assert chosen(before) == known
        assert len(known) >= 4


@pytest.mark.parametrize("radius", [31 * u.arcmin, 0.52 * u.deg, "0.52 deg", 1860 * u.arcsec])
def test_radii_with_units_are_stored(radius):
    """Effect there: a distance that was a Quantity could not be saved, so that no archive could be made."""
    with served("chandra") as chandra:
        near = chandra.filter(position=(100.0, 0.0), radius=radius)
        assert chosen(near) == chosen(replayed(near, chandra)) == DIAGONAL["chandra"][:2]


def test_more_than_a_thousand_radii_are_stored_in_full():
    """Effect there: they were written as text with "..." in the middle, which could not be read again."""
    count = 2500
    rng = np.random.default_rng(3)
    sample = {
        "ra": rng.uniform(99, 105, count),
        "dec": rng.uniform(-1, 1, count),
        "radius_arcmin": rng.uniform(1, 9, count),
    }
    with served("chandra") as chandra:
        near = chandra.filter(sample=sample)
        again = replayed(near, chandra)
        assert again.criteria == near.criteria
        assert again.criteria.to_plain()["sample"]["radius_arcmin"] == sample["radius_arcmin"].tolist()
        assert chosen(again) == chosen(near)
        assert "..." not in near.criteria.text


def test_a_mission_is_brought_up_to_date_with_its_filters():
    """Effect there: updating a live mission was an AttributeError."""
    rows = list(rows_along("chandra"))
    with serve(table_service(rows[:5])) as service:
        settings = service.settings()
        asked = Mission("chandra", settings).filter(time=("1996-06-01", None))
        assert chosen(asked) == DIAGONAL["chandra"][1:5]
        service.answer = table_service(rows)
        take_snapshot(asked.spec, settings, refresh=True)
        later = Mission("chandra", settings, criteria=asked.criteria.to_plain())
        assert chosen(later) == DIAGONAL["chandra"][1:]
        assert chosen(asked) == DIAGONAL["chandra"][1:5]


# What was seen by reading


def test_swift_observations_without_exposure_of_the_chosen_instrument_are_not_chosen():
    """Effect there: instruments without exposure were fetched."""
    spec = find_mission("swift")
    rows = [row_of(spec) | {"obsid": f"0002015300{n}", "xrt_exposure": float(n), "uvot_exposure": float(1 - n)}
            for n in (0, 1)]  # fmt: skip
    with served("swift", rows) as swift:
        assert chosen(swift) == ["00020153001"]
        assert chosen(swift.filter(instruments="UVOT")) == ["00020153000"]
        both = swift.filter(instruments=["XRT", "UVOT"]).observations
    assert both["instruments"].tolist() == ["UVOT", "XRT"]


def test_the_field_of_bat_decides_only_when_bat_is_named():
    """Effect there: its 50 degrees were the radius of every search of Swift."""
    row = row_of(find_mission("swift")) | {"ra": 100.0, "dec": 0.0}
    with served("swift", [row]) as swift:
        far = swift.filter(position=(130.0, 0.0))
        with pytest.raises(CriteriaError, match="no observation"):
            far.select()
        assert far.filter(instruments="BAT").observations["instruments"].tolist() == ["BAT"]
        assert swift.filter(position=(100.05, 0.05)).observations["instruments"].tolist() == ["XRT"]


@pytest.mark.parametrize("name", ["rosat", "rass"])
def test_the_end_of_a_rosat_observation_is_that_of_the_table(name):
    """Effect there: the exposure was taken for the duration, though ROSAT observed in pieces over days."""
    spec = find_mission(name)
    columns = spec.table.columns
    row = row_of(spec) | {columns["start"]: 48000.0, columns["end"]: 48004.5, columns["exposure"]: 2000.0}
    with served(name, [row]) as mission:
        (found,) = mission.observations.to_dict("records")
    assert (found["start"], found["end"], found["exposure"]) == (48000.0, 48004.5, 2000.0)


def test_xrism_fetches_only_the_chosen_instrument():
    """Effect there: both instruments were fetched whatever was chosen."""
    spec = find_mission("xrism")
    assert {item.instrument for item in spec.native_inputs} == {"RESOLVE", "XTEND"}
    (resolve,) = (item for item in spec.native_inputs if item.instrument == "RESOLVE")
    assert not resolve.regex("300049010").fullmatch("xtend/event_cl/xa300049010xtd_p0300000a0_cl.evt.gz")
