"""Selections and VOTables as programs see them that know nothing of daxa: astropy, and STILTS (TOPCAT's engine)."""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
from xml.etree import ElementTree

import numpy as np
import pyarrow.parquet as pq
import pytest

from daxa.selection import COLUMNS, read_selection, write_selection
from daxa.simulator.tap import TableService, link_document
from tests.query.rows import XMM
from tests.selection.observations import observations

NAMESPACE = "{http://www.ivoa.net/xml/VOTable/v1.3}"
needs_stilts = pytest.mark.skipif(
    shutil.which("stilts") is None, reason="stilts is not installed (Debian: apt-get install stilts)"
)


@pytest.fixture
def selection(tmp_path):
    """A selection with all that makes tables awkward."""
    table = observations(
        {"obs_id": "0000000008", "target": "Größe <b>&amp; 21</b>", "public_date": np.nan, "ra": 0.1 + 0.2},
        {"obs_id": "0201901401", "target": "", "start": np.nan, "end": np.nan},
        {"exposure": np.nan},
    )
    path = tmp_path / "xmm.parquet"
    write_selection(path, table, mission="xmm", criteria='{"target":["Abell 907"]}', snapshot="f" * 64)
    return path


def test_astropy_reads_the_values_with_their_units(selection):
    from astropy.table import Table

    ours, theirs = read_selection(selection), Table.read(selection, format="parquet.votable")
    assert theirs.colnames == [column.name for column in COLUMNS]
    for column in COLUMNS:
        found = theirs[column.name]
        assert str(found.unit or "") == column.unit
        assert (found.description, found.meta.get("ucd", "")) == (column.description, column.ucd)
        if column.kind == "text":
            assert [str(text) for text in found] == ours[column.name].tolist()
        else:
            np.testing.assert_array_equal(np.ma.filled(found, np.nan), ours[column.name].to_numpy())


def votable_of(path) -> bytes:
    """The header of a VOParquet file, with the file's rows where the standard has them: one plain VOTable."""
    arrow = pq.read_table(path)
    root = ElementTree.fromstring(arrow.schema.metadata[b"IVOA.VOTable-Parquet.content"])  # noqa: S314 - our own
    (table,) = root.iter(f"{NAMESPACE}TABLE")
    rows = ElementTree.SubElement(ElementTree.SubElement(table, f"{NAMESPACE}DATA"), f"{NAMESPACE}TABLEDATA")
    for row in arrow.to_pylist():
        cells = ElementTree.SubElement(rows, f"{NAMESPACE}TR")
        for value in row.values():
            unknown = isinstance(value, float) and np.isnan(value)
            ElementTree.SubElement(cells, f"{NAMESPACE}TD").text = "NaN" if unknown else str(value)
    ElementTree.register_namespace("", NAMESPACE.strip("{}"))
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)


def stilts(*arguments: str) -> str:
    told = subprocess.run(["stilts", *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert told.returncode == 0, told.stderr
    return told.stdout


@needs_stilts
def test_stilts_finds_our_columns_units_and_values(selection, tmp_path):
    document = tmp_path / "xmm.vot"
    document.write_bytes(votable_of(selection))
    assert stilts("votlint", str(document)).strip() == ""
    described = stilts("tpipe", f"in={document}", "cmd=meta name class units ucd description", "ofmt=csv")
    kinds = {"text": "String", "float": "Double"}
    assert [tuple(row.values()) for row in csv.DictReader(io.StringIO(described))] == [
        (column.name, kinds[column.kind], column.unit, column.ucd, column.description) for column in COLUMNS
    ]
    ours = read_selection(selection).to_dict("records")
    theirs = list(csv.DictReader(io.StringIO(stilts("tpipe", f"in={document}", "ofmt=csv"))))
    assert len(theirs) == len(ours) == 3
    for column in COLUMNS:
        found = [row[column.name] for row in theirs]
        if column.kind == "text":
            assert found == [row[column.name] for row in ours]
        else:
            numbers = [float(text) if text else np.nan for text in found]
            np.testing.assert_array_equal(numbers, [row[column.name] for row in ours])


@needs_stilts
@pytest.mark.parametrize(
    "parameters",
    [
        {"QUERY": "SELECT TOP 5 * FROM xmmmaster"},
        {"QUERY": "SELECT TOP 5 * FROM xmmmaster", "RESPONSEFORMAT": "votable/td"},
        {"QUERY": "SELECT * FROM xmmmaster"},
        {"QUERY": "SELECT COUNT(*) AS n FROM xmmmaster"},
        {"QUERY": "SELECT nothing FROM nowhere"},
    ],
)
def test_what_the_sample_observatory_answers_is_votable(tmp_path, parameters):
    """Tests that rely on it would prove little if it spoke a dialect of its own."""
    service = TableService({"xmmmaster": [XMM, XMM | {"obsid": "0000000002", "ra": None, "name": None}]}, row_cap=1)
    (tmp_path / "answer.vot").write_bytes(service.sync({"LANG": "ADQL", **parameters})[2])
    service.close()
    assert "ERROR" not in stilts("votlint", str(tmp_path / "answer.vot"))


@needs_stilts
def test_its_datalink_answer_is_votable(tmp_path):
    service = TableService({"xmmmaster": [XMM]})
    identifiers = ["ivo://nasa.heasarc/xmmmaster?2108", "ivo://nasa.heasarc/xmmmaster?0"]
    page = link_document(service, tmp_path, "http://127.0.0.1/FTP", "xmmmaster", identifiers)
    service.close()
    (tmp_path / "links.vot").write_bytes(page)
    assert "ERROR" not in stilts("votlint", str(tmp_path / "links.vot"))
