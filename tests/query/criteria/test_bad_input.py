"""Files and values as they should not be: one clear error each, that says what to do, and never wrong objects."""

from __future__ import annotations

import gzip
import json
import math

import astropy.units as u
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.table import Table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mocpy import MOC

from daxa.cli import main
from daxa.errors import CriteriaError, DaxaError, ServiceError
from daxa.missions import find_mission
from daxa.query import make_criteria
from daxa.query.criteria.areas import in_moc, read_moc, read_region
from daxa.query.criteria.coordinates import read_positions, read_radius
from daxa.query.criteria.sample import read_sample
from daxa.query.criteria.times import read_window
from daxa.query.tables.services import fetch_table
from daxa.query.untrusted import parse_votable
from daxa.text import one_line
from tests.query.service import Reply, serve, votable

XMM_SPEC = find_mission("xmm")
HUGE = pytest.param("9" * 10_000_000, id="huge")
OBJECTS = Table({"name": ["one", "two"], "ra": [10.0, 20.0] * u.deg, "dec": [5.0, -5.0] * u.deg})


def refusal(call, *arguments, **options) -> CriteriaError:
    """The error that a call ends in, which is one that people can be shown."""
    with pytest.raises(CriteriaError) as caught:
        call(*arguments, **options)
    error = caught.value
    assert error.message.isprintable()
    assert len(error.message) < 600
    assert len(error.remedy) > 10
    return error


def file_of(directory, kind, objects=OBJECTS):
    path = directory / f"sample.{kind}"
    if kind == "parquet":
        pq.write_table(pa.table({name: np.asarray(objects[name]) for name in objects.colnames}), path)
    else:
        form = {"fits": "fits", "vot": "votable", "ecsv": "ascii.ecsv", "csv": "ascii.csv"}[kind]
        objects.write(path, format=form, overwrite=True)
    return path


# Files of objects


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"ra,dec\n1,2,3,4\n", "more cells"),
        (b"ra,dec\n1,2,\n", "more cells"),
        (b"ra,dec\n1,2\n3,4,5\n", "Expected 2 fields"),
        (b"ra,dec\n1\n", "row 1 .* dec ''"),
        (b"ra,ra,dec\n1,2,3\n", "several columns 'ra'"),
        (b"ra;dec\n1;2\n", r"no column ra and dec \(it has 'ra;dec'\)"),
        (b"ra\tdec\n1\t2\n", "no column ra and dec"),
        (b"# mine\nra,dec\n1,2\n", "more cells"),
        (b"<!DOCTYPE html><html><body>log in</body></html>", "no column ra and dec"),
        (b"\x1b[2Jra,dec\n1,2\n", "no column ra"),
        (b"name,ra,dec\n\x1b]0;owned\x07,1,2\n", "row 1 .* name"),
        (b"name,ra,dec\n" + b"x" * 10_000_000 + b",1,2\n", "row 1 .* name"),
        (b"ra,dec\n" + b"9" * 10_000_000 + b",2\n", "row 1 .* ra"),
        (b"r" * 10_000_000 + b",dec\n1,2\n", "field limit"),
        ("name,ra,dec\nGröße,1,2\n".encode("latin-1"), "save it as UTF-8"),
        ("ra,dec\n1,2\n".encode("utf-16"), "save it as UTF-8"),
        (b'ra,dec\n1,"2\n', "EOF inside string"),
        (b"ra,dec\n12:00:00,10:00:00\n190.0,10.0\n", "row 2"),
        (b"ra,dec\n12:61:00,10:00:00\n", "cannot be read"),
        (b"ra,dec,radius_deg\n1,2,1e9\n", "row 1 .* radius"),
        (b"ra,dec,start,end\n1,2,2010-01-01,2009-01-01\n", "row 1 .* not before the end"),
        (b"ra,dec,start\n1,2,99999999999-01-01\n", "row 1 .* nor an ISO date"),
    ],
)  # fmt: skip
def test_csv_that_does_not_say_what_is_meant(tmp_path, content, words):
    path = tmp_path / "sample.csv"
    path.write_bytes(content)
    error = refusal(read_sample, path)
    assert error.code == "criteria.sample"
    with pytest.raises(CriteriaError, match=words):
        raise error


