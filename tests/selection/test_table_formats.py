"""Exports, read by astropy, STILTS and mocpy."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path

import astropy.units as u
import numpy as np
import pandas as pd
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import Table
from mocpy import MOC

from daxa.errors import CriteriaError, StorageError
from daxa.missions import FieldOfView, find_mission
from daxa.missions.tiling import tiles
from daxa.selection import COLUMNS
from daxa.selection.footprints import _field_parts, coverage
from daxa.selection.table_formats import FORMATS, export_bytes, table_format, votable_bytes, write_export
from tests.selection.observations import observations

NAN = float("nan")
XMM = observations(
    {},
    {
        "obs_id": "0012345678",
        "target": 'Abell 907 "é"<&,',
        "ra": 0.0,
        "dec": -89.999,
        "start": NAN,
        "end": NAN,
        "exposure": NAN,
        "public_date": NAN,
        "roll": NAN,
        "mode": "",
    },
).sort_values("obs_id", ignore_index=True)
CHANDRA = observations({"obs_id": "18461", "instruments": "ACIS-I", "roll": 123.4})
UNITS = {column.name: column.unit for column in COLUMNS if column.unit}


def written(tmp_path: Path, name: str, **tables: pd.DataFrame) -> Path:
    write_export(tmp_path / name, tables or {"xmm": XMM}, "Observations of a907")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    return tmp_path / name


def check(table: Table, rows: pd.DataFrame, *, digits: int = 17) -> None:
    """Every text and number is there, a missing one as nan or masked."""
    assert len(table) == len(rows)
    for column in COLUMNS:
        found, wanted = table[column.name], rows[column.name]
        if column.kind == "text":
            assert [str(cell) for cell in found] == wanted.tolist(), column.name
        else:
            numbers = np.ma.filled(np.ma.asarray(found, dtype=float), np.nan)
            np.testing.assert_allclose(numbers, wanted.to_numpy(), rtol=10.0**-digits, equal_nan=True)


@pytest.mark.parametrize("name", ["out.vot", "out.XML"])
def test_votables_are_read_by_astropy_with_units_and_systems(name, tmp_path):
    path = written(tmp_path, name)
    table = Table.read(path, format="votable")
    check(table, XMM)
    assert {column: str(table[column].unit) for column in UNITS} == UNITS
    assert table["ra"].meta["ucd"] == "pos.eq.ra;meta.main"
    from astropy.io.votable import parse

    document = parse(path, verify="exception")
    fields = {field.name: field for field in document.get_first_table().fields}
    assert document.resources[0].coordinate_systems[0].system == "ICRS"
    assert fields["ra"].ref == "icrs"
    assert fields["start"].ref == "utc"
    assert document.resources[0].time_systems[0].timescale.lower() == "utc"


def test_parquet_and_csv_are_read_by_astropy_and_pandas(tmp_path):
    table = Table.read(written(tmp_path, "out.parquet"), format="parquet.votable")
    check(table, XMM)
    assert {column: str(table[column].unit) for column in UNITS} == UNITS
    (tmp_path / "out.parquet").unlink()
    texts = {column.name: str for column in COLUMNS if column.kind == "text"}
    read = pd.read_csv(written(tmp_path, "out.csv"), dtype=texts, keep_default_na=False, na_values={"roll": [""]} | {
        column.name: [""] for column in COLUMNS if column.kind == "float"
    })  # fmt: skip
    check(Table.from_pandas(read), XMM)


@pytest.mark.parametrize("name", ["out.mrt", "out.txt"])
def test_machine_readable_tables_are_ascii_with_units(name, tmp_path):
    path = written(tmp_path, name)
    text = path.read_bytes().decode("ascii")
    assert "Title: Observations of a907" in text
    table = Table.read(path, format="ascii.mrt")
    plain = XMM.assign(target=[name.replace("é", "?") for name in XMM["target"]])
    assert table["obs_id"].tolist() == plain["obs_id"].tolist()
    assert table["target"].tolist() == plain["target"].tolist()
    assert table["mode"].tolist()[0] is np.ma.masked or str(table["mode"][0]) == "--"
    for column in ("ra", "dec", "start", "exposure"):
        assert str(table[column].unit) == UNITS[column]
        numbers = np.ma.filled(np.ma.asarray(table[column], dtype=float), np.nan)
        np.testing.assert_allclose(numbers, plain[column].to_numpy(), rtol=1e-12)


@pytest.mark.parametrize("suffix", FORMATS)
def test_equal_tables_give_equal_bytes(suffix):
    once, again = (export_bytes(suffix, {"xmm": XMM, "chandra": CHANDRA}, "both") for _ in range(2))
    assert once == again


@pytest.mark.parametrize("suffix", [".csv", ".vot", ".parquet"])
def test_several_missions_have_a_column_that_says_which(suffix):
    content = export_bytes(suffix, {"xmm": XMM, "chandra": CHANDRA}, "both")
    if suffix == ".csv":
        table = Table.from_pandas(pd.read_csv(io.BytesIO(content), dtype=str))
    elif suffix == ".vot":
        table = Table.read(io.BytesIO(content), format="votable")
    else:
        table = Table.from_pandas(pd.read_parquet(io.BytesIO(content)))
    assert [str(one) for one in table["mission"]] == ["xmm", "xmm", "chandra"]
    assert [str(one) for one in table["obs_id"]] == [*XMM["obs_id"], "18461"]


def test_a_votable_of_no_rows_and_of_pairs_is_whole():
    empty = Table.read(io.BytesIO(votable_bytes(XMM.iloc[:0], "none")), format="votable")
    assert len(empty) == 0
    assert str(empty["ra"].unit) == "deg"
    pairs = pd.DataFrame(
        {"target": ["A"], "target_ra": [1.0], "off_axis": [2.5], "approximate": [True], "owner": [False]}
    )
    read = Table.read(io.BytesIO(votable_bytes(pairs, "pairs")), format="votable")
    assert str(read["off_axis"].unit) == "arcmin"
    assert read["approximate"].tolist() == [True]
    assert read["owner"].tolist() == [False]


@pytest.mark.skipif(shutil.which("stilts") is None, reason="STILTS is not on this machine")
@pytest.mark.parametrize(("name", "form"), [("out.vot", "votable"), ("out.parquet", "parquet")])
def test_stilts_reads_them_with_units(name, form, tmp_path):
    path = written(tmp_path, name)
    command = ["stilts", "tpipe", f"in={path}", f"ifmt={form}", "omode=meta"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if f"No table handler available for {form}" in ended.stderr:
        pytest.skip(f"this STILTS was built without {form}")
    assert ended.returncode == 0, ended.stderr
    assert "deg" in ended.stdout
    if form == "votable":
        subprocess.run(["stilts", "votlint", f"votable={path}"], capture_output=True, text=True, check=True)


def test_a_coverage_map_holds_what_is_seen_and_nothing_else(tmp_path):
    table = observations({"ra": 359.95, "dec": 0.0, "instruments": "M1"})
    moc = MOC.from_fits(written(tmp_path, "out.moc.fits", xmm=table))
    radius = find_mission("xmm").find_instrument("M1").field_of_view.radius
    centre = SkyCoord(359.95, 0.0, unit="deg")
    turns = np.linspace(0, 360, 24, endpoint=False) * u.deg
    for factor, inside in ((0.95, True), (1.06, False)):
        ring = centre.directional_offset_by(turns, factor * radius * u.arcmin)
        assert (moc.contains_skycoords(ring) == inside).all()


def test_a_square_is_turned_by_its_roll():
    """Corners lie along the roll plus 45 degrees; without a roll the circle around the square is covered."""
    specs = [find_mission(name) for name in ("swift", "suzaku", "chandra", "xmm", "nustar", "xrism")]
    spec, instrument = next(
        (spec, one) for spec in specs for one in spec.instruments if one.field_of_view.shape == "square"
    )
    half = instrument.field_of_view.size
    table = observations({"obs_id": spec.id_example, "ra": 10.0, "dec": 60.0, "instruments": instrument.name})
    centre = SkyCoord(10.0, 60.0, unit="deg")
    for roll in (0.0, 30.0, 306.7):
        moc = coverage({spec.name: table.assign(roll=roll)})
        corners = centre.directional_offset_by((roll + 45 + 90 * np.arange(4)) * u.deg, 1.3 * half * u.arcmin)
        sides = centre.directional_offset_by((roll + 90 * np.arange(4)) * u.deg, 1.1 * half * u.arcmin)
        assert moc.contains_skycoords(corners).all()
        assert not moc.contains_skycoords(sides).any()
    around = coverage({spec.name: table.assign(roll=NAN)})
    assert around.contains_skycoords(sides).all()


def test_survey_tiles_are_covered_by_their_cells():
    caps = (tiles()[0], tiles()[-1])
    some = [*caps, *tiles()[1:4], tiles()[2300], tiles()[2349]]
    for tile in some:
        table = observations({"obs_id": tile.obs_id})
        (moc,) = _field_parts(FieldOfView("tile", 108.0), table)
        middle = SkyCoord((tile.ra_min + tile.ra_max) / 2, (tile.dec_min + tile.dec_max) / 2, unit="deg")
        assert moc.contains_skycoords(middle)
        area = (np.radians(tile.ra_max) - np.radians(tile.ra_min)) * (
            np.sin(np.radians(tile.dec_max)) - np.sin(np.radians(tile.dec_min))
        )
        assert moc.sky_fraction == pytest.approx(area / (4 * np.pi), rel=0.1)


def test_names_that_say_nothing_and_places_that_cannot_be_written(tmp_path):
    with pytest.raises(CriteriaError, match="has no known file ending"):
        table_format(tmp_path / "out.docx")
    with pytest.raises(StorageError):
        write_export(tmp_path / "absent" / "out.csv", {"xmm": XMM}, "t")
    assert not list(tmp_path.iterdir())
