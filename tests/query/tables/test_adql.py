"""What is sent to the services is standard ADQL: two independent parsers accept it.

queryparser is the University of Potsdam's grammar, STILTS brings the parser of the CDS.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import typing
from types import SimpleNamespace

import pytest

from daxa.missions import find_mission, mission_names
from daxa.query.tables.services import fetch_table
from tests.query.service import serve, table_service

TABLES = [
    pytest.param(spec, table, id=f"{spec.name}-{table.service}")
    for spec in map(find_mission, mission_names())
    if spec.listed
    for table in (spec.table, *spec.other_tables)
    if table.service in ("heasarc", "xsa")
]


@pytest.fixture
def service():
    with serve(table_service([{}])) as running:
        yield running


@pytest.fixture(scope="module")
def syntax_errors():
    """The (line, column, word) at which queryparser stumbles, [] for none."""
    with pytest.MonkeyPatch.context() as patch:
        # Its generated code wants a module that Python 3.13 no longer has.
        patch.setitem(sys.modules, "typing.io", SimpleNamespace(TextIO=typing.TextIO))
        from queryparser.adql import ADQLQueryTranslator
        from queryparser.exceptions import QuerySyntaxError

    def parse(query: str) -> list:
        try:
            ADQLQueryTranslator(query)
        except QuerySyntaxError as error:
            return error.syntax_errors
        return []

    return parse


def sent(service, spec, table) -> list[str]:
    """Both queries, as they arrive at the service."""
    fetch_table(spec, service.settings(), table)
    return service.queries


@pytest.mark.parametrize(("spec", "table"), TABLES)
def test_every_query_is_accepted_by_a_strict_parser(service, syntax_errors, spec, table):
    counted, asked = sent(service, spec, table)
    assert counted.startswith("SELECT COUNT(*) AS ")
    assert asked.startswith("SELECT TOP ")
    assert [syntax_errors(query) for query in (counted, asked)] == [[], []]


@pytest.mark.parametrize("mission", ["xmm", "chandra", "nustar"])
def test_the_strict_parser_refuses_the_reserved_word_that_we_quote(service, syntax_errors, mission):
    spec = find_mission(mission)
    _, asked = sent(service, spec, spec.table)
    bare = asked.replace('"time"', "time")
    ((line, column, word),) = syntax_errors(bare)
    assert (line, column, word) == (1, bare.index("time"), "time")


@pytest.mark.parametrize(
    "query",
    [
        "SELECT time FROM a",
        'SELECT "time" FROM a WHERE time > 1',
        "SELECT a FROM b LIMIT 5",
        "SELECT a b c FROM d",
        "SELECT a FROM b WHERE c in ('d', 'e'",
    ],
)
def test_the_strict_parser_refuses_what_is_not_adql(syntax_errors, query):
    assert syntax_errors(query)


def stilts_query(url: str, query: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["stilts", "tapquery", f"tapurl={url}/tap", "sync=true", "parse=true", "omode=count", f"adql={query}"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.skipif(shutil.which("stilts") is None, reason="stilts is not installed (Debian: apt-get install stilts)")
@pytest.mark.parametrize(("spec", "table"), TABLES)
def test_stilts_parses_and_sends_every_query(service, spec, table):
    _, asked = sent(service, spec, table)
    told = stilts_query(service.url, asked)
    assert told.returncode == 0, told.stderr
    assert "rows: 1" in told.stdout
    assert service.queries[-1] == asked


@pytest.mark.skipif(shutil.which("stilts") is None, reason="stilts is not installed (Debian: apt-get install stilts)")
def test_stilts_refuses_the_reserved_word_that_we_quote(service):
    spec = find_mission("xmm")
    _, asked = sent(service, spec, spec.table)
    told = stilts_query(service.url, asked.replace('"time"', "time"))
    assert told.returncode != 0
    assert 'Encountered "time"' in told.stderr
    assert len(service.queries) == 2
