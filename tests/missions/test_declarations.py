"""Every mission's declaration, against the archives' real names."""

from __future__ import annotations

import csv
import json
import re

import pytest

from daxa.errors import CriteriaError, DataError
from daxa.missions import find_mission, mission_names
from daxa.missions.contract import HOSTILE_IDS, check_declaration, check_obs_ids, check_paths
from daxa.query.tables.services import build_query

REAL_PLACES = [
    ("xmm", "0201903501", "xmm/data/rev0/0201903501", "PPS/P0201903501PNS003PIEVLI0000.FTZ", {}),
    ("chandra", "12812", "chandra/data/byobsid/2/12812", "primary/acisf12812N003_evt2.fits.gz", {}),
    ("nustar", "71010003002", "nustar/data/obs/10/7/71010003002", "event_cl/nu71010003002A01_cl.evt.gz", {}),
    (
        "swift",
        "00020153006",
        "swift/data/obs/2010_12/00020153006",
        "xrt/event/sw00020153006xpcw3po_cl.evt.gz",
        {"start": 55544.2},
    ),
    (
        "nicer",
        "6060040431",
        "nicer/data/obs/2023_06/6060040431",
        "xti/event_cl/ni6060040431_0mpu7_cl.evt.gz",
        {"start": 60110.9},
    ),
    (
        "rosat",
        "RP500211N00",
        "rosat/data/pspc/processed_data/500000/rp500211n00",
        "rp500211n00_bas.fits.Z",
        {},
    ),
    ("rosat", "RH400344N00", "rosat/data/hri/processed_data/400000/rh400344n00", "rh400344n00_anc.fits.Z", {}),
    ("asca", "87036000", "asca/data/rev2/87036000", "screened/ad87036000g300370m.evt.gz", {}),
    (
        "xrism",
        "300049010",
        "xrism/data/obs/3/300049010",
        "resolve/event_cl/xa300049010rsl_p0px1000_cl.evt.gz",
        {},
    ),
    ("suzaku", "704015010", "suzaku/data/obs/7/704015010", "xis/event_cl/ae704015010xi1_0_3x3n069b_cl.evt.gz", {}),
    ("ixpe", "01903701", "ixpe/data/obs/01/01903701", "event_l2/ixpe01903701_det1_evt2_v02.fits.gz", {}),
    (
        "erass1",
        "053141",
        "srg/data/erosita/erass1/obs/141/053",
        "EXP_010/em01_053141_020_EventList_c010.fits.gz",
        {},
    ),
    (
        "maxi",
        "57115078",
        "maxi/data/obs/MJD57000/MJD57115",
        "events/gsc_low/mx_mjd57115_gsc_low_078.evt.gz",
        {},
    ),
    ("einstein", "i2030n40", "einstein/data/ipc/events", "i2030n40.xpb.Z", {}),
    ("halosat", "101601", "halosat/data/obs/101601", "products/hs101601_s14_cl.evt.gz", {}),
    # The observation's code is made up.
    ("bepposax", "20166001", "sax/data/events/20166001", "event_files/MECS2_20166001.evt.gz", {}),
    ("bepposax", "20166001", "sax/data/events/20166001", "event_files/MECS_20166001.evt.gz", {}),
    ("bepposax", "20166001", "sax/data/events/20166001", "event_files/LECS_20166001.evt.gz", {}),
]
"""Places of real observations: mission, ObsID, directory, a file below it, what else its table says."""

TEMPLATES = [
    # Written as the archive describes them; the observations' other numbers are made up.
    ("rxte", "93087-01-02-11", "rxte/data/archive/AO12/P93087/93087-01-02-11", {"cycle": 12}),
    ("integral", "005100410010", "integral/data/scw/0051/005100410010.001", {"scw_ver": "001 "}),
    ("rass", "RS931844N00", "rosat/data/pspc/processed_data/900000/rs931844n00", {}),
    ("hitomi", "100040010", "hitomi/data/obs/1/100040010", {}),
    ("xmm_slew", "9081400004", "xmm/data/rev0/9081400004", {}),
    ("erosita_calpv", "300007", "edr/eROSITAObservations/CalPvObs", {}),
]

