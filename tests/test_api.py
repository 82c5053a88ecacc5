"""The Python interface takes names, numbers, places and bands in every usual form, or says what it takes."""

from __future__ import annotations

import json
import pickle
import traceback

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord

import daxa
from daxa.archive.config import Creator
from daxa.errors import ArchiveError, ConfigError, CriteriaError
from daxa.query import Criteria
from tests.analysis.fields import Pointing, make_archive

FIRST, SECOND, OTHER = "0012345600", "0012345601", "18461"
FIELDS = (
    Pointing("xmm", FIRST, "M1", 149.6, -11.0, 1),
    Pointing("xmm", FIRST, "M1", 149.6, -11.0, 2, band=(2.0, 10.0)),
    Pointing("xmm", SECOND, "M2", 149.7, -11.0, 3),
    Pointing("chandra", OTHER, "ACIS", 149.6, -11.0, 4),
)
PLACE = {"ra": [149.6], "dec": [-11.0]}


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> daxa.Archive:
    root = tmp_path_factory.mktemp("api") / "made"
    make_archive(root, FIELDS)
    return daxa.open(root)


def seen(archive, targets=None, **asked: object) -> set[tuple[str, str, float]]:
    table = archive.coverage(PLACE if targets is None else targets, workers=1, **asked).table
    return set(zip(table["obs_id"], table["instrument"], table["lo_kev"], strict=True))


ALL = {(FIRST, "M1", 0.5), (FIRST, "M1", 2.0), (SECOND, "M2", 0.5), (OTHER, "ACIS", 0.5)}
SOFT = {one for one in ALL if one[2] == 0.5}


def test_an_error_says_all_it_knows_wherever_it_is_shown():
    error = CriteriaError("position", "'12h' is not a valid position", remedy="give RA,DEC in degrees")
    assert str(error) == "'12h' is not a valid position\n  -> give RA,DEC in degrees"
    assert "give RA,DEC" in "".join(traceback.format_exception(error))
    again = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (str(again), again.message, again.code) == (str(error), error.message, error.code)


def test_the_command_line_says_each_part_of_an_error_once(tmp_path, monkeypatch, capsys):
    from daxa.cli import main

    monkeypatch.chdir(tmp_path)
    assert main(["status"]) == 5
    said = capsys.readouterr().err
    assert said.count("not a daxa archive") == said.count("daxa init") == said.count("->") == 1
    assert main(["status", "--json"]) == 5
    told = json.loads(capsys.readouterr().err)
    assert "->" not in told["message"] + told["remedy"]


def test_a_missing_file_is_named_with_its_whole_path(tmp_path):
    make_archive(tmp_path / "made", FIELDS[:1])
    image = next((tmp_path / "made").rglob("*-image.fits"))
    image.unlink()
    with pytest.raises(ArchiveError) as caught:
        daxa.open(tmp_path / "made").coverage(PLACE)
    assert str(image) in str(caught.value)
    assert "daxa run" in str(caught.value)


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ({}, ALL),
        ({"missions": "xmm"}, {one for one in ALL if one[0] != OTHER}),
        ({"missions": "XMM-Newton"}, {one for one in ALL if one[0] != OTHER}),
        ({"missions": daxa.Mission("chandra")}, {(OTHER, "ACIS", 0.5)}),
        ({"missions": ["xmm", daxa.Mission("chandra")]}, ALL),
        ({"obs_ids": FIRST}, {(FIRST, "M1", 0.5), (FIRST, "M1", 2.0)}),
        ({"obs_ids": 18461}, {(OTHER, "ACIS", 0.5)}),
        ({"obs_ids": np.array([18461])}, {(OTHER, "ACIS", 0.5)}),
        ({"obs_ids": (FIRST, 18461), "bands": "0.5-2"}, {(FIRST, "M1", 0.5), (OTHER, "ACIS", 0.5)}),
        ({"instruments": "M2"}, {(SECOND, "M2", 0.5)}),
        ({"instruments": ["mos2", "ACIS-I"]}, {(SECOND, "M2", 0.5), (OTHER, "ACIS", 0.5)}),
        ({"bands": (0.5, 2)}, SOFT),
        ({"bands": [0.5, 2]}, SOFT),
        ({"bands": "0.5-2 keV"}, SOFT),
        ({"bands": "500-2000 eV"}, SOFT),
        ({"bands": [0.5, 2] * u.keV}, SOFT),
        ({"bands": (500 * u.eV, 2 * u.keV)}, SOFT),
        ({"bands": ["0.5-2", (2, 10)]}, ALL),
    ],
    ids=lambda value: None if isinstance(value, set) else str(value),
)
def test_coverage_understands_every_form_of_request(archive, asked, wanted):
    assert seen(archive, **asked) == wanted


