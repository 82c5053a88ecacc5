"""ADQL as SQLite understands it."""

from __future__ import annotations

import sqlite3

import astropy.units as u
import pytest
from astropy.coordinates import SkyCoord

from daxa.simulator.adql import QueryRefused, register_geometry, translate


@pytest.mark.parametrize(
    ("query", "top"),
    [
        ("SELECT TOP 3 obsid FROM t", 3),
        ("select distinct top 10 obsid from t", 10),
        ("SELECT obsid FROM t WHERE name = 'TOP 5'", None),
    ],
)
def test_top_is_taken_from_the_statement_and_never_from_a_text(query, top):
    statement = translate(query)
    assert statement.top == top
    assert ("TOP" in statement.sql.upper()) == ("'TOP 5'" in query)


@pytest.mark.parametrize(
    "query",
    ["", "DROP TABLE t", "SELECT 1; DROP TABLE t", "SELECT TOP x FROM t", "SELECT a FROM (SELECT TOP 1 a FROM t)"],
)
def test_what_is_not_a_single_select_is_refused(query):
    with pytest.raises(QueryRefused):
        translate(query)


def test_an_unknown_quoted_name_is_an_error_and_no_text():
    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE t (time REAL)")
    with pytest.raises(sqlite3.OperationalError, match="no such column"):
        database.execute(translate('SELECT "tme" FROM t').sql)
    database.close()


def test_distances_are_those_of_astropy():
    database = sqlite3.connect(":memory:")
    register_geometry(database)
    for a, b in [((149.59, -11.06), (149.60, -11.07)), ((359.99, 89.9), (0.01, -89.9)), ((10, 20), (10, 20))]:
        (ours,) = database.execute("SELECT DISTANCE(POINT('ICRS', ?, ?), POINT(?, ?))", (*a, *b)).fetchone()
        theirs = SkyCoord(*a, unit=u.deg).separation(SkyCoord(*b, unit=u.deg)).deg
        assert ours == pytest.approx(theirs, abs=1e-12)
    inside = "SELECT CONTAINS(POINT(10.0, 0.5), CIRCLE(10.0, 0.0, ?)), CONTAINS(POINT(NULL, 1), CIRCLE(1, 1, 1))"
    assert database.execute(inside, (0.51,)).fetchone() == (1, 0)
    assert database.execute(inside, (0.49,)).fetchone() == (0, 0)
    database.close()
