"""TAP, DataLink and Sesame, asked by the clients that astronomers use."""

from __future__ import annotations

import warnings

import httpx
import pytest
import pyvo
from astropy.coordinates.name_resolve import NameResolveError, get_icrs_coordinates, sesame_url

from daxa.missions import find_mission
from daxa.simulator import Observatory
from daxa.simulator.sky import CENTRE


@pytest.fixture
def tap(observatory):
    """HEASARC's TAP service as pyvo sees it."""
    return pyvo.dal.TAPService(observatory.environ["DAXA_HEASARC_TAP"])


def quiet(run, *args, **options):
    """Run a query without the warnings that HEASARC's units and missing positions cause."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return run(*args, **options)


def test_a_cone_finds_the_field_and_nothing_else(tap):
    circle = f"CIRCLE('ICRS', {CENTRE[0]}, {CENTRE[1]}, 0.5)"
    query = [
        'SELECT obsid, "time", ra FROM public.xmmmaster',
        "WHERE status IN ('processed', 'archived') AND obsid NOT LIKE '9%' AND data_in_heasarc = 'Y'",
        f"AND 1 = CONTAINS(POINT('ICRS', ra, dec), {circle}) ORDER BY obsid",
    ]
    table = quiet(tap.run_sync, " ".join(query)).to_table()
    assert [str(value).strip() for value in table["obsid"]] == ["0900000101", "0900000201"]
    assert table["time"][0] == pytest.approx(58258.25)


@pytest.mark.parametrize("mission", ["xmm", "chandra", "nustar"])
def test_every_declared_column_and_condition_is_answered(tap, mission):
    table = find_mission(mission).table
    names = {*table.columns.values(), "__row"}
    names |= {i.exposure for i in find_mission(mission).instruments if i.exposure}
    quoted = ", ".join(f'"{name}"' for name in sorted(names))
    query = " ".join(["SELECT", quoted, "FROM", table.name, "WHERE", " AND ".join(table.where)])
    found = quiet(tap.run_sync, query).to_table()
    assert set(found.colnames) == names
    assert len(found) > 40


def test_strings_are_padded_and_nulls_are_nulls(tap):
    table = quiet(tap.run_sync, "SELECT name, ra, obsid FROM numaster WHERE obsid = '90900005002'").to_table()
    assert len(str(table["name"][0])) == 30
    table = quiet(tap.run_sync, "SELECT ra FROM chanmaster WHERE obsid = '90014'").to_table()
    assert table["ra"].mask[0] or table["ra"][0] != table["ra"][0]


def test_too_many_rows_say_overflow(sky):
    with Observatory(sky.root, sky.tables, row_cap=10) as server:
        tap = pyvo.dal.TAPService(server.environ["DAXA_HEASARC_TAP"])
        capped = quiet(tap.run_sync, "SELECT obsid FROM xmmmaster", maxrec=1000)
        lifted = quiet(tap.run_sync, "SELECT TOP 9999999 obsid FROM xmmmaster")
    assert (len(capped), capped.query_status) == (10, "OVERFLOW")
    assert (len(lifted), lifted.query_status) == (len(sky.tables["xmmmaster"]), "OK")


@pytest.mark.parametrize("query", ["SELECT nothing FROM xmmmaster", "SELECT * FROM nowhere", "DELETE FROM xmmmaster"])
def test_a_bad_query_is_an_error_document(tap, observatory, query):
    with pytest.raises(pyvo.dal.DALQueryError):
        quiet(tap.run_sync, query)
    assert observatory.requests[-1].status == 400
    assert len(quiet(tap.run_sync, "SELECT obsid FROM xmmmaster")) > 60


def test_the_service_describes_itself(tap):
    tables = quiet(lambda: tap.tables)
    assert {"xmmmaster", "chanmaster", "numaster"} <= set(tables.keys())
    assert '"__row"' in [column.name for column in tables["numaster"].columns]
    rows = quiet(tap.run_sync, "SELECT column_name FROM tap_schema.columns WHERE table_name = 'public.numaster'")
    assert len(rows) == len(list(tables["numaster"].columns))


def test_datalink_names_the_directory_and_its_size(sky, observatory):
    rows = {row["obsid"]: row["__row"] for row in sky.tables["chanmaster"]}
    base = f"{observatory.environ['DAXA_HEASARC_DATALINK']}/chanmaster"
    names = [f"ivo://nasa.heasarc/chanmaster?{rows[obs_id]}" for obs_id in ("90001", "90015")]
    page = httpx.post(base, data={"ID": names})
    assert page.status_code == 200
    url = f"{base}?ID={names[0]}&ID={names[1]}&ID=ivo://nasa.heasarc/chanmaster?nope"
    found, withheld, unknown = quiet(pyvo.dal.adhoc.DatalinkResults.from_result_url, url).to_table()
    assert found["content_type"] == "directory"
    assert found["access_url"] == f"{observatory.url}/FTP/chandra/data/byobsid/1//90001/"
    tree = sky.root / "chandra/data/byobsid/1/90001"
    assert found["content_length"] == sum(file.stat().st_size for file in tree.rglob("*") if file.is_file())
    assert "No data" in withheld["error_message"]
    assert "NotFound" in unknown["error_message"]
    assert httpx.get(found["access_url"]).status_code == 200


def test_sesame_as_astropy_asks_it(observatory):
    with sesame_url.set([observatory.environ["DAXA_SESAME"]]):
        found = get_icrs_coordinates("abell  907")
        assert (found.ra.deg, found.dec.deg) == pytest.approx(CENTRE)
        with pytest.raises(NameResolveError):
            get_icrs_coordinates("Nothing of this name")