def test_csv_with_a_mark_of_its_encoding_is_read(tmp_path):
    (tmp_path / "sample.csv").write_bytes("\ufeffname,ra,dec\nGröße,1,2\n".encode())
    assert read_sample(tmp_path / "sample.csv").names.tolist() == ["Größe"]


def test_formulas_and_paths_in_names_stay_text(tmp_path):
    names = ["=cmd|'/c calc'!A1", "../../etc/passwd", "$(reboot)", "<script>", "'; DROP TABLE x"]
    assert read_sample({"name": names, "ra": [1.0] * 5, "dec": [2.0] * 5}).names.tolist() == names


@pytest.mark.parametrize("kind", ["fits", "vot", "ecsv", "parquet"])
@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.6])
def test_a_file_that_is_cut_off_is_refused(tmp_path, kind, part):
    path = file_of(tmp_path, kind)
    whole = path.read_bytes()
    assert len(read_sample(path)) == 2
    path.write_bytes(whole[: int(part * len(whole))])
    assert f"sample.{kind}" in refusal(read_sample, path).message


@pytest.mark.parametrize("kind", ["fits", "vot", "ecsv", "parquet", "csv"])
def test_no_rows_or_no_columns_are_refused(tmp_path, kind):
    assert "0 rows" in refusal(read_sample, file_of(tmp_path, kind, OBJECTS[:0])).message
    assert "no column dec (it has " in refusal(read_sample, file_of(tmp_path, kind, OBJECTS["name", "ra"])).message


@pytest.mark.parametrize("kind", ["fits", "vot", "ecsv", "parquet"])
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.floats(0, 0.999), patch=st.binary(min_size=1, max_size=3))
def test_a_damaged_file_is_refused_or_gives_objects_on_the_sky(tmp_path, kind, where, patch):
    path = file_of(tmp_path, kind)
    whole = path.read_bytes()
    start = int(where * len(whole))
    path.write_bytes(whole[:start] + patch + whole[start + len(patch) :])
    try:
        found = read_sample(path)
    except CriteriaError as error:
        assert error.message.isprintable()
        assert len(error.message) < 600
    else:
        assert ((found.ra >= 0) & (found.ra < 360) & (np.abs(found.dec) <= 90)).all()


def test_a_fits_header_that_promises_terabytes_costs_nothing(tmp_path):
    path = file_of(tmp_path, "fits")
    card = b"NAXIS2  =                    2"
    content = path.read_bytes()
    assert card in content
    path.write_bytes(content.replace(card, b"NAXIS2  =         999999999999"))
    assert "cut off" in refusal(read_sample, path).message
    path.with_suffix(".fits.gz").write_bytes(gzip.compress(b"\0" * 50_000_000))
    assert "not a FITS file" in refusal(read_sample, path.with_suffix(".fits.gz")).message


def test_fits_without_a_table_is_refused(tmp_path):
    fits.PrimaryHDU(np.zeros((4, 4))).writeto(tmp_path / "image.fits")
    assert "No table" in refusal(read_sample, tmp_path / "image.fits").message


DOCUMENT = (
    '<?xml version="1.0"?>{dtd}<VOTABLE version="1.3"><RESOURCE><TABLE><FIELD name="ra" datatype="double"/>'
    '<FIELD name="dec" datatype="double"/><FIELD name="name" datatype="char" arraysize="*"/>'
    "<DATA>{data}</DATA></TABLE></RESOURCE></VOTABLE>"
)
ROW = "<TABLEDATA><TR><TD>1</TD><TD>2</TD><TD>{name}</TD></TR></TABLEDATA>"
LAUGHS = "".join(f'<!ENTITY l{i + 1} "{f"&l{i};" * 10}">' for i in range(9))