@pytest.mark.parametrize(
    "targets",
    [
        SkyCoord(149.6, -11.0, unit="deg"),
        SkyCoord(149.6, -11.0, unit="deg").galactic,
        (149.6, -11.0),
        (149.6 * u.deg, -11.0 * u.deg),
        [149.6, -11.0] * u.deg,
        "149.6,-11.0",
        "09:58:24,-11:00:00",
        [(149.6, -11.0)],
        SkyCoord([149.6], [-11.0], unit="deg"),
        "Abell 907",
        ["Abell 907"],
    ],
    ids=str,
)
def test_coverage_understands_places_and_names(archive, targets, monkeypatch):
    def resolve(names, settings):
        return dict.fromkeys(names, (149.6, -11.0))

    monkeypatch.setattr("daxa.query.tables.name_resolution.resolve_names", resolve)
    assert seen(archive, targets) == ALL


def test_places_and_names_keep_their_order(archive, monkeypatch):
    monkeypatch.setattr(
        "daxa.query.tables.name_resolution.resolve_names", lambda names, _: dict.fromkeys(names, (149.65, -11.0))
    )
    found = archive.coverage(["A 2", (149.7, -11.0), "149.6,-11", "A 1"], bands="0.5-2", workers=1).table
    assert found.drop_duplicates("row")["target"].tolist() == ["A 2", "149.7,-11.0", "149.6,-11.0", "A 1"]


@pytest.mark.parametrize(
    ("asked", "kind", "told"),
    [
        ({"missions": "xnm"}, CriteriaError, ("did you mean xmm?", "xmm, chandra")),
        ({"missions": 7}, CriteriaError, ("7", "daxa.Mission")),
        ({"obs_ids": "0012345602"}, ArchiveError, ("did you mean 0012345600", "daxa ls")),
        ({"obs_ids": 12345600}, CriteriaError, ("numbers lose leading zeros", '"0012345600"')),
        ({"obs_ids": 18461.0}, CriteriaError, ("18461.0", "quotation marks")),
        ({"instruments": "M3"}, CriteriaError, ("there is no instrument 'M3'", "xmm: PN, M1, M2")),
        ({"bands": "soft"}, CriteriaError, ("'soft'", "(0.5, 2) in keV")),
        ({"bands": 0.5}, CriteriaError, ("0.5", "(0.5, 2) in keV")),
        ({"bands": (2, 0.5)}, CriteriaError, ("(2, 0.5)", "(0.5, 2) in keV")),
        ({"bands": (1 * u.m, 2 * u.m)}, CriteriaError, ("not an energy band", "(0.5, 2) in keV")),
        ({"targets": 7}, CriteriaError, ("'7'", "SkyCoord")),
        ({"targets": []}, CriteriaError, ("'[]'", "SkyCoord")),
        ({"targets": [""]}, CriteriaError, ("''", "SkyCoord")),
        ({"targets": "absent.csv"}, CriteriaError, ("absent.csv", "does not exist")),
    ],
    ids=str,
)
def test_what_coverage_cannot_use_is_named_with_what_it_can(archive, asked, kind, told):
    with pytest.raises(kind) as caught:
        archive.coverage(asked.pop("targets", PLACE), **asked)
    assert all(word in str(caught.value) for word in told)


