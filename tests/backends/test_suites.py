"""What holds of the backends of eSASS, CIAO and HEASoft alike."""

from __future__ import annotations

import json
import shutil
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from daxa.backends import find_backend
from daxa.backends.chains import execution
from daxa.backends.contract import check_backend
from daxa.backends.parameter_text import table_lines
from daxa.backends.tools import capture
from daxa.backends.tools.command import arguments
from daxa.backends.tools.reading import read_suite, read_tool
from daxa.backends.tools.written_calls import parse_arguments
from daxa.missions import find_mission
from daxa.quantities import normalise
from daxa.run.steps import step_names
from daxa.settings import load_settings
from daxa.simulator.raw import RAW, ROW
from daxa.simulator.server import Observatory
from tests.acceptance import check_suite
from tests.backends.conftest import prefix_of
from tests.backends.heasoft.bat_histograms import add_survey
from tests.backends.heasoft.uvot_images import add_images
from tests.backends.observed import Observed
from tests.backends.tools.golden import facts
from tests.stubs.here import run_here
from tests.stubs.install import install_suite, write_caldb

STEPS = {
    "esass": dict.fromkeys(("erass1", "erosita_calpv"), ("events", "clean", "images", "sources")),
    "ciao": {"chandra": ("events", "clean", "images", "sources")},
    "heasoft": dict.fromkeys(("nustar", "swift", "nicer", "suzaku", "xrism"), ("events",)),
}
SMALL = {
    ("erass1", "images"): {"esass": {"evtool": {"size": ["500", "500"], "center_position": "149.591 -11.064"}}},
    ("nustar", "events"): {"maps": ["3.0-10.0 keV"]},
}


@pytest.mark.parametrize("suite", STEPS)
def test_the_contract(stand_ins, suite):
    for mission, steps in STEPS[suite].items():
        check_backend(find_backend(suite), [mission], steps)


@pytest.mark.parametrize("suite", STEPS)
def test_nothing_else_is_done(suite):
    backend = find_backend(suite)
    for mission in ("xmm", "rosat", *STEPS[suite]):
        for step in step_names():
            done = step in STEPS[suite].get(mission, ())
            assert bool(backend.version(mission, step)) == done, (mission, step)


@pytest.mark.parametrize("suite", STEPS)
def test_newer_calibration_has_another_identity_and_no_calibration_is_told(suites, tmp_path, monkeypatch, suite):
    backend, installed = find_backend(suite), suites[suite]
    monkeypatch.setattr(capture, "find_installation", lambda name: installed)
    before = backend.locate()
    assert before.found
    assert "/" not in before.calibration
    write_caldb(prefix_of(installed) / "calibration", issue=2)
    try:
        assert backend.locate().calibration != before.calibration
    finally:
        write_caldb(prefix_of(installed) / "calibration")
    assert backend.locate() == before
    bare = type(installed)(installed.suite, installed.release, {**installed.environ, "CALDB": "", "CALDBCONFIG": ""})
    monkeypatch.setattr(capture, "find_installation", lambda name: bare)
    there = backend.locate()
    assert not there.found
    assert "CALDB" in there.missing[0]
    assert "install" in there.remedy


def releases() -> list[tuple[str, str, str]]:
    return [
        (suite, release, mission)
        for suite, missions in STEPS.items()
        for release in read_suite(suite).releases
        for mission in missions
        # Pointings of CalPV, which come in files of fields, are in `tests/backends/esass/test_calpv.py`.
        if mission in RAW
        if _has_tools(suite, release, mission)
    ]


def _has_tools(suite: str, release: str, mission: str) -> bool:
    """Whether a release has the tools of a mission: some came later."""
    return all(
        read_suite(suite).covers(tool.since, tool.until, release)
        for chain in find_backend(suite).program.chains
        if mission in chain.missions
        for tool in (read_tool(suite, link.tool) for link in chain.links)
    )


