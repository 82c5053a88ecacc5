"""A wheel beside daxa brings a mission with a server of its own, and is the only one that is asked for its files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from daxa.missions import registry
from daxa.sample import Observatory
from daxa.settings import load_settings
from tests.fetch.conftest import HASTE, events_file
from tests.fetch.pages import nginx_server

PYPROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "lobster-xray"
version = "1.0"

[project.entry-points."daxa.missions"]
lobster = "lobster_xray:SPEC"

[tool.hatch.build.targets.wheel]
only-include = ["lobster_xray.py"]
"""

DECLARATION = '''
"""Lobster, which nobody at daxa has heard of."""

from daxa.missions import Band, Credit, FieldOfView, Instrument, Mirror, MissionSpec
from daxa.missions import NativeInput, ObservationTable

SPEC = MissionSpec(
    name="lobster",
    title="Lobster",
    table=ObservationTable(
        name="lobmaster",
        columns={"obs_id": "obsid", "target": "name", "ra": "ra", "dec": "dec", "start": "time", "end": "end_time",
                 "exposure": "exposure", "public_date": "time"},
        proprietary="none",
        service="clawed",
        tap="https://tap.lobster.example/tap",
    ),
    id_pattern=r"[0-9]{4}",
    id_example="0042",
    instruments=(Instrument("EYE", FieldOfView("circle", 30.0)),),
    default_instruments=("EYE",),
    mirrors=(Mirror("https://data.lobster.example", "nginx", "by-number/{last}/{obs_id}"),),
    directory="lobster/{obs_id}",
    listings=("events",),
    native_inputs=(NativeInput("events", r"events/lo{obs_id}_cl\\.evt\\.gz", required=True),),
    event_tables=("EVENTS", "GTI"),
    credit=Credit(source="https://lobster.example/"),
)
'''

CONTRACT = """
import sys
from daxa.missions import find_mission
from daxa.missions.contract import check_declaration, check_obs_ids, check_paths, check_query
from daxa.query.services import build_query

spec = find_mission("lobster")
check_declaration(spec)
check_obs_ids(spec, ["0042"], malformed=["42", 42])
check_paths(spec, "0042", "lobster/0042", ["events/lo0042_cl.evt.gz"])
check_query(spec, build_query(spec, 1))
"""


@pytest.fixture(scope="module")
def beside(tmp_path_factory) -> Path:
    """Where the wheel is installed."""
    source, place = tmp_path_factory.mktemp("lobster"), tmp_path_factory.mktemp("site")
    (source / "pyproject.toml").write_text(PYPROJECT)
    (source / "lobster_xray.py").write_text(DECLARATION)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(source), str(source)]
    subprocess.run(build, check=True, capture_output=True, timeout=300)
    (wheel,) = source.glob("*.whl")
    subprocess.run(
        [*pip, "install", "--no-deps", "--no-index", "--target", str(place), str(wheel)], check=True, timeout=300
    )
    return place


@pytest.fixture
def plugged(beside, monkeypatch):
    """This process, as if it had been started with the wheel installed."""
    monkeypatch.syspath_prepend(str(beside))
    registry.forget_plug_ins()
    yield
    registry.forget_plug_ins()


def test_its_author_runs_the_contract(plugged):
    exec(compile(CONTRACT, "contract", "exec"), {})  # noqa: S102 - as its author's own test would


def test_it_is_listed_selected_and_fetched_from_its_own_host(plugged, tmp_path, monkeypatch):
    import daxa
    from daxa.fetch.observation import fetch_observation
    from daxa.fetch.sources import Sought
    from daxa.missions import find_mission, mission_names

    assert "lobster" in mission_names()
    row = {
        "obsid": "0042",
        "name": "Crab",
        "ra": 83.63,
        "dec": 22.01,
        "time": 55000.0,
        "end_time": 55000.5,
        "exposure": 9000.0,
    }
    content = events_file(7, obs_id="0042")
    with (
        Observatory(tmp_path / "empty", {"lobmaster": [row]}) as clawed,
        Observatory(tmp_path / "empty", {}) as heasarc,
        nginx_server({"by-number/2/0042/events/lo0042_cl.evt.gz": content}) as own,
    ):
        environ = {
            **heasarc.environ,
            "DAXA_TAP_CLAWED": clawed.environ["DAXA_HEASARC_TAP"],
            "DAXA_MIRRORS_LOBSTER": f"nginx+{own.url}/by-number/{{last}}/{{obs_id}}",
            "DAXA_STORE": str(tmp_path / "store"),
            "DAXA_CACHE": str(tmp_path / "cache"),
        }
        settings = load_settings(environ=environ, user_file=None)
        chosen = daxa.Mission("lobster", settings).filter(position=(83.63, 22.01), radius="5 arcmin")
        assert list(chosen.observations["obs_id"]) == ["0042"]
        (arrival,) = fetch_observation(
            Sought(find_mission("lobster"), "0042", "7"), ["EYE"], (), target=tmp_path / "out",
            parts=tmp_path / "parts", settings=settings, patience=HASTE,
        )  # fmt: skip
        assert arrival.url == f"{own.url}/by-number/2/0042/events/lo0042_cl.evt.gz"
        assert (tmp_path / "out" / arrival.path).read_bytes() == content
        assert not heasarc.requests
        assert {request.path for request in clawed.requests} == {"/xamin/vo/tap/sync"}