def test_a_mosaic_understands_one_band_and_one_name(archive, tmp_path):
    made = archive.mosaic(tmp_path / "one", missions="xmm", band="500-2000 eV")
    assert made.band == (0.5, 2.0)
    assert len(made.members) == 2
    other = archive.mosaic(tmp_path / "two", obs_ids=18461, band=[0.5, 2] * u.keV, instruments="ACIS")
    assert len(other.members) == 1


def test_products_by_every_name(archive):
    everything = archive.products()
    assert set(archive.products("xmm")["mission"]) == {"xmm"}
    assert set(archive.products(["xmm", daxa.Mission("chandra")])["mission"]) == {"xmm", "chandra"}
    assert set(archive.products(obs_id=18461)["obs_id"]) == {OTHER}
    assert len(archive.products(obs_id=[FIRST, SECOND, OTHER])) == len(everything)
    assert set(archive.products(kind=["image", "expmap"], band=(0.5, 2))["lo_kev"]) == {0.5}
    assert set(archive.products(instrument="mos1")["instrument"]) == {"M1"}
    assert len(archive.products(step="images")) + len(archive.products(step="clean")) <= len(everything)
    assert len(archive.products(kind="search")) == 0


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"kind": "imgae"}, "did you mean image?"),
        ({"mission": "swift"}, "choose from xmm, chandra"),
        ({"obs_id": "0404910601"}, "0404910601"),
        ({"instrument": "RGS"}, "xmm: PN, M1, M2"),
        ({"step": "cleen"}, "did you mean clean?"),
        ({"band": "0.5"}, "not an energy band"),
    ],
)
def test_products_that_cannot_be_are_an_error(archive, asked, told):
    with pytest.raises((ArchiveError, CriteriaError)) as caught:
        archive.products(**asked)
    assert told in str(caught.value)


def test_run_takes_one_mission_or_many(archive, monkeypatch):
    asked = []
    running = "daxa.stages.run"
    monkeypatch.setattr(f"{running}.run_pipeline", lambda layout, config, missions, **_: asked.append(missions))
    for name in ("check_objects", "check_parameters", "check_products", "check_versions"):
        monkeypatch.setattr(f"{running}.{name}", lambda *_: None)
    monkeypatch.setattr(f"{running}.read_status", lambda *_: [])
    monkeypatch.setattr(daxa.Archive, "status", lambda self: [])
    monkeypatch.setattr("daxa.api.processing.enter_archive", lambda layout: None)
    for missions in ("xmm", ["xmm"], "XMM-Newton", daxa.Mission("xmm")):
        archive.run(missions)
    assert asked == [("xmm",)] * 4
    with pytest.raises(CriteriaError, match="swift"):
        archive.run("swift")


def test_a_selection_takes_one_mission_or_many(archive, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "daxa.archive.choose.plan_selection", lambda layout, missions, **_: asked.append(missions and list(missions))
    )
    monkeypatch.setattr("daxa.api.selecting.enter_archive", lambda layout: None)
    archive.select("xmm")
    archive.update("xmm")
    archive.update(["chandra", "xmm"])
    archive.select()
    assert asked == [["xmm"], ["xmm"], ["chandra", "xmm"], None]
    near = daxa.Mission("xmm").filter(position=(1, 2))
    archive.select(near)
    assert asked[-1] == [near]
    with pytest.raises(CriteriaError, match="everything=True"):
        archive.select([daxa.Mission("xmm")])


@pytest.mark.parametrize("missions", ["xmm", daxa.Mission("xmm"), [daxa.Mission("xmm")], ["xmm"]], ids=str)
def test_the_whole_archive_of_a_mission_is_selected_only_on_purpose(tmp_path, monkeypatch, missions):
    made, asked = [], {}

    def create(directory, missions, **others):
        made.extend(missions)
        asked.update(others)
        return daxa.Archive(directory).layout

    monkeypatch.setattr("daxa.archive.create.create_archive", create)
    with pytest.raises(CriteriaError) as caught:
        daxa.Archive.create(tmp_path / "a", missions)
    assert "everything=True" in caught.value.remedy
    whole = daxa.Mission("xmm").filter(everything=True)
    daxa.Archive.create(tmp_path / "a", whole)
    assert made == [whole]
    for creators in ("Ada Byron", ["Ada Byron"], Creator(name="Ada Byron"), [Creator(name="Ada Byron")]):
        daxa.Archive.create(tmp_path / "a", whole, creators=creators, remote=tmp_path)
        assert asked["creators"] == [Creator(name="Ada Byron")]
    assert asked["remote"] == str(tmp_path)
    with pytest.raises(CriteriaError, match="is not a mission"):
        daxa.Archive.create(tmp_path / "a", [7])