MORE_FILES = [
    ("xmm", "0404910601", "PPS/P0404910601M1S001MIEVLI0000.FTZ", ("events", "M1")),
    ("xmm", "0404910601", "PPS/P0404910601M2U002MIEVLI0000.FTZ", ("events", "M2")),
    ("xmm", "0404910601", "PPS/P0404910601OBX000ATTTSR0000.FTZ", ("attitude", "")),
    ("xmm", "0404910601", "PPS/P0404910601PNS003TIEVLI0000.FTZ", ("events", "PN")),
    ("xmm", "0404910601", "PPS/P0404910601M1S001MIEVLI0000.FTZ.gpg", None),
    ("xmm", "0404910601", "PPS/P0404910602M1S001MIEVLI0000.FTZ", None),
    ("xmm", "0404910601", "PPS/P0404910601R1S004EVENLI0000.FTZ", None),
    ("chandra", "754", "primary/acisf00754N004_evt2.fits.gz", ("events", "ACIS")),
    ("chandra", "754", "primary/acisf00754_000N002_evt2.fits.gz", ("events", "ACIS")),
    ("chandra", "754", "primary/acisf10754N004_evt2.fits.gz", None),
    ("chandra", "1612", "primary/acisf01612_000N003_e1_evt2.fits.gz", ("events", "ACIS")),
    ("chandra", "1612", "primary/acisf01612_000N003_e2_bpix1.fits.gz", ("bad-pixel", "ACIS")),
    ("chandra", "1612", "primary/acisf01612_000N003_e3_evt2.fits.gz", None),
    ("chandra", "754", "primary/hrcf00754N004_evt2.fits.gz", ("events", "HRC")),
    ("chandra", "754", "secondary/acisf00754_000N004_evt1.fits.gz", None),
    ("chandra", "18461", "primary/pcadf18461_000N001_asol1.fits.gz", ("aspect", "")),
    ("nustar", "90410111001", "event_cl/nu90410111001B01_cl.evt.gz", ("events", "FPMB")),
    ("nustar", "90410111001", "event_cl/nu90410111001A06_cl.evt.gz", None),
    ("swift", "00020153006", "xrt/event/sw00020153006xpcw3po_cl.evt.gz", ("events", "XRT")),
    ("swift", "00020153006", "xrt/event/sw00020153006xwtw2po_cl.evt.gz", ("events", "XRT")),
    ("swift", "00020153006", "xrt/event/sw00020153006xwtw2st_cl.evt.gz", None),
    ("swift", "00020153006", "xrt/event/sw00020153006xwtw2sl_cl.evt.gz", None),
    ("xrism", "300049010", "resolve/event_cl/xa300049010rsl_p0px5000_cl.evt.gz", None),
    ("xrism", "300049010", "resolve/event_cl/xa300049010rsl_p0px0000_cl.evt.gz", None),
    ("xrism", "300049010", "resolve/event_cl/xa300049010rsl_p0px1000_cl.evt.gz", ("events", "RESOLVE")),
    ("asca", "87036000", "screened/ad87036000s000302h.evt.gz", ("events", "SIS0")),
    ("asca", "87036000", "screened/ad87036000s000302l.evt.gz", None),
    ("rosat", "RP500211N00", "rp500211n00_mex.fits", ("exposure-map", "")),
    ("rosat", "RP500211N00", "rp500211n00_raw.fits.Z", None),
    ("erass1", "053141", "EXP_010/eb01_053141_020_EventList_c010.fits.gz", ("events", "")),
    ("erosita_calpv", "300007", "eFEDS/300007/fm00_300007_020_EventList_c001.fits", ("events", "")),
    ("erosita_calpv", "700180", "pm00_700180_020_EventList_c001.fits", ("events", "")),
    ("erosita_calpv", "300007", "eFEDS/fm00_300008_020_EventList_c001.fits", None),
    ("erosita_calpv", "300007", "eFEDS/eROm00_300007_020_EventList_c001.fits", None),
    ("erass1", "053141", "EXP_010/em01_053144_020_EventList_c010.fits.gz", None),
    ("erass1", "053141", "DET_010/em01_053141_024_ExposureMap_c010.fits.gz", ("exposure-map", "")),
]

OTHERS_NAMES = {
    "xmm": ["404910601", "04049106011", "9123456789", 404910601, None],
    "chandra": ["0754", "123456", "0", 754, 18461],
    "nustar": ["3010103100", "030101031002", "30101031002A", 30101031002],
    "swift": ["20153006", "000020153006", 20153006],
    "rosat": ["rp500211n00", "RP50021", "RP500211N0", "RX500211N00", "RS500211N00"],
    "rass": ["RP931844N00", "RS931844", "rs931844n00"],
    "rxte": ["93087010211", "93087-1-2-11", "93087-01-02-1"],
    "erass1": ["361090", "000181", "53141", 53141],
    "erosita_calpv": ["30007", "eb01_300007", 300007],
    "integral": ["00510041001", "0051004100100"],
    "asca": ["8703600", 87036000],
    "suzaku": ["80105701", "8010570100"],
    "xrism": ["30004901", "000154000A", 154000],
    "nicer": ["60600404310", "606004043", 6060040431],
    "ixpe": ["1903701", 1903701],
    "xmm_slew": ["0404910601", "90814000041"],
    "halosat": ["10160", "1016010"],
    "maxi": ["57115", "57115800", "47115078"],
    "einstein": ["i2030", "I2030N40", "x2030n40", "3378"],
    "hitomi": ["10004001"],
    "bepposax": ["1", "2016600"],
    "exosat": ["1", "anything", "exosat1"],
}


