"""A wheel beside daxa brings a mission and its telescope: fetched from its own server only, processed to sources."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from daxa.missions import registry
from daxa.settings import load_settings
from daxa.simulator import Observatory
from daxa.xray.telescopes import registry as telescopes
from tests.backends.native.observations import Fetched, run_step
from tests.fetch.conftest import HASTE, events_file
from tests.fetch.pages import nginx_server
from tests.plugins import install_plugin

PYPROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "lobster-xray"
version = "1.0"

[project.entry-points."daxa.missions"]
lobster = "lobster_xray:SPEC"

[project.entry-points."daxa.telescopes"]
lobster = "lobster_xray:TELESCOPE"

[tool.hatch.build.targets.wheel]
only-include = ["lobster_xray.py"]
"""

DECLARATION = '''
"""Lobster, which daxa does not know."""

from daxa.missions import Credit, FieldOfView, Instrument, Mirror, MissionSpec
from daxa.missions import NativeInput, ObservationTable
from daxa.xray.telescopes import Band, Camera, EventFormat, Imaging, PsfFacts, Refusal, Rule, Telescope, Vignetting
from daxa.xray.telescopes.optics import half_power, polynomial

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
    processed=True,
    credit=Credit(source="https://lobster.example/"),
)

GUIDE = "Lobster users' guide"

TELESCOPE = Telescope(
    name="lobster",
    telescop=("LOBSTER", "LOB-1"),
    formats={
        ("EYE",): EventFormat(
            mission="lobster",
            instrument="EYE",
            pi_to_kev=(0.0, 0.02),
            pi_limits=(0, 499),
            pixel_arcsec=4.0,
            reference_pixel=256.5,
            sky_limits=(1, 512),
            rules=(Rule("CLAW", "in", (0, 1), GUIDE),),
            mjdref=51910.0,
            livetime_scheme="deadc",
        ),
    },
    imaging={"lobster": Imaging(bands=(Band(0.5, 2.0, (25, 99)), Band(2.0, 5.0, (100, 249))), pixel=8.0)},
    cameras=(
        Camera(
            ("EYE",),
            vignetting=(
                Vignetting((0.3, 6.0), False, 20.0, 0.0, (0.0, 0.0), polynomial(-1e-3, 0.0, 0.0), GUIDE),
            ),
            psf=PsfFacts(half_power(20.0), (0.3, 6.0), 20.0, f"Gaussian, HPD 20 arcsec: {GUIDE}", "LOBSTER"),
        ),
    ),
    not_native={"TAIL": "it only steers"},
)
'''

CONTRACT = """
import sys
from daxa.missions import find_mission
from daxa.missions.contract import check_declaration, check_obs_ids, check_paths, check_query
from daxa.query.tables.services import build_query
from daxa.xray.telescopes import telescopes
from daxa.xray.telescopes.contract import check_telescope

spec = find_mission("lobster")
check_declaration(spec)
check_obs_ids(spec, ["0042"], malformed=["42", 42])
check_paths(spec, "0042", "lobster/0042", ["events/lo0042_cl.evt.gz"])
check_query(spec, build_query(spec, 1))
check_telescope(telescopes()["lobster"])
"""


@pytest.fixture(scope="module")
def beside(tmp_path_factory) -> Path:
    """Where the wheel is installed."""
    files = {"pyproject.toml": PYPROJECT, "lobster_xray.py": DECLARATION}
    return install_plugin(tmp_path_factory.mktemp("lobster"), files)


@pytest.fixture
def plugged(beside, monkeypatch):
    """This process, as if it had been started with the wheel installed."""
    monkeypatch.syspath_prepend(str(beside))
    for known in (registry, telescopes):
        known.forget_plug_ins()
    yield
    for known in (registry, telescopes):
        known.forget_plug_ins()


def test_its_author_runs_the_contract(plugged):
    exec(compile(CONTRACT, "contract", "exec"), {})  # noqa: S102 - as its author's own test would


def test_it_is_listed_selected_and_fetched_from_its_own_host(plugged, tmp_path, monkeypatch):
    import daxa
    from daxa.fetch.locations import ObservationRef
    from daxa.fetch.observation import fetch_observation
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
            ObservationRef(find_mission("lobster"), "0042", "7"), ["EYE"], (), target=tmp_path / "out",
            parts=tmp_path / "parts", settings=settings, patience=HASTE,
        )  # fmt: skip
        assert arrival.url == f"{own.url}/by-number/2/0042/events/lo0042_cl.evt.gz"
        assert (tmp_path / "out" / arrival.path).read_bytes() == content
        assert not heasarc.requests
        assert {request.path for request in clawed.requests} == {"/xamin/vo/tap/sync"}


SOURCES = {(150.5, 300.5): 400, (352.5, 190.5): 250}
"""Sky pixel to counts of the sources of the list below."""