def test_filters_understand_places_angles_and_numbers():
    xmm, chandra = daxa.Mission("xmm"), daxa.Mission("chandra")
    place = SkyCoord(149.6, -11.0, unit="deg")
    forms = [place, (149.6, -11.0), (149.6 * u.deg, -11 * u.deg), [149.6, -11.0] * u.deg, "149.6,-11"]
    assert {xmm.filter(position=form, radius=15 * u.arcmin).criteria.text for form in forms} == {
        xmm.filter(position=place, radius="0.25 deg").criteria.text
    }
    assert chandra.filter(obs_ids=18461).criteria == chandra.filter(obs_ids=["18461"]).criteria
    assert chandra.filter(obs_ids=np.array([18461, 3205])).criteria.obs_ids == ("18461", "3205")
    nustar = daxa.Mission("nustar").filter(obs_ids=30101031002)
    assert nustar.criteria.obs_ids == ("30101031002",)
    assert xmm.filter().criteria == Criteria()


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"obs_ids": 404910601}, ('"0404910601"', "numbers lose leading zeros")),
        ({"obs_ids": [True]}, ("not an ObsID",)),
        ({"obs_ids": 404910601.0}, ("quotation marks",)),
        ({"position": "Abell 907"}, ("target=",)),
        ({"target": SkyCoord(1, 2, unit="deg")}, ("position=",)),
        ({"target": (149.6, -11.0)}, ("position=",)),
        ({"position": (1, 2), "radius": 15}, ("unit",)),
        ({"instruments": "M3"}, ("no instrument 'M3'", "PN, M1")),
    ],
    ids=str,
)
def test_what_a_filter_cannot_use_is_named_with_what_it_can(asked, told):
    with pytest.raises(CriteriaError) as caught:
        daxa.Mission("xmm").filter(**asked)
    assert all(word in str(caught.value) for word in told)


def test_a_search_takes_missions_by_name_or_with_conditions(monkeypatch):
    asked = []

    def ask(missions, **_):
        asked.append([(one.name, one.criteria.to_plain()) for one in missions])
        raise CriteriaError("empty", "nothing", remedy="")

    monkeypatch.setattr("daxa.query.many_missions.query_missions", ask)
    near = daxa.Mission("xmm").filter(instruments="PN")
    for missions in ("xmm", near, [near], ["xmm", near]):
        with pytest.raises(CriteriaError, match="nothing"):
            daxa.search(missions, position=(1, 2))
    both, plain = {"position": [[1.0, 2.0]], "instruments": ["PN"]}, {"position": [[1.0, 2.0]]}
    assert asked == [[("xmm", plain)], [("xmm", both)], [("xmm", both)], [("xmm", plain), ("xmm", both)]]
    with pytest.raises(CriteriaError, match="did you mean xmm"):
        daxa.search("xnm", position=(1, 2))
    with pytest.raises(CriteriaError, match="does not name a mission"):
        daxa.search([None], position=(1, 2))


def test_notebooks_show_dates_and_units(archive):
    shown = archive.coverage(PLACE, bands="0.5-2", workers=1)._repr_html_()
    assert "<th>exposure (ks)</th>" in shown
    assert "1 of 1 objects" in shown


def test_what_is_wrong_with_an_archive_is_a_list(archive):
    assert all(hasattr(one, "remedy") for one in archive.check())
    with pytest.raises(ConfigError):
        daxa.Archive(archive.root / "absent").check()