@pytest.fixture(params=mission_names())
def spec(request):
    return find_mission(request.param)


def kind_of(spec, obs_id, path):
    found = [(item.kind, item.instrument) for item in spec.native_inputs if item.regex(obs_id).fullmatch(path)]
    assert len(found) <= 1
    return found[0] if found else None


def test_every_declaration_keeps_the_contract(spec):
    check_declaration(spec)


@pytest.mark.parametrize(("mission", "obs_id", "directory", "file", "row"), REAL_PLACES)
def test_a_real_observation_lies_where_the_archive_keeps_it(mission, obs_id, directory, file, row):
    check_paths(find_mission(mission), obs_id, directory, [file], row=row)


@pytest.mark.parametrize(("mission", "obs_id", "directory", "row"), TEMPLATES)
def test_directories_follow_the_archive_s_rule(mission, obs_id, directory, row):
    check_paths(find_mission(mission), obs_id, directory, row=row)


def test_every_known_directory_is_tested(spec):
    tested = {case[0] for case in (*REAL_PLACES, *TEMPLATES)}
    assert spec.name in tested or not spec.directory


@pytest.mark.parametrize("start", [None, float("nan"), 0.0, -5.0, 1e6, "2010-12-14"])
def test_a_directory_by_month_needs_a_start(start):
    with pytest.raises(DataError) as caught:
        find_mission("swift").directory_of("00020153006", {"start": start})
    assert caught.value.code == "data.no-directory"
    assert "00020153006" in caught.value.message


@pytest.mark.parametrize("version", ["", "../..", "001/x", None, "a b"])
def test_a_hostile_column_is_not_part_of_a_path(version):
    with pytest.raises(DataError):
        find_mission("integral").directory_of("005100410010", {"scw_ver": version})


@pytest.mark.parametrize(("mjd", "month"), [(53370.99, "2004_12"), (53371.0, "2005_01")])
def test_months_change_at_midnight(mjd, month):
    assert f"/{month}/" in find_mission("swift").directory_of("00020153006", {"start": mjd})


@pytest.mark.parametrize(("mission", "obs_id", "path", "kind"), MORE_FILES)
def test_files_are_distinguished_by_their_names(mission, obs_id, path, kind):
    spec = find_mission(mission)
    spec.check_obs_id(obs_id)
    assert kind_of(spec, obs_id, path) == kind


def test_obs_ids_of_another_form_or_type_are_refused(spec):
    check_obs_ids(spec, [], malformed=OTHERS_NAMES[spec.name])


@pytest.mark.parametrize("text", HOSTILE_IDS)
def test_a_refused_obs_id_says_how_to_write_it(spec, text):
    with pytest.raises(CriteriaError) as caught:
        spec.check_obs_id(text)
    assert caught.value.code == "criteria.obs-id"
    assert spec.id_example in caught.value.remedy


def test_real_obs_ids_are_accepted(spec, real_data):
    known = json.loads((real_data / "tables" / "heasarc_known_rows.json").read_text())
    if spec.table.name not in known or spec.name == "xmm_slew":
        pytest.skip(f"no recorded rows of {spec.title}")
    check_obs_ids(spec, [row["obsid"] for row in known[spec.table.name]])


HEADERS = {
    "NICER": "nicer",
    "NuSTAR": "nustar",
    "XTE": "rxte",
    "SWIFT": "swift",
    "XMM": "xmm",
    "XRISM": "xrism",
    "CHANDRA": "chandra",
    "eROSITA": "erosita_calpv",
}


@pytest.mark.parametrize("telescope", HEADERS)
def test_obs_ids_of_real_files_are_accepted(telescope, real_data):
    with (real_data / "tables" / "observations_from_headers.csv").open(newline="") as file:
        found = [row["obs_id"] for row in csv.DictReader(file) if row["telescop"] == telescope]
    assert found
    check_obs_ids(find_mission(HEADERS[telescope]), found)


