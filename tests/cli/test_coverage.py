"""The verbs coverage and mosaic, on an archive of images that were written by hand."""

from __future__ import annotations

import io
import json
import re

import pandas as pd
import pytest
from astropy.io import fits
from astropy.table import Table

import daxa
from daxa.cli import main
from tests.analysis.fields import Pointing, make_archive

FIELDS = (
    Pointing("xmm", "0012345600", "M1", 149.6, -11.0, 1),
    Pointing("xmm", "0012345600", "M1", 149.6, -11.0, 2, band=(2.0, 10.0)),
    Pointing("xmm", "0012345601", "M1", 149.7, -11.0, 3),
)
SAMPLE = "name,ra,dec\nnear,149.6,-11.0\nbetween,149.65,-11.02\nfar,10,20\n"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The current directory, beside the archive."""
    make_archive(tmp_path / "made", FIELDS)
    (tmp_path / "sample.csv").write_text(SAMPLE)
    monkeypatch.chdir(tmp_path / "made")
    return tmp_path


def test_a_table_for_people(place, capsys):
    assert main(["coverage", "../sample.csv", "--band", "0.5-2"]) == 0
    out, err = capsys.readouterr()
    table, legend = out.split("\n\n")
    heads, *lines = table.splitlines()
    assert re.split(r" {2,}", heads)[:5] == ["target", "mission", "ObsID", "instrument", "band (keV)"]
    assert "off-axis (arcmin)  exposure (ks)  counts  background (counts)  rate (count/s)" in heads
    assert [(line.split()[0], line.split()[2], line.split()[4]) for line in lines] == [
        ("near", "0012345600", "0.5-2"),
        ("near", "0012345601", "0.5-2"),
        ("between", "0012345600", "0.5-2"),
        ("between", "0012345601", "0.5-2"),
    ]
    assert "from the pointing of the observation" in legend
    assert "flat: the exposure map has no vignetting" in legend
    assert "not-measured" not in legend
    assert "2 of 3 objects lie in an image (2 images were searched)" in err


def test_every_mark_has_words_in_the_legend():
    from daxa.cli.coverage import _MARKS
    from daxa.xray.imaging.positions import Quality

    assert {one.name.lower().replace("_", "-") for one in Quality} <= _MARKS.keys()


def test_the_angle_is_that_to_the_pointing_whatever_the_map_says_of_its_axis(place):
    before = daxa.open(".").coverage("../sample.csv", bands="0.5-2").table
    for path in (place / "made").rglob("*en0.5_2.0keV-expmap.fits"):
        with fits.open(path, mode="update") as maps:
            # Nine pixels of four arcsec from the pointing, as where a camera's optical axis lies aside.
            maps[0].header["XCEN"], maps[0].header["YCEN"] = 130.0, 121.0
    after = daxa.open(".").coverage("../sample.csv", bands="0.5-2").table
    assert after["off_axis"].tolist() == before["off_axis"].tolist()
    first = after[(after["target"] == "near") & (after["obs_id"] == "0012345600")]
    assert first["off_axis"].tolist() == pytest.approx([0.0], abs=1e-9)


def test_places_and_names_may_be_given_for_a_sample(place, capsys):
    assert main(["coverage", "149.6,-11.0", "--band", "0.5-2 keV", "--obs", "0012345600", "--json"]) == 0
    (row,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (row["target"], row["obs_id"]) == ("149.6,-11.0", "0012345600")


@pytest.mark.parametrize(
    "verb", [["coverage", "../sample.csv"], ["mosaic", "-o", "../out"]], ids=lambda words: words[0]
)
@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--mission", "xnm"], 3, "choose from xmm"),
        (["--obs", "0012345602"], 5, "did you mean 0012345600"),
        (["--instrument", "M3"], 3, "xmm: PN, M1, M2"),
        (["--instrument", "PN"], 3, "there are images of M1"),
        (["--band", "0.4-2"], 3, "there are 0.5-2 keV, 2-10 keV"),
    ],
)
@pytest.mark.usefixtures("place")
def test_an_unknown_name_is_an_error_with_the_choices(capsysbinary, verb, arguments, code, told):
    assert main([*verb, *arguments]) == code
    assert told in capsysbinary.readouterr().err.decode()


def test_all_forms_hold_the_same(place, capsysbinary):
    table = daxa.open(".").coverage("../sample.csv").table
    assert main(["coverage", "../sample.csv", "--json"]) == 0
    records = [json.loads(line) for line in capsysbinary.readouterr().out.splitlines()]
    assert len(records) == len(table) == 6
    assert [record["obs_id"] for record in records] == table["obs_id"].tolist()
    assert [record["chance"] for record in records] == table["chance"].tolist()
    assert {record["rate"] is None for record in records} == {True, False}
    assert main(["coverage", "../sample.csv", "--csv"]) == 0
    read = pd.read_csv(io.BytesIO(capsysbinary.readouterr().out), dtype={"obs_id": str}, keep_default_na=False)
    assert read["obs_id"].tolist() == table["obs_id"].tolist()
    assert main(["coverage", "../sample.csv", "--votable"]) == 0
    votable = capsysbinary.readouterr().out
    told = Table.read(io.BytesIO(votable), format="votable")
    assert told["obs_id"].tolist() == table["obs_id"].tolist()
    assert told["limit"].tolist() == table["limit"].tolist()
    assert [str(told[name].unit) for name in ("exposure", "off_axis", "rate")] == ["s", "arcmin", "ct / s"]
    for name in ("out.csv", "out.vot", "out.jsonl"):
        assert main(["coverage", "../sample.csv", "-o", f"../{name}"]) == 0
    assert (place / "out.vot").read_bytes() == votable
    assert [json.loads(line) for line in (place / "out.jsonl").read_text().splitlines()] == records


def test_the_aperture_is_that_of_the_options(place, capsys):
    asked = ["--band", "0.5-2", "--obs", "0012345600", "--json"]
    assert main(["coverage", "../sample.csv", "--radius", "60", "--ring", "80,160", "--level", "0.99", *asked]) == 0
    wide = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert main(["coverage", "../sample.csv", *asked]) == 0
    plain = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["radius"] for row in wide] == [60.0, 60.0]
    assert all(one["background"] > other["background"] for one, other in zip(wide, plain, strict=True))


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["../absent.csv"], 3, "absent.csv"),
        (["../sample.csv", "--votable", "--csv"], 3, "one output format"),
        (["../sample.csv", "-o", "here.csv"], 5, "lies inside the archive"),
        (["../sample.csv", "-o", "../out.doc"], 3, ".jsonl"),
        (["../sample.csv", "--band", "soft"], 3, "'soft' is not an energy band"),
        (["../sample.csv", "--band", "2-0.5"], 3, "is not an energy band"),
        (["../sample.csv", "--ring", "nan,5"], 3, "is not a ring"),
        (["../sample.csv", "--radius", "-3"], 3, "-3"),
        (["../sample.csv", "--enclosed", "1.5"], 3, "1.5"),
        (["../sample.csv", "-o", "../no/such/out.csv"], 12, "cannot be written"),
    ],
)
def test_what_cannot_be_done_is_said(place, capsys, arguments, code, told):
    assert main(["coverage", *arguments]) == code
    err = capsys.readouterr().err
    assert told in err
    assert "->" in err


def test_an_image_that_is_damaged_leaves_the_others(place, capsys):
    path = next((place / "made").rglob("*0012345601*-image.fits"))
    path.write_bytes(path.read_bytes()[:5000])
    assert main(["coverage", "../sample.csv", "--csv"]) == 11
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 1 + 4
    assert "1 of 3 images could not be used" in err
    assert "daxa verify" in err


def test_a_mosaic_with_maps_of_the_sky(place, capsys):
    more = ["--moc", "../sky.moc.fits", "--healpix", "12", "--json"]
    assert main(["mosaic", "--band", "0.5-2", "-o", "../mosaic", *more]) == 0
    out, err = capsys.readouterr()
    files = {record["kind"]: record["path"] for record in map(json.loads, out.splitlines())}
    assert list(files) == ["image", "expmap", "ratemap", "quicklook", "moc", "healpix"]
    assert fits.getheader(files["image"])["MOSN"] == 2
    assert fits.getdata(files["healpix"], 1)["COUNTS"].sum() == fits.getdata(files["image"]).sum()
    assert "2 of them lack an event list" in err


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["-o", "../mosaic"], 3, "0.5-2 keV (xmm); 2-10 keV (xmm)"),
        (["-o", "mosaic", "--band", "0.5-2"], 5, "lies inside the archive"),
        (["-o", "../mosaic", "--band", "0.5-2", "--moc", "sky.fits"], 5, "lies inside the archive"),
        (["-o", "../mosaic", "--band", "0.5-2", "--moc", "../sample.csv"], 12, "already exists"),
        (["-o", "../mosaic", "--band", "0.5-2", "--weight", "M1"], 3, "'M1' is not a weight"),
    ],
)
def test_what_makes_no_mosaic_is_said(place, capsys, arguments, code, told):
    assert main(["mosaic", *arguments]) == code
    err = capsys.readouterr().err
    assert told in err
    assert "->" in err
    assert not (place / "mosaic").exists()