@pytest.mark.parametrize(
    ("dtd", "data", "words"),
    [
        (f'<!DOCTYPE x [<!ENTITY l0 "ha">{LAUGHS}]>', ROW.format(name="&l9;"), "entities"),
        ('<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>', ROW.format(name="&a;"), "entities"),
        ("", '<BINARY><STREAM href="file:///etc/passwd"/></BINARY>', "elsewhere"),
        ("", '<BINARY2><STREAM\n  encoding="none" href = "http://127.0.0.1:9/x"/></BINARY2>', "elsewhere"),
        ("", '<FITS><v:STREAM xmlns:v="x" href="/etc/passwd"/></FITS>', "elsewhere"),
    ],
)
def test_a_votable_reads_no_other_file_and_no_address(tmp_path, dtd, data, words):
    document = DOCUMENT.format(dtd=dtd, data=data)
    (tmp_path / "x.vot").write_text(document)
    assert words in refusal(read_sample, tmp_path / "x.vot").message
    (tmp_path / "x.vot").write_text(document, encoding="utf-16")
    assert "UTF-8" in refusal(read_sample, tmp_path / "x.vot").message
    with pytest.raises(ValueError, match=words):
        parse_votable(document.encode())


def test_neither_does_the_answer_of_a_service(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(np.array([1, 2], dtype=">f8").tobytes())
    body = DOCUMENT.format(dtd="", data=f'<BINARY><STREAM href="{secret.as_uri()}"/></BINARY>').encode()
    with (
        serve(lambda query: Reply(votable([{"n": 1}], ["n"]) if "COUNT" in query else body)) as service,
        pytest.raises(ServiceError, match="elsewhere") as caught,
    ):
        fetch_table(XMM_SPEC, service.settings())
    assert caught.value.code == "service.malformed"


def test_a_votable_with_several_tables_is_ambiguous(tmp_path):
    path = file_of(tmp_path, "vot")
    text = path.read_text()
    start, end = text.index("<TABLE"), text.index("</TABLE>") + len("</TABLE>")
    path.write_text(text[:end] + text[start:end] + text[end:])
    assert "2 tables" in refusal(read_sample, path).message


@pytest.mark.parametrize(
    "columns",
    [
        {"ra": pa.array([[1.0], [2.0]]), "dec": pa.array([3.0, 4.0])},
        {"ra": pa.array([1.0, None]), "dec": pa.array([3.0, 4.0])},
        {"ra": pa.array([math.nan, 1.0]), "dec": pa.array([3.0, 4.0])},
        {"ra": pa.array([True, False]), "dec": pa.array([3.0, 4.0])},
        {"ra": pa.array([b"\xff", b"\xfe"]), "dec": pa.array([3.0, 4.0])},
    ],
)
def test_parquet_cells_that_are_no_coordinates(tmp_path, columns):
    pq.write_table(pa.table(columns), tmp_path / "x.parquet")
    assert " ra " in refusal(read_sample, tmp_path / "x.parquet").message


def test_two_parquet_columns_of_one_name_are_ambiguous(tmp_path):
    twice = pa.Table.from_arrays([pa.array([1.0]), pa.array([2.0]), pa.array([3.0])], names=["ra", "ra", "dec"])
    pq.write_table(twice, tmp_path / "x.parquet")
    assert "several columns 'ra'" in refusal(read_sample, tmp_path / "x.parquet").message


@pytest.mark.parametrize(
    "name",
    [
        "\x1b[2J.csv",
        "a\0.csv",
        pytest.param("x" * 5000 + ".csv", id="huge"),
        "absent.csv",
        "absent.fits",
        "\u202ex.vot",
    ],
)
def test_names_of_files_that_do_not_exist(name):
    assert refusal(read_sample, name).code == "criteria.sample"


def test_a_directory_is_not_a_sample(tmp_path):
    (tmp_path / "x.csv").mkdir()
    assert "directory" in refusal(read_sample, tmp_path / "x.csv").message


def test_files_that_are_too_large_are_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr("daxa.query.criteria.sample_file._LARGEST_FILE", 200)
    assert len(read_sample(file_of(tmp_path, "csv"))) == 2
    for kind in ("fits", "vot", "ecsv", "parquet"):
        assert "larger than 200 bytes" in refusal(read_sample, file_of(tmp_path, kind)).message
    monkeypatch.setattr("daxa.query.criteria.areas._LARGEST_MOC", 200)
    (tmp_path / "x.txt").write_text("5/" + " ".join(str(2 * cell) for cell in range(200)))
    assert "larger than 200 bytes" in refusal(read_moc, tmp_path / "x.txt").message


# Areas


@pytest.mark.parametrize(
    "text",
    [
        "icrs; circle(1,2,3,4,5)",
        pytest.param("icrs; circle(1,2," + "9" * 100_000 + ")", id="digits"),
        "icrs; \x1b[2J(1,2,3)",
        "icrs; cir\x9b2Jcle(1,2,3)",
        pytest.param("icrs; " + "(" * 100_000, id="nested"),
        "icrs; annulus(1,2,5,3)",
        "icrs; circle(1,2,3s)",
        "icrs; circle(nan,nan,1)",
        pytest.param("icrs\n" + "circle(1,2,0.1)\n" * 10_001, id="many"),
    ],
)
def test_regions_that_do_not_say_what_is_meant(text):
    assert refusal(read_region, text, files=False).code == "criteria.region"


@pytest.mark.parametrize(
    "content", ["icrs; circle(1,2,3)".encode("utf-16"), b"# \xf6\nicrs; circle(1,2,3)", b"", b"\0"]
)
def test_files_of_regions_that_are_not_valid(tmp_path, content):
    (tmp_path / "x.reg").write_bytes(content)
    assert refusal(read_region, tmp_path / "x.reg").code == "criteria.region"


@settings(max_examples=150, deadline=None)
@given(where=st.integers(0, 60), patch=st.text(min_size=1, max_size=3))
def test_a_damaged_region_is_refused_or_is_a_region(where, patch):
    text = "icrs\ncircle(10,20,0.5)\n-box(10,20,1,0.5,30)\npolygon(1,2,3,4,5,1)"
    try:
        read_region(text[:where] + patch + text[where + len(patch) :], files=False)
    except CriteriaError as error:
        assert error.message.isprintable()
        assert len(error.message) < 600


@pytest.mark.parametrize(
    "text", ["3/5-2", "0/12", "3/768", "29/3458764513820540928", "30/1", "3/1-99999999999999999999", "3/1 3/1", "3/-1"]
)
def test_cells_that_do_not_exist_are_not_a_moc(tmp_path, text):
    assert refusal(read_moc, text, files=False).code == "criteria.moc"
    (tmp_path / "x.txt").write_text(text)
    assert refusal(read_moc, tmp_path / "x.txt").code == "criteria.moc"


@pytest.mark.parametrize(
    "orders",
    [{"3": [99999]}, {"3": [-1]}, {"99": [1]}, {"3": [1, "x"]}, {"x": [1]}, {"3": 1}, [1], "3/1", {"3": [True]}],
)
def test_json_that_is_not_a_moc(tmp_path, orders):
    (tmp_path / "x.json").write_text(json.dumps(orders))
    assert refusal(read_moc, tmp_path / "x.json").code == "criteria.moc"


def test_mocs_of_every_form_hold_the_same_cells(tmp_path):
    moc = MOC.from_string("3/1-4 5/9999 7/")
    for name, form in (("x.json", "json"), ("x.txt", "ascii"), ("x.fits", "fits")):
        moc.save(tmp_path / name, format=form)
        assert MOC.from_string(read_moc(tmp_path / name)) == moc
    assert read_moc("3/1,2,3-4 5/9999") == read_moc("3/1-4\n5/ 9999\n")
    assert in_moc("0/0-11", np.array([10.0]), np.array([20.0])).all()


@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.67])
def test_a_moc_that_is_cut_off_is_refused(tmp_path, part):
    path = tmp_path / "x.fits"
    MOC.from_string("3/1-4 5/9999").save(path, format="fits")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(part * len(whole))])
    assert refusal(read_moc, path).code == "criteria.moc"