def test_every_released_tile_is_an_obs_id(real_data):
    with (real_data / "tables" / "erass_de_dr1_info.csv").open(newline="") as file:
        tiles = [row["ObsID"] for row in csv.DictReader(file)]
    assert len(tiles) == 2447
    check_obs_ids(find_mission("erass1"), tiles)


def test_calibration_observations_come_in_the_files_that_the_archive_names(real_data):
    with (real_data / "tables" / "erosita_calpv_info.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    spec = find_mission("erosita_calpv")
    declared = {
        obs_id: (bundle.field, f"{spec.mirrors[0].root}/{spec.directory}/{bundle.file}")
        for bundle in spec.bundles
        for obs_id in bundle.obs_ids
    }
    assert declared == {row["ObsID"]: (row["Field_Name"], row["download"]) for row in rows}


def test_every_column_exists_in_the_service_s_table(spec, real_data):
    known = json.loads((real_data / "tables" / "heasarc_known_rows.json").read_text())["tap_columns_2026_09_07"]
    if spec.table.name not in known:
        pytest.skip(f"no recorded columns of {spec.table.name}")
    columns = set(known[spec.table.name].split())
    used = set(re.findall(r'"(\w+)"', build_query(spec, 1)))
    words = {word for text in spec.table.where for word in re.findall(r"[a-z]\w+", re.sub(r"'[^']*'", "", text))}
    assert {*spec.table.columns.values(), *spec.table.mode} <= used <= columns
    assert words - {"in", "not", "like", "or", "and"} <= columns


def test_names_are_found_whatever_their_case(spec):
    for instrument in spec.instruments:
        for name in (instrument.name, *instrument.aliases):
            assert spec.find_instrument(name.lower()) is instrument
    for name in (spec.name, *spec.aliases):
        assert find_mission(name.upper()) is spec


def test_wide_instruments_are_used_only_when_named(spec):
    wide = [instrument.name for instrument in spec.instruments if instrument.wide]
    for name in wide:
        assert spec.choose_instruments([name]) == (name,)
    if len(wide) < len(spec.instruments):
        assert set(spec.choose_instruments(())).isdisjoint(wide)
        return
    with pytest.raises(CriteriaError) as caught:
        spec.choose_instruments(())
    assert all(name in caught.value.remedy for name in wide)


def test_the_instruments_that_match_nearly_everything_are_wide():
    for mission, name in (("swift", "BAT"), ("integral", "SPI"), ("maxi", "GSC"), ("halosat", "SDD14")):
        assert find_mission(mission).find_instrument(name).wide
    assert find_mission("swift").default_instruments == ("XRT",)


def test_what_is_processed_is_what_the_event_formats_know():
    from daxa.xray.eventlists import formats

    known = {one.mission for one in formats.FORMATS.values()}
    processed = set(mission_names(processed=True))
    assert processed <= known, f"no telescope has formats of {processed - known}"
    assert known <= set(mission_names())


def test_the_bands_of_what_is_processed_are_those_of_its_instruments():
    """The edges are those of the band within a channel; the bands that ROSAT's channels name are wider."""
    from daxa.errors import NotPossible
    from daxa.xray.eventlists import formats
    from daxa.xray.eventlists.channels import pi_range
    from daxa.xray.telescopes import imaging_of

    for form in formats.FORMATS.values():
        spec = find_mission(form.mission)
        for band in imaging_of(form.mission).bands if spec.processed else ():
            channels = band.channels(form.instrument)
            if form.pi_to_kev is None:
                with pytest.raises(NotPossible):
                    pi_range(form, band.lo, band.hi, pi=channels)
                continue
            _, _, lo, hi = pi_range(form, band.lo, band.hi, pi=channels)
            slack = form.pi_to_kev[1] * (2.01 if form.mission in ("rosat", "rass") else 1.01)
            assert lo == pytest.approx(band.lo, abs=slack), (form.title, band)
            assert hi == pytest.approx(band.hi, abs=slack), (form.title, band)


def test_no_alias_means_two_missions():
    names = [name.lower() for mission in mission_names() for name in (mission, *find_mission(mission).aliases)]
    assert len(names) == len(set(names))


def test_an_unknown_mission_or_instrument_names_the_known_ones(spec):
    with pytest.raises(CriteriaError) as caught:
        find_mission("enterprise")
    assert spec.name in caught.value.remedy
    with pytest.raises(CriteriaError) as caught:
        spec.find_instrument("phaser")
    assert spec.instruments[0].name in caught.value.remedy
