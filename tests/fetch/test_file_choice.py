"""Which files are chosen: tables of listings and choices."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daxa.backends import find_backend
from daxa.errors import ConfigError, CriteriaError, DataError
from daxa.fetch.file_choice import absent_instruments, choose_files, literal_prefix
from daxa.missions import find_mission, mission_names

XMM, CHANDRA, NUSTAR = (find_mission(name) for name in ("xmm", "chandra", "nustar"))

XMM_PATHS = [
    "PPS/P0404910601PNS003PIEVLI0000.FTZ",
    "PPS/P0404910601PNU014PIEVLI0000.FTZ",
    "PPS/P0404910601M1S001MIEVLI0000.FTZ",
    "PPS/P0404910601M2S002MIEVLI0000.FTZ",
    "PPS/P0404910601PNS003TIEVLI0000.FTZ",
    "PPS/P0404910601R1S004EVENLI0000.FTZ",
    "PPS/P0404910601OBX000ATTTSR0000.FTZ",
    "PPS/P0404910601PNS003FBKTSR0000.FTZ",
    "PPS/P0404910601M1S001EXPMAP8000.FTZ",
    "PPS/P0404910601M1S001EXPMAP1000.FTZ",
    "PPS/P0404910602M1S001MIEVLI0000.FTZ",
    "PPS/INDEX.HTM",
]


def test_xmm_takes_chosen_cameras_and_what_they_share():
    chosen = choose_files(XMM, "0404910601", ["M1", "PN"], XMM_PATHS)
    assert [(choice.path[15:], choice.kind) for choice in chosen] == [
        ("M1S001EXPMAP8000.FTZ", "exposure-map"),
        ("M1S001MIEVLI0000.FTZ", "events"),
        ("OBX000ATTTSR0000.FTZ", "attitude"),
        ("PNS003FBKTSR0000.FTZ", "flare-background"),
        ("PNS003PIEVLI0000.FTZ", "events"),
        ("PNS003TIEVLI0000.FTZ", "events"),
        ("PNU014PIEVLI0000.FTZ", "events"),
    ]


def test_of_several_deliveries_the_newest_is_taken_and_the_others_are_known():
    paths = [
        "primary/acisf00754N002_evt2.fits.gz",
        "primary/acisf00754N010_evt2.fits.gz",
        "primary/acisf00754N003_evt2.fits.gz",
        "primary/pcadf00754_000N001_asol1.fits.gz",
        "primary/pcadf00754_001N002_asol1.fits.gz",
        "primary/pcadf00754_001N001_asol1.fits.gz",
    ]
    chosen = {choice.path: choice.older for choice in choose_files(CHANDRA, "754", ["ACIS"], paths, [r"primary/.*"])}
    assert chosen == {
        paths[1]: (paths[2], paths[0]),
        paths[3]: (),
        paths[4]: (paths[5],),
    }


def test_a_name_without_its_only_interval_is_of_the_same_file():
    paths = [
        "primary/acisf18461N003_evt2.fits.gz",
        "primary/acisf18461_000N004_evt2.fits.gz",
        "primary/acisf18461_000N004_bpix1.fits.gz",
        "primary/acisf18461N003_bpix1.fits.gz",
        "primary/acisf18461_001N003_bpix1.fits.gz",
    ]
    chosen = {choice.path: choice.older for choice in choose_files(CHANDRA, "18461", ["ACIS"], paths)}
    assert chosen == {paths[1]: (paths[0],), paths[2]: (paths[3],), paths[4]: ()}


@pytest.mark.parametrize("end", ["evt2", "bpix1"])
def test_the_exposure_before_and_behind_the_version_names_the_same_file(end):
    names = ("acisf01578_e1_N003", "acisf01578_000N004_e1", "acisf01578_e2N002", "acisf01578_000_e2_N003")
    paths = [f"primary/{name}_{end}.fits.gz" for name in (*names, "acisf01578_001N001_e1")]
    events = "primary/acisf01578_002N001_evt2.fits.gz"
    chosen = choose_files(CHANDRA, "1578", ["ACIS"], [*paths, events])
    found = {choice.path: choice.older for choice in chosen if choice.path != events}
    assert found == {paths[1]: (paths[0],), paths[3]: (paths[2],), paths[4]: ()}


def test_versions_of_ixpe():
    paths = [f"event_l2/ixpe01903701_det{unit}_evt2_v{version}.fits.gz" for unit in (1, 2) for version in ("02", "10")]
    chosen = choose_files(find_mission("ixpe"), "01903701", ["DU1", "DU2", "DU3"], paths)
    assert [choice.path for choice in chosen] == [paths[1], paths[3]]


@pytest.mark.parametrize("form", ["acisf01578_{}_N003", "acisf01578_000N003_{}", "acisf01578_{}N003"])
def test_alternating_exposures_are_two_lists(form):
    paths = [f"primary/{form.format(name)}_evt2.fits.gz" for name in ("e1", "e2")]
    chosen = choose_files(CHANDRA, "1578", ["ACIS"], paths)
    assert [choice.path for choice in chosen] == paths
    events = next(item.regex("1578") for item in CHANDRA.native_inputs if item.kind == "events")
    assert [events.fullmatch(path)["exposure"] for path in paths] == ["e1", "e2"]
    assert events.fullmatch("primary/acisf01578_000N003_evt2.fits.gz")["exposure"] == ""


def test_one_missing_camera_is_fine():
    chosen = choose_files(NUSTAR, "30101031002", ["FPMA", "FPMB"], ["event_cl/nu30101031002B01_cl.evt.gz"])
    assert [choice.path for choice in chosen] == ["event_cl/nu30101031002B01_cl.evt.gz"]


def test_chandra_pads_its_obs_id():
    paths = [
        "primary/acisf00754N003_evt2.fits.gz",
        "primary/pcadf00754_000N001_asol1.fits.gz",
        "primary/pcadf00754_001N001_asol1.fits.gz",
        "primary/acisf00754_000N003_fov1.fits.gz",
        "primary/acisf00754_000N003_bpix1.fits.gz",
        "secondary/acisf00754_000N003_msk1.fits.gz",
        "secondary/acisf00754_000N003_evt1.fits.gz",
        "primary/acisf00754N003_cntr_img2.fits.gz",
    ]
    kinds = [choice.kind for choice in choose_files(CHANDRA, "754", ["ACIS"], paths)]
    assert sorted(kinds) == ["aspect", "aspect", "bad-pixel", "events", "fov", "mask"]


@pytest.mark.parametrize("suffix", [".gpg", ".pgp", ".GPG"])
def test_encrypted_events_are_proprietary(suffix):
    paths = ["event_cl/nu30101031002A01_cl.evt.gz" + suffix, "event_cl/nu30101031002B01_cl.evt.gz"]
    with pytest.raises(DataError) as caught:
        choose_files(NUSTAR, "30101031002", ["FPMA", "FPMB"], paths)
    assert caught.value.code == "data.proprietary"
    assert "30101031002" in caught.value.message


@pytest.mark.parametrize(
    ("spec", "obs_id", "instruments", "paths"),
    [
        (NUSTAR, "30101031002", ["FPMA", "FPMB"], []),
        (NUSTAR, "30101031002", ["FPMA"], ["event_cl/nu30101031002B01_cl.evt.gz"]),
        (NUSTAR, "30101031002", ["FPMA"], ["event_cl/nu30101031002A06_cl.evt.gz"]),
        (NUSTAR, "30101031002", [], ["event_cl/nu30101031002A01_cl.evt.gz"]),
        (XMM, "0404910601", ["M2"], [path for path in XMM_PATHS if "M2" not in path]),
    ],
)
def test_no_events_is_an_error_with_a_name(spec, obs_id, instruments, paths):
    with pytest.raises(DataError) as caught:
        choose_files(spec, obs_id, instruments, paths)
    assert caught.value.code == "data.no-events"
    assert obs_id in caught.value.message


def test_extra_files_are_added():
    paths = [*XMM_PATHS, "ODF/MANIFEST.1234"]
    plain = choose_files(XMM, "0404910601", ["PN"], paths)
    more = choose_files(XMM, "0404910601", ["PN"], paths, [r"ODF/MANIFEST\..*", r"PPS/.*PIEVLI0000\.FTZ"])
    assert [choice.path for choice in more if choice.kind == "extra"] == ["ODF/MANIFEST.1234"]
    assert len(more) == len(plain) + 1


def test_malformed_extra_is_named():
    with pytest.raises(ConfigError) as caught:
        choose_files(XMM, "0404910601", ["PN"], XMM_PATHS, ["PPS/[unclosed"])
    assert "PPS/[unclosed" in caught.value.message


def test_unknown_instrument():
    with pytest.raises(CriteriaError):
        choose_files(XMM, "0404910601", ["HRI"], XMM_PATHS)


@given(st.permutations(XMM_PATHS), st.sampled_from([["PN"], ["M1", "M2"], ["M2", "M1"], ["PN", "M1", "M2"]]))
def test_order_of_listing_and_instruments_does_not_matter(paths, instruments):
    assert choose_files(XMM, "0404910601", instruments, paths * 2) == choose_files(
        XMM, "0404910601", sorted(instruments), sorted(XMM_PATHS)
    )


def test_obs_id_is_text_not_pattern():
    for name in mission_names():
        spec = find_mission(name)
        for item in spec.native_inputs:
            assert not item.regex(".*").fullmatch("PPS/P0404910601PNS003PIEVLI0000.FTZ")


@given(st.text("ab/.", min_size=1, max_size=6), st.sampled_from(["", "?", "*", "+", "{2}", ".*", "[ab]", "|b", "(a)"]))
def test_every_match_begins_with_the_literal_prefix(start, tail):
    pattern = re.compile(start.replace(".", r"\.") + tail)
    prefix = literal_prefix(pattern.pattern)
    for candidate in (start, start[:-1], start * 2, start + "a", start + "ab/", "b", start[:-1] + start[-1] * 2):
        if pattern.fullmatch(candidate):
            assert candidate.startswith(prefix)


def test_an_instrument_without_any_files_does_not_stop_another_that_has_all_of_its_own():
    spec = find_backend("heasoft").inputs(find_mission("swift"))
    spec = replace(find_mission("swift"), native_inputs=spec)
    name = "sw00020153006"
    auxiliary, image = f"auxil/{name}sat.fits.gz", f"uvot/image/{name}uw1_sk.img.gz"
    xrt = [f"xrt/event/{name}xpcw3po_uf.evt.gz", f"xrt/hk/{name}xhd.hk.gz"]

    def chosen(*paths: str) -> tuple[list[str], list[str]]:
        found = choose_files(spec, "00020153006", ["XRT", "UVOT"], [auxiliary, *paths])
        absent = absent_instruments(spec, "00020153006", ["XRT", "UVOT"], found)
        return [one.path for one in found if one.path != auxiliary], absent

    assert chosen(*xrt, image) == ([image, *xrt], [])
    assert chosen(*xrt) == (xrt, ["UVOT"])
    assert chosen(image) == ([image], ["XRT"])
    for paths, missing in (([], "housekeeping"), ([xrt[0]], "housekeeping"), ([xrt[1], image], "raw-events")):
        with pytest.raises(DataError) as refused:
            chosen(*paths)
        assert refused.value.code == f"data.no-{missing}"
    with pytest.raises(DataError, match="no ancillary file"):
        choose_files(spec, "00020153006", ["XRT", "UVOT"], [image])
    nustar = "event_cl/nu30101031002A01_cl.evt.gz"
    found = choose_files(NUSTAR, "30101031002", ["FPMA", "FPMB"], [nustar])
    assert absent_instruments(NUSTAR, "30101031002", ["FPMA", "FPMB"], found) == ["FPMB"]