def lobster_list(path: Path) -> int:
    """Write a list of Lobster with sources on an even background; the events that its screening keeps."""
    random = np.random.default_rng(42)
    x, y = random.uniform(1, 512, (2, 6000))
    for (column, row), counts in SOURCES.items():
        x = np.append(x, random.normal(column, 2.1, counts))
        y = np.append(y, random.normal(row, 2.1, counts))
    claw = (random.random(len(x)) < 0.1).astype(np.int16) * 5
    table = fits.BinTableHDU.from_columns(
        [
            fits.Column("TIME", "D", unit="s", array=np.sort(random.uniform(1000.0, 9000.0, len(x)))),
            fits.Column("X", "E", array=x),
            fits.Column("Y", "E", array=y),
            fits.Column("PI", "I", array=random.integers(25, 250, len(x))),
            fits.Column("CLAW", "I", array=claw),
        ],
        name="EVENTS",
    )
    cards = {"TELESCOP": "LOB-1", "INSTRUME": "EYE", "OBS_ID": "0042", "DEADC": 0.95, "RA_PNT": 83.63, "DEC_PNT": 22.01}
    cards |= {"TIMESYS": "TT", "RADESYS": "FK5", "EQUINOX": 2000.0, "OBJECT": "Crab", "SIMULATD": True}
    for axis, name, reference, step in ((2, "RA---TAN", 83.63, -4.0 / 3600), (3, "DEC--TAN", 22.01, 4.0 / 3600)):
        cards |= {f"TCTYP{axis}": name, f"TCRPX{axis}": 256.5, f"TCRVL{axis}": reference, f"TCDLT{axis}": step}
        cards |= {f"TCUNI{axis}": "deg", f"TLMIN{axis}": 1.0, f"TLMAX{axis}": 512.0}
    table.header.update(cards)
    times = np.array([(1000.0, 9000.0)], dtype=[("START", "f8"), ("STOP", "f8")])
    fits.HDUList([fits.PrimaryHDU(), table, fits.BinTableHDU(times, name="GTI")]).writeto(path)
    return int((claw == 0).sum())


def test_its_own_list_is_processed_to_images_and_sources(plugged, tmp_path):
    from daxa.xray.eventlists.opening import open_events

    kept = lobster_list(tmp_path / "lo0042_cl.evt")
    place = tmp_path / "fetch" / "events"
    place.mkdir(parents=True)
    (place / "lo0042_cl.evt.gz").write_bytes(gzip.compress((tmp_path / "lo0042_cl.evt").read_bytes(), 1, mtime=0))
    seen = Fetched("lobster", "0042", ("EYE",), {})
    logs = [run_step(seen, step, tmp_path)[1] for step in ("events", "clean", "images", "sources")]
    start = "obsid0042-instEYE-subexpNone-en"
    clean = open_events(tmp_path / "clean" / f"{start}-finalevents.fits")
    assert len(clean) == kept
    assert clean.format.mission == "lobster"
    assert fits.getval(tmp_path / "clean" / f"{start}-finalevents.fits", "LIVETIME", 1) == pytest.approx(0.95 * 8000)
    for lo, hi, first, last in ((0.5, 2.0, 25, 99), (2.0, 5.0, 100, 249)):
        image, header = fits.getdata(tmp_path / "images" / f"{start}{lo}_{hi}keV-image.fits", header=True)
        assert (header["CHANMIN"], header["CHANMAX"]) == (first, last)
        assert image.sum() == ((clean.channels(clean.rows) >= first) & (clean.channels(clean.rows) <= last)).sum()
        # The declared curve, at 17 arcmin: 1 - 0.289.
        seconds, how = fits.getdata(tmp_path / "images" / f"{start}{lo}_{hi}keV-expmap.fits", header=True)
        assert how["VIGNREF"].startswith("Lobster")
        assert seconds[seconds > 0].min() < 0.75 * seconds.max()
    found = fits.getdata(tmp_path / "sources" / f"{start}0.5_2.0keV-sourcelist.fits")
    assert len(SOURCES) <= len(found) <= len(SOURCES) + 2
    for (column, row), counts in SOURCES.items():
        ra, dec = (float(one) for one in clean.sky.to_sky(column, row))
        off = np.hypot((found["RA"] - ra) * np.cos(np.radians(dec)), found["DEC"] - dec) * 3600
        nearest = off.argmin()
        assert off[nearest] < 4.0
        assert found["COUNTS"][nearest] == pytest.approx(0.9 * counts / 3, rel=0.3)
    assert "Lobster users' guide" in logs[-1]


@pytest.mark.journey
def test_its_archive_is_run_and_released(plugged, beside, tmp_path, monkeypatch, identity):
    """DVC's stages are processes of their own: they find the wheel, and the servers of its mission alone."""
    import daxa

    lobster_list(tmp_path / "lo0042_cl.evt")
    content = gzip.compress((tmp_path / "lo0042_cl.evt").read_bytes(), 1, mtime=0)
    row = {"obsid": "0042", "name": "Crab", "ra": 83.63, "dec": 22.01, "time": 55000.0, "end_time": 55000.5}
    row["exposure"] = 9000.0
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
            "PYTHONPATH": str(beside),
        }
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        mission = daxa.Mission("lobster").filter(position=(83.63, 22.01), radius="5 arcmin")
        archive = daxa.Archive.create(tmp_path / "crab", mission)
        archive.run()
        assert not heasarc.requests
    made = {(one.step, one.status) for one in archive.status()}
    assert made == {(step, "done") for step in ("fetch", "events", "clean", "images", "sources")}
    assert set(archive.products("lobster")["kind"]) >= {"fetched", "finalevents", "image", "expmap", "sourcelist"}
    assert archive.release("first data release") == "v1.0.0"
    assert archive.verify("v1.0.0").ok
