"""Every mission's declaration, against the archives' real names."""

from __future__ import annotations

import json
import re
from itertools import pairwise

import pytest

from daxa.errors import CriteriaError
from daxa.missions import find_mission, mission_names

REAL_FILES = {
    "xmm": (
        "0201903501",
        "xmm/data/rev0/0201903501/PPS/P0201903501PNS003PIEVLI0000.FTZ",
        ("events", "PN"),
    ),
    "chandra": (
        "12812",
        "chandra/data/byobsid/2/12812/primary/acisf12812N003_evt2.fits.gz",
        ("events", "ACIS"),
    ),
    "nustar": (
        "71010003002",
        "nustar/data/obs/10/7/71010003002/event_cl/nu71010003002A01_cl.evt.gz",
        ("events", "FPMA"),
    ),
}
"""One real path of each archive: ObsID, path below the root of the tree, what the file is."""

MORE_FILES = [
    ("xmm", "0404910601", "PPS/P0404910601M1S001MIEVLI0000.FTZ", ("events", "M1")),
    ("xmm", "0404910601", "PPS/P0404910601M2U002MIEVLI0000.FTZ", ("events", "M2")),
    ("xmm", "0404910601", "PPS/P0404910601OBX000ATTTSR0000.FTZ", ("attitude", "")),
    ("xmm", "0404910601", "PPS/P0404910601PNS003TIEVLI0000.FTZ", None),
    ("xmm", "0404910601", "PPS/P0404910601M1S001MIEVLI0000.FTZ.gpg", None),
    ("xmm", "0404910601", "PPS/P0404910602M1S001MIEVLI0000.FTZ", None),
    ("xmm", "0404910601", "PPS/P0404910601R1S004EVENLI0000.FTZ", None),
    ("chandra", "754", "primary/acisf00754N004_evt2.fits.gz", ("events", "ACIS")),
    ("chandra", "754", "primary/acisf00754_000N002_evt2.fits.gz", ("events", "ACIS")),
    ("chandra", "754", "primary/acisf10754N004_evt2.fits.gz", None),
    ("chandra", "754", "primary/hrcf00754N004_evt2.fits.gz", None),
    ("chandra", "754", "secondary/acisf00754_000N004_evt1.fits.gz", None),
    ("chandra", "18461", "primary/pcadf18461_000N001_asol1.fits.gz", ("aspect", "")),
    ("nustar", "90410111001", "event_cl/nu90410111001B01_cl.evt.gz", ("events", "FPMB")),
    ("nustar", "90410111001", "event_cl/nu90410111001A06_cl.evt.gz", None),
]

HOSTILE = [
    "",
    " ",
    "..",
    "../0404910601",
    "0404910601/..",
    "0404910601\n",
    "-rf",
    "~",
    "$(id)",
    "0404910601;ls",
    "٠٤٠٤٩١٠٦٠١",
    "0404910601\x00",
    "NaN",
]

OTHERS_NAMES = {
    "xmm": ["404910601", "04049106011", "9123456789", 404910601, None],
    "chandra": ["0754", "123456", "0", 754, 18461],
    "nustar": ["3010103100", "030101031002", "30101031002A", 30101031002],
}


@pytest.fixture(params=mission_names())
def spec(request):
    return find_mission(request.param)


def kind_of(spec, obs_id, path):
    found = [(item.kind, item.instrument) for item in spec.native_inputs if item.regex(obs_id).fullmatch(path)]
    assert len(found) <= 1
    return found[0] if found else None


def test_a_real_observation_lies_where_the_archive_keeps_it(spec):
    obs_id, path, kind = REAL_FILES[spec.name]
    assert spec.check_obs_id(obs_id) == obs_id
    directory = spec.directory_of(obs_id)
    assert path.startswith(f"{directory}/")
    below = path.removeprefix(f"{directory}/")
    assert kind_of(spec, obs_id, below) == kind
    assert any(below.startswith(f"{listing}/") for listing in spec.listings)


@pytest.mark.parametrize(("mission", "obs_id", "path", "kind"), MORE_FILES)
def test_files_are_told_apart_by_their_names(mission, obs_id, path, kind):
    spec = find_mission(mission)
    spec.check_obs_id(obs_id)
    assert kind_of(spec, obs_id, path) == kind


