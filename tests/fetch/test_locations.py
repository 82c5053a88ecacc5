"""Where an observation is: DataLink answers good, odd and hostile."""

from __future__ import annotations

import io
import time
from dataclasses import replace

import numpy as np
import pytest
from astropy.io.votable import from_table, writeto
from astropy.table import Table

from daxa.errors import DataError
from daxa.fetch.connection import RetryPolicy
from daxa.fetch.locations import Location, ObservationRef, directories_from_datalink, directory_urls, rebase
from daxa.missions import find_mission
from tests.fetch.conftest import Served, connected, status

XMM, CHANDRA, SWIFT = map(find_mission, ("xmm", "chandra", "swift"))


def datalink(rows: list[tuple[str, str, str]], fmt: str = "tabledata") -> bytes:
    """A DataLink answer as astropy writes it: address, content type, error message."""
    table = Table(
        {
            "ID": np.array(["ivo://nasa.heasarc/xmmmaster?2108"] * len(rows), dtype=object),
            "access_url": np.array([row[0] for row in rows], dtype=object),
            "content_type": np.array([row[1] for row in rows], dtype=object),
            "error_message": np.array([row[2] for row in rows], dtype=object),
            "content_length": np.arange(len(rows)),
        }
    )
    out = io.BytesIO()
    writeto(from_table(table), out, tabledata_format=fmt)
    return out.getvalue()


DIRECTORY = "https://heasarc.gsfc.nasa.gov/FTP/xmm/data/rev0//0112980201/"


@pytest.mark.parametrize("fmt", ["tabledata", "binary", "binary2"])
def test_directories_of_an_answer(fmt):
    rows = [
        ("https://h/FTP/xmm/preview.png", "image/png", ""),
        (DIRECTORY, "directory", ""),
        ("https://h/FTP/other/", "application/x-directory", ""),
        ("", "directory", "NotFoundFault: no data"),
    ]
    assert directories_from_datalink(datalink(rows, fmt)) == [DIRECTORY, "https://h/FTP/other/"]


TOO_SHORT = (
    b"<?xml version='1.0'?><VOTABLE version='1.4'><RESOURCE><TABLE><FIELD name='a' datatype='int'/><DATA><BINARY>"
    b"<STREAM encoding='base64'>AAA</STREAM></BINARY></DATA></TABLE></RESOURCE></VOTABLE>"
)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x00\xff",
        b"<html><body>down</body></html>",
        b"<?xml version='1.0'?><VOTABLE version='1.4'></VOTABLE>",
        TOO_SHORT,
        datalink([(DIRECTORY, "directory", "")])[:-200],
        datalink([(DIRECTORY, "directory", "")]).replace(b"access_url", b"something"),
    ],
)
def test_what_is_not_an_answer_gives_no_directory(body):
    assert directories_from_datalink(body) == []


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (DIRECTORY, "http://t/FTP/xmm/data/rev0/0112980201"),
        ("http://other.host:99/FTP/xmm/data/rev1/0112980201", "http://t/FTP/xmm/data/rev1/0112980201"),
        ("https://h/FTP/xmm/data/rev0/0112980202/", None),
        ("https://h/FTP/xmm/../../secret/0112980201/", None),
        ("https://h/FTP/xmm/%2e%2e/0112980201/", None),
        ("https://h/FTP/xmm/a%2fb/0112980201/", None),
        ("https://h/other/0112980201/", None),
        ("https://h/FTP/", None),
        ("ftp://h/FTP/xmm/data/rev0/0112980201/", None),
        ("file:///FTP/0112980201", None),
        ("http://[bad/FTP/0112980201", None),
        ("", None),
    ],
)
def test_rebase(url, expected):
    assert rebase(url, "http://t/FTP", "0112980201") == expected


