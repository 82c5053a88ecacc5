"""Samples of objects from files and tables, good and bad."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.table import MaskedColumn, Table
from astropy.time import Time

from daxa.errors import CriteriaError
from daxa.query.criteria.sample import read_sample

WANTED = read_sample(
    {
        "name": ["0012", "B"],
        "ra": [149.5, 10.0],
        "dec": [-11.0, 5.0],
        "radius_arcmin": [30.0, 1.5],
        "start": [53005.0, ""],
        "end": ["", 55197.5],
    }
)


def write(path, kind):
    table = Table(
        {
            "Name": ["0012", "B"],
            "RA": [149.5, 10.0] * u.deg,
            "DEC": [-11.0, 5.0] * u.deg,
            "Radius": [0.5, 0.025] * u.deg,
        }
    )
    if kind == "parquet":
        fields = [pa.field("Name", pa.string()), pa.field("RA", pa.float64()), pa.field("DEC", pa.float64()),
                  pa.field("Radius", pa.float64(), metadata={"unit": "deg"}),
                  pa.field("Start", pa.float64()), pa.field("End", pa.string())]  # fmt: skip
        columns = [["0012", "B"], [149.5, 10.0], [-11.0, 5.0], [0.5, 0.025], [53005.0, None], ["", "2010-01-01T12:00"]]
        pq.write_table(pa.table([pa.array(c, f.type) for c, f in zip(columns, fields, strict=True)],
                                schema=pa.schema(fields)), path)  # fmt: skip
    elif kind == "csv":
        path.write_text(
            "Name, RA,DEC,radius_deg,Start,End\n0012, 09:58:00,-11:00:00,0.5,2004-01-01,\n"
            "B,00:40:00,+05:00:00,0.025,,2010-01-01T12:00:00\n"
        )
    else:
        table["start"] = MaskedColumn([53005.0, 0.0], mask=[False, True], unit="d")
        table["end"] = MaskedColumn([0.0, 55197.5], mask=[True, False], unit="d")
        table.write(path, format={"fits": "fits", "vot": "votable", "ecsv": "ascii.ecsv"}[kind])


@pytest.mark.parametrize("kind", ["csv", "fits", "vot", "ecsv", "parquet"])
def test_every_format_gives_the_same_sample(tmp_path, kind):
    path = tmp_path / f"sample.{kind}"
    write(path, kind)
    found = read_sample(path)
    assert found.names.tolist() == ["0012", "B"]
    np.testing.assert_allclose(found.ra, WANTED.ra, rtol=1e-14)
    np.testing.assert_allclose(found.radius, [30.0, 1.5], rtol=1e-14)
    assert found.start.tolist() == [53005.0, -np.inf]
    assert found.end.tolist() == [np.inf, 55197.5]
    assert read_sample(str(path)) == found


def test_tables_in_memory_give_the_same_sample():
    frame = pd.DataFrame(
        {
            "name": ["0012", "B"],
            "ra": [149.5, 10],
            "dec": [-11, 5],
            "radius_arcmin": [30, 1.5],
            "start": pd.to_datetime(["2004-01-01", None]),
            "end": [np.nan, 55197.5],
        }
    )
    assert read_sample(frame) == WANTED
    timed = Table(
        {
            "ra": [10.0] * u.deg,
            "dec": [5.0] * u.deg,
            "start": Time(["2004-01-01"]),
            "end": Time([55000.0], format="mjd"),
        }
    )
    assert read_sample(timed).start.tolist() == [53005.0]
    assert read_sample(Table({"ra": [1.0] * u.rad, "dec": [0.5] * u.rad})).ra[0] == pytest.approx(np.degrees(1))


def test_the_plain_form_gives_the_same_sample():
    plain = WANTED.to_plain()["sample"]
    assert plain["start"] == [53005.0, ""]
    assert read_sample(plain, files=False) == WANTED
    assert len({WANTED, read_sample(plain)}) == 1
    other = read_sample(plain | {"radius_arcmin": [30.0, 1.6]})
    assert other != WANTED
    assert other.identity() != WANTED.identity()


GOOD = {"ra": [1.0, 2.0], "dec": [3.0, 4.0]}


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"ra": [1.0]}, "no column dec"),
        ({"x": [1.0]}, "no column ra and dec"),
        ({}, "no columns"),
        ({"ra": [], "dec": []}, "0 rows"),
        ({"ra": [1.0], "dec": [1.0, 2.0]}, "differ in length"),
        (GOOD | {"RA": [1.0, 2.0]}, "several columns ra"),
        (GOOD | {"ra": [1.0, float("nan")]}, "row 2 of the sample: ra 'nan' is not a finite number"),
        (GOOD | {"ra": [1.0, 400.0]}, "row 2 .* not from 0 to 360"),
        (GOOD | {"ra": [-1.0, -2.0]}, r"row 1 .*\(and 1 more rows\)"),
        (GOOD | {"dec": [91.0, 0.0]}, "not from -90 to 90"),
        (GOOD | {"ra": ["1", "=cmd|'/c calc'!A1"]}, "row 2 .* not a finite number"),
        (GOOD | {"ra": ["1:2:3", "\x1b[2J"], "dec": ["1:2:3", "x"]}, "cannot be read"),
        (GOOD | {"ra": [True, False]}, "does not hold numbers"),
        (GOOD | {"radius": [1.0, 2.0]}, "has no unit"),
        (GOOD | {"radius_arcmin": [1.0, 0.0]}, "row 2 .* radius"),
        (GOOD | {"radius_deg": [1.0, 91.0]}, "row 2 .* radius"),
        (GOOD | {"radius_arcmin": [1.0, float("nan")]}, "row 2 .* radius"),
        (GOOD | {"start": [55000.0, 56000.0], "end": [55001.0, 55999.0]}, "row 2 .* not before the end"),
        (GOOD | {"start": ["2004-01-01", "yesterday"]}, "row 2 of the sample: start 'yesterday'"),
        (GOOD | {"start": [2004.0, 2005.0]}, "row 1 .* neither an MJD"),
        (GOOD | {"name": ["A", "B\x00"]}, "row 2 of the sample: name"),
        (GOOD | {"name": ["", "B"]}, "row 1 of the sample: name"),
        ({"ra": 1.0, "dec": 2.0}, "maps column names to lists"),
        ({"ra": [[1.0]], "dec": [2.0]}, "more than one value"),
        ({"ra": [[1.0], 2.0], "dec": [2.0, 2.0]}, "row 1"),
        (7, "not a sample"),
    ],
)
def test_bad_samples_are_one_error_that_names_the_row(columns, words):
    with pytest.raises(CriteriaError, match=words) as caught:
        read_sample(columns)
    assert caught.value.code == "criteria.sample"
    assert caught.value.message.isprintable()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.csv", b"", "cannot be read as csv"),
        ("x.csv", b"ra,dec\n", "0 rows"),
        ("x.csv", b"ra,dec\n1,\n", "row 1 of the sample: dec"),
        ("x.csv", b"\xff\xfe\x00", "cannot be read as csv"),
        ("x.fits", b"<html>not found</html>", "cannot be read as fits"),
        ("x.vot", b"<html>not found</html>", "cannot be read as votable"),
        ("x.parquet", b"PAR1", "cannot be read as parquet"),
        ("x.exe", b"MZ", "unknown format"),
    ],
)
def test_files_that_are_not_what_they_say(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CriteriaError, match=words):
        read_sample(tmp_path / name)
    with pytest.raises(CriteriaError, match=r"absent\.csv does not exist"):
        read_sample(tmp_path / "absent.csv")


def test_wrong_units_are_refused():
    with pytest.raises(CriteriaError, match="is not an angle"):
        read_sample(Table({"ra": [1.0] * u.s, "dec": [1.0] * u.deg}))
    with pytest.raises(CriteriaError, match="not in days"):
        read_sample(Table({"ra": [1.0], "dec": [1.0], "start": [1.0] * u.s}))


def test_no_file_is_read_where_that_is_forbidden(tmp_path):
    write(tmp_path / "sample.csv", "csv")
    with pytest.raises(CriteriaError, match="not a sample"):
        read_sample(tmp_path / "sample.csv", files=False)