# Single values


@pytest.mark.parametrize(
    "value", ["\u0663,\u0664", "12:60:00,10:00:00", "12:00:00,10:00:61", HUGE, (10**400, 2), "\x1b[2J"]
)
def test_positions_that_would_be_another_place(value):
    assert refusal(read_positions, value).code == "criteria.position"


@pytest.mark.parametrize(
    "value", [pytest.param("1" * 10_000_000 + " deg", id="huge"), "1e400 deg", 10 * u.deg / u.s, "15\u2032", "181 deg"]
)
def test_radii_that_are_not_valid(value):
    assert refusal(read_radius, value).code == "criteria.radius"


@pytest.mark.parametrize(
    "value",
    [
        ("0001-01-01T00:00+14:00", None), ("9999-12-31T23:59-14:00", None), (10**400, None),
        pytest.param(("9" * 10_000_000, None), id="huge"),
        (np.array([1.0, 2.0]), "2004-01-01"), ("2010-01-01", "2004-01-01"), ("2004", None), (b"2004-01-01", None),
    ],
)  # fmt: skip
def test_moments_that_are_not_valid(value):
    assert refusal(read_window, value).code == "criteria.time"


def test_an_mjd_may_be_written_as_text():
    """As command lines have it."""
    assert read_window(("53005", " 53006.5 ")) == (53005.0, 53006.5)