@pytest.fixture(scope="module", params=releases(), ids=" ".join)
def calls(request, raw_sky, tmp_path_factory):
    """All calls of all chains on a simulated observation, with one release of a suite."""
    suite, release, mission = request.param
    place = tmp_path_factory.mktemp("release")
    installed = install_suite(place / "software", suite, release)
    made = []
    run_call = execution.run_call

    def noted(call, *args, **more):
        made.append(call)
        return run_call(call, *args, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(capture, "find_installation", lambda name: installed)
        patch.setattr("daxa.backends.tools.container.run_limited", run_here)
        patch.setattr(execution, "run_call", noted)
        one = Observed.fetched(place / "observation", raw_sky.root, mission, RAW[mission])
        if mission == "swift":
            add_images(one.root / "fetch", one.obs_id, "uw1")
            add_survey(one.root / "fetch", one.obs_id)
            one.instruments = ("XRT", "UVOT", "BAT")
        for step in STEPS[suite][mission]:
            one.run(step, suite, **SMALL.get((mission, step), {}))
    return suite, release, mission, made


def test_every_call_of_every_chain_is_one_that_the_release_understands(calls):
    suite, release, mission, made = calls
    links = {
        link.tool for chain in find_backend(suite).program.chains if mission in chain.missions for link in chain.links
    }
    assert {call.tool.name for call in made} == links
    for call in made:
        tokens = arguments(call)
        assert parse_arguments(call.tool, release, tokens).values == call.values
        assert {token.partition("=")[0] for token in tokens} <= set(call.tool.at(release))


JSON = {"ciao": ("ciao-tools-par-facts", "ciao-scripts-par-facts"), "heasoft": ("heasoft-6.20-par-facts",)}


def test_every_parameter_of_every_call_is_in_the_release_s_own_list(calls):
    suite, release, mission, made = calls
    if suite not in JSON:
        pytest.skip("there is no list of all parameters of eSASS")
    known: dict[str, set[str]] = {}
    for name in JSON[suite]:
        for tool, task in json.loads((Path(facts()) / "tools" / f"{name}.json").read_text())["tasks"].items():
            rows = task["params"] if isinstance(task, dict) else task
            known[tool] = {row[0] for row in rows}
    compared = 0
    for call in made:
        if call.tool.name in known:
            assert set(call.values) <= known[call.tool.name], call.tool.name
            compared += 1
    # The lists have neither nicerl2 nor xapipeline.
    assert compared == (0 if mission in ("nicer", "xrism") else len(made))
    assert release


def test_raw_files_are_what_the_backends_start_from():
    for suite, missions in STEPS.items():
        for mission in missions:
            spec = find_mission(mission)
            assert find_backend(suite).inputs(spec) == (spec.raw_inputs or spec.native_inputs[:1])


def shown(value: object) -> str:
    """A default as a page writes it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return " ".join(shown(one) for one in value)
    return f"{value:g}" if isinstance(value, float) and (value >= 1e6 or value < 1e-4 or value > 15) else str(value)


@pytest.mark.parametrize("suite", STEPS)
def test_the_page_of_a_suite_names_every_default(suite):
    page = (Path(__file__).parents[2] / "docs" / f"{suite}.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("|")]
    told = {(link, name): value for link, name, value, _ in (row for row in rows if len(row) == 4)}
    for chain in find_backend(suite).program.chains:
        for link in chain.links:
            where = link.name if suite == "heasoft" else f"{chain.step}.{link.name}"
            for name, value in link.defaults.items():
                said = told.get((where, name))
                assert said is not None, (where, name)
                assert said in {shown(value), str(value)} or float(said.split()[0]) == float(shown(value).split()[0]), (
                    where,
                    name,
                )


@pytest.mark.parametrize("suite", STEPS)
def test_the_examples_in_new_params_files_are_accepted(suite):
    backend = find_backend(suite)
    for mission in STEPS[suite]:
        for step, parameters in backend.parameters(mission).items():
            lines = [line.removeprefix("# ") for line in table_lines(parameters)]
            table = normalise(tomllib.loads("\n".join(lines)))
            assert not backend.check(mission, {step: table}), (mission, step)


@pytest.mark.parametrize("suite", STEPS)
def test_the_example_of_its_page_is_accepted(suite):
    page = (Path(__file__).parents[2] / "docs" / f"{suite}.md").read_text(encoding="utf-8")
    text = page.partition("```toml\n")[2].partition("```")[0]
    mission = text.partition("params/")[2].partition(".toml")[0]
    tables = tomllib.loads(text)
    backend = find_backend(suite)
    for step, table in tables.items():
        own = {key: value for key, value in normalise(table).items() if key not in ("backend", "obs")}
        doing = backend if backend.version(mission, step) else find_backend("native")
        assert not doing.check(mission, {step: own}), step
        for other in normalise(table).get("obs", {}).values():
            assert not doing.check(mission, {step: other}), step


ACCEPTED = {"ciao": ("chandra", [], "sourcelist.fits"), "heasoft": ("nustar", ["FPMA"], "archivemap.fits")}


@pytest.mark.parametrize("suite", ACCEPTED)
def test_the_acceptance_of_a_real_installation_tells_all_that_happened(
    stand_ins, raw_sky, tmp_path, monkeypatch, suite
):
    """On stand-ins: what `make check-ciao` and the like do where the software is installed, with real fetching."""
    mission, instruments, kind = ACCEPTED[suite]
    monkeypatch.setattr(check_suite, "run_limited", run_here)
    (tmp_path / "place").mkdir()
    with Observatory(raw_sky.root, {}) as archive:
        environ = {**archive.environ, "DAXA_STORE": str(tmp_path / "store")}
        settings = replace(load_settings(environ=environ, user_file=None), connect_timeout=2.0, read_timeout=5.0)
        lines = check_suite.check_suite(
            suite, mission, RAW[mission], tmp_path / "place", settings=settings, instruments=instruments
        )
    assert lines[-1] == "all steps ended"
    assert any(line.endswith(kind) for line in lines)
    assert not any("_cl.evt" in line for line in lines if line.lstrip()[:1].isdigit()), "native lists were not fetched"


def test_the_acceptance_tries_each_instrument_and_finds_what_lies_in_the_folder_of_a_month(
    stand_ins, raw_sky, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(check_suite, "run_limited", run_here)
    obs_id = RAW["swift"]
    where = find_mission("swift").directory_of(obs_id, ROW)
    shutil.copytree(raw_sky.root / where, tmp_path / "tree" / where)
    add_images(tmp_path / "tree" / where, obs_id, "uw1")
    row = {"obsid": obs_id, "name": "x", "ra": 149.6, "dec": -11.0, "roll_angle": 0.0}
    row |= {"start_time": ROW["start"], "stop_time": ROW["start"] + 0.1}
    row |= {"xrt_exposure": 900.0, "uvot_exposure": 900.0, "bat_exposure": 0.0}
    with Observatory(tmp_path / "tree", {"swiftmastr": [row]}) as archive:
        places = {f"DAXA_{name}": str(tmp_path / name.lower()) for name in ("STORE", "CACHE")}
        for name, value in {**archive.environ, **places, "DAXA_CONFIG": str(tmp_path / "none.toml")}.items():
            monkeypatch.setenv(name, value)
        check_suite.main([str(tmp_path / "place"), "heasoft", "swift", obs_id])
        with pytest.raises(SystemExit, match="there already"):
            check_suite.main([str(tmp_path / "place"), "heasoft", "swift", obs_id])
        check_suite.main([str(tmp_path / "other"), "heasoft", "swift", "00000000001"])
    said, failed = capsys.readouterr().out.split("swift 00000000001 with heasoft")
    assert "instruments: XRT, UVOT" in said
    assert "all steps ended" in said
    for kind in ("instXRT", "uvotimage", "uvotsources"):
        assert f"{kind}" in said, kind
    assert "FAILED " in failed
    assert "no finished observation 00000000001" in failed