def test_datalink_comes_first_and_the_declared_place_stays(server, connection, settings):
    page = datalink([("https://heasarc.gsfc.nasa.gov/FTP/xmm/data/rev1//0112980201/", "directory", "")])
    server.files["/datalink/xmmmaster"] = Served(page)
    assert directory_urls(connection, ObservationRef(XMM, "0112980201", "2108")) == (
        Location(f"{settings.heasarc_tree}/xmm/data/rev1/0112980201", "datalink"),
        Location(f"{settings.heasarc_tree}/xmm/data/rev0/0112980201", "template"),
    )


@pytest.mark.parametrize("row_id", ["", "2108 OR 1", "../x", "ä", "a" * 65])
def test_without_a_row_nothing_is_requested(server, connection, settings, row_id):
    assert directory_urls(connection, ObservationRef(CHANDRA, "554", row_id)) == (
        Location(f"{settings.heasarc_tree}/chandra/data/byobsid/4/554", "template"),
    )
    assert not server.seen


@pytest.mark.parametrize("row_id", ["", "77"])
def test_a_place_that_depends_on_the_row(server, connection, settings, row_id):
    """Swift sorts by the month in which an observation began."""
    obs_id = "00092220001"
    told = directory_urls(connection, ObservationRef(SWIFT, obs_id, row_id, {"start": 57085.4}))
    assert told == (Location(f"{settings.heasarc_tree}/swift/data/obs/2015_03/{obs_id}", "template"),)
    with pytest.raises(DataError) as caught:
        directory_urls(connection, ObservationRef(SWIFT, obs_id, row_id))
    assert caught.value.code == "data.no-directory"
    page = datalink([(f"https://heasarc.gsfc.nasa.gov/FTP/swift/data/obs/2015_03//{obs_id}/", "directory", "")])
    server.files["/datalink/swiftmastr"] = Served(page)
    assert [one.how for one in directory_urls(connection, ObservationRef(SWIFT, obs_id, "77"))] == ["datalink"]
    linked = directory_urls(connection, ObservationRef(SWIFT, obs_id, "77", {"start": 57115.0}))
    assert [(one.how, one.url.split("/")[-2]) for one in linked] == [("datalink", "2015_03"), ("template", "2015_04")]


def test_a_place_that_nothing_declares_is_said(server, connection):
    """A mission may leave the place to DataLink, which need not know the observation."""
    nowhere = replace(CHANDRA, directory="", other_directories=())
    with pytest.raises(DataError, match="Chandra 554") as caught:
        directory_urls(connection, ObservationRef(nowhere, "554", ""))
    assert caught.value.code == "data.no-directory"
    server.files["/datalink/chanmaster"] = Served(
        datalink([("https://heasarc.gsfc.nasa.gov/FTP/chandra/data/byobsid/4//554/", "directory", "")])
    )
    assert [one.how for one in directory_urls(connection, ObservationRef(nowhere, "554", "2487"))] == ["datalink"]


def test_a_failing_datalink_costs_little(server, settings):
    patient = connected(settings, RetryPolicy(tries=6, first=0.05, longest=60.0))
    server.files["/datalink/chanmaster"] = Served(b"", script=[status(503, {"Retry-After": "0"})] * 20)
    begun = time.monotonic()
    (source,) = directory_urls(patient, ObservationRef(CHANDRA, "554", "2487"))
    assert source.how == "template"
    assert len(server.statuses("/datalink/chanmaster")) == 2
    assert time.monotonic() - begun < 5


def test_the_identifier_is_quoted(server, connection):
    server.files["/datalink/chanmaster"] = Served(b"")
    asked: list[str] = []
    server.files["/datalink/chanmaster"].script.append(
        lambda handler: (asked.append(handler.path), status(404)(handler))
    )
    directory_urls(connection, ObservationRef(CHANDRA, "554", "2487"))
    assert asked == ["/datalink/chanmaster?ID=ivo%3A%2F%2Fnasa.heasarc%2Fchanmaster%3F2487"]