@pytest.mark.parametrize(
    "obs_id", ["../../etc/passwd", "0404910601\n", "=1+1", "\x1b[2J", HUGE, "\uff10404910601", None]
)
def test_malformed_obs_ids(obs_id):
    error = refusal(make_criteria, XMM_SPEC, obs_ids=[obs_id])
    assert error.code == "criteria.obs-id"
    assert "0404910601" in error.remedy


@given(text=st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
def test_whatever_is_shown_is_printable_and_short(text):
    assert one_line(text, 50).isprintable()
    assert len(one_line(text, 50)) <= 50


# On the command line


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """No service can be asked, so that whatever is said comes from the input alone."""
    monkeypatch.setenv("DAXA_OFFLINE", "1")
    monkeypatch.setenv("DAXA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("DAXA_CONFIG", str(tmp_path / "none.toml"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "longer.csv").write_text("ra,dec\n1,2,3,4\n")
    (tmp_path / "cut.fits").write_bytes(file_of(tmp_path, "fits").read_bytes()[:5000])
    (tmp_path / "bomb.vot").write_text(
        DOCUMENT.format(dtd='<!DOCTYPE x [<!ENTITY a "b">]>', data=ROW.format(name="&a;"))
    )
    (tmp_path / "escape.csv").write_text("\x1b[2Jra,dec\n1,2\n")
    (tmp_path / "bad.reg").write_text("icrs; circle(1,2,3,4)")
    (tmp_path / "bad.json").write_text('{"3": [99999]}')


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--sample", "longer.csv"], "more cells"),
        (["--sample", "cut.fits"], "cut.fits cannot be read as fits"),
        (["--sample", "bomb.vot"], "entities"),
        (["--sample", "escape.csv"], "no column ra"),
        (["--sample", "absent.csv"], "absent.csv does not exist"),
        (["--region", "bad.reg"], "a circle of the DS9 region"),
        (["--moc", "bad.json"], "no cells 99999"),
        (["--position", "nan,nan"], "is not a valid position"),
        (["--position", "400,10"], "not on the sky"),
        (["--position", "10,20", "--radius", "1e9deg"], "a radius of 1e9deg"),
        (["--position", "10,20", "--radius", "5"], "is not a valid radius"),
        (["--start", "2010-01-01", "--end", "2004-01-01"], "reversed"),
        (["--position", "10,20", "--min-exposure", "5 apples"], "is not a valid exposure"),
    ],
)
def test_the_command_says_it_in_one_line_without_a_traceback(offline, capsys, arguments, words):
    assert main(["search", "--mission", "xmm", *arguments]) == CriteriaError.exit_code
    said = capsys.readouterr()
    assert said.out == ""
    error, remedy = said.err.strip().splitlines()
    assert error.startswith("error: ")
    assert words in error
    assert remedy.strip().startswith("-> ")
    assert (error + remedy).isprintable()


def test_an_mjd_on_the_command_line_is_understood(offline, capsys):
    code = main(["search", "--mission", "xmm", "--start", "53005", "--end", "53006"])
    assert code == ServiceError.exit_code  # it is the table that is missing, not the time
    assert "53005" not in capsys.readouterr().err


def test_errors_survive_being_sent_between_processes():
    import pickle

    error = refusal(read_sample, "absent.csv")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert isinstance(again, DaxaError)
    assert (again.code, again.message, again.remedy) == (error.code, error.message, error.remedy)