def test_the_example_is_an_obs_id(spec):
    assert spec.check_obs_id(spec.id_example) == spec.id_example


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_obs_ids_are_refused(spec, text):
    with pytest.raises(CriteriaError) as caught:
        spec.check_obs_id(text)
    assert caught.value.code == "criteria.obs-id"
    assert spec.id_example in caught.value.remedy


def test_obs_ids_of_another_form_or_type_are_refused(spec):
    for text in OTHERS_NAMES[spec.name]:
        with pytest.raises(CriteriaError):
            spec.check_obs_id(text)


def test_real_obs_ids_are_accepted(spec, real_data):
    known = json.loads((real_data / "tables" / "heasarc_known_rows.json").read_text())
    rows = known[spec.table.name]
    assert rows
    for row in rows:
        spec.check_obs_id(row["obsid"])


def test_every_column_exists_in_the_service_s_table(spec, real_data):
    known = json.loads((real_data / "tables" / "heasarc_known_rows.json").read_text())["tap_columns_2026_09_07"]
    if spec.table.name not in known:
        pytest.skip(f"no recorded columns of {spec.table.name}")
    columns = set(known[spec.table.name].split())
    used = {*spec.table.columns.values(), *(instrument.exposure for instrument in spec.instruments)} - {""}
    words = {word for text in spec.table.where for word in re.findall(r"[a-z]\w+", re.sub(r"'[^']*'", "", text))}
    assert used <= columns
    assert words - {"in", "not", "like", "or", "and"} <= columns


def test_the_table_maps_to_the_schema(spec):
    from daxa.selection import column_names

    assert set(spec.table.columns) <= set(column_names())
    assert {"obs_id", "target", "ra", "dec", "start", "exposure", "public_date"} <= set(spec.table.columns)
    assert 0.0 in spec.table.never_public


def test_row_cuts_use_no_reserved_word_as_a_column(spec):
    for text in spec.table.where:
        bare = re.sub(r"'[^']*'|\"[^\"]*\"", "", text)
        assert not re.search(r"\b(time|date|year|start|end|position|value)\b", bare, re.IGNORECASE)
        assert ";" not in bare
        assert "--" not in bare


def test_names_are_unique_and_found(spec):
    names = [name.upper() for instrument in spec.instruments for name in (instrument.name, *instrument.aliases)]
    assert len(names) == len(set(names))
    assert set(spec.default_instruments) <= {instrument.name for instrument in spec.instruments}
    for instrument in spec.instruments:
        assert spec.find_instrument(instrument.name.lower()) is instrument
        assert 0 < instrument.field_of_view.size <= instrument.field_of_view.radius
    for name in (spec.name, *spec.aliases):
        assert find_mission(name.upper()) is spec


def test_no_alias_means_two_missions():
    names = [name.lower() for mission in mission_names() for name in (mission, *find_mission(mission).aliases)]
    assert len(names) == len(set(names))


def test_inputs_lie_below_a_listed_directory_and_events_are_required(spec):
    for item in spec.native_inputs:
        assert item.pattern.split("/")[0] in spec.listings
        assert item.instrument in {"", *(instrument.name for instrument in spec.instruments)}
        item.regex(spec.id_example)
    events = {item.instrument for item in spec.native_inputs if item.kind == "events" and item.required}
    assert set(spec.default_instruments) <= events


def test_bands_share_no_channel(spec):
    ordered = sorted(spec.bands, key=lambda band: band.pi)
    for band in ordered:
        assert band.lo < band.hi
        assert band.pi[0] <= band.pi[1]
    for below, above in pairwise(ordered):
        assert below.pi[1] < above.pi[0]
        assert below.hi <= above.lo


def test_citations_are_bibcodes(spec):
    assert spec.acknowledgement
    for bibcode in spec.bibcodes:
        assert re.fullmatch(r"\d{4}[A-Za-z&.0-9]{14}[A-Z]", bibcode), bibcode


def test_an_unknown_mission_or_instrument_names_the_known_ones(spec):
    with pytest.raises(CriteriaError) as caught:
        find_mission("enterprise")
    assert spec.name in caught.value.remedy
    with pytest.raises(CriteriaError) as caught:
        spec.find_instrument("phaser")
    assert spec.instruments[0].name in caught.value.remedy
