"""Steps and backends that others bring: found by name, checked, run, and never loaded because an archive says so."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from daxa.archive.check import check_parameters, find_problems
from daxa.archive.config import load_config, parse_config
from daxa.archive.extend import add_steps
from daxa.archive.layout import STEPS
from daxa.archive.trust import rendered_pipeline
from daxa.backends import backend_names, find_backend
from daxa.backends.contract import check_backend, check_run
from daxa.backends.registry import _OWN
from daxa.errors import ArchiveError, ConfigError, CriteriaError
from daxa.missions import mission_names
from daxa.run.ledger import read_ledger
from daxa.run.runner import plan_stage
from daxa.run.steps import Step, arrange_steps, check_step, find_step, last_steps
from daxa.run.task import Input, ProductFile, Task
from daxa.stages.status import outcomes_of, read_status
from daxa.stages.step import make_stage
from tests.stages.archives import IDS, make_archive, run, run_here, set_parameter, wish


def events(layout):
    return make_stage(layout, load_config(layout), "events", "xmm")


def test_the_contract_holds_for_the_plug_in_and_for_native(plugin, tmp_path):
    assert backend_names() == (*_OWN, "halved", "parted", "spectral")
    check_backend(find_backend("spectral"), ["xmm", "nustar"], ["events", "spectra"])
    check_backend(find_backend("native"), mission_names(processed=True), STEPS[1:])
    check_step(find_step("spectra"))
    (tmp_path / "fetch").mkdir()
    (tmp_path / "fetch" / "raw").write_text("counts")
    file = ProductFile("raw", 6, "0" * 64, "0" * 64)
    task = Task("xmm", "events", IDS[0], "spectral", "7", inputs=(Input("fetch", file),), calibration="epoch-1")
    work = tmp_path / "work"
    work.mkdir()
    made = check_run(find_backend("spectral"), task, {"fetch": tmp_path / "fetch"}, work)
    assert made == [f"obsid{IDS[0]}-instALL-subexpALL-en-events.json"]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("version", lambda mission, step: "7", "version of a step that does not exist"),
        ("calibration", lambda task: "/opt/caldb", "by a path"),
        ("calibration", lambda task: "", "needs no calibration, wrongly|has calibration, wrongly"),
        ("check", lambda mission, tables, instruments=(): [], "accepts unknown parameters"),
        ("calibrated", ("clean",), "steps that it does not do"),
        ("inputs", lambda spec: ("odf",), "tuple of NativeInput"),
        ("parameters", lambda mission: {}, "has no table of parameters"),
    ],
)
def test_the_contract_names_what_a_backend_gets_wrong(plugin, monkeypatch, name, value, words):
    backend = find_backend("spectral")
    monkeypatch.setattr(backend, name, value, raising=False)
    with pytest.raises(AssertionError, match=words):
        check_backend(backend, ["xmm"], ["events", "spectra"])


def test_a_run_that_writes_into_its_inputs_or_differs_each_time_breaks_the_contract(plugin, monkeypatch, tmp_path):
    backend, count = find_backend("spectral"), iter(range(9))
    (tmp_path / "fetch").mkdir()
    task = Task("xmm", "events", IDS[0], "spectral", "7")

    def differing(task, directories, target, log):
        (target / "note.txt").write_text(str(next(count)))

    def careless(task, directories, target, log):
        (target / "note.txt").write_text("x")
        (directories["fetch"] / f"scratch{next(count)}").write_text("x")

    for act, words in ((differing, "other products"), (careless, "writes into the inputs")):
        monkeypatch.setattr(backend, "run", act)
        place = tmp_path / act.__name__
        place.mkdir()
        with pytest.raises(AssertionError, match=words):
            check_run(backend, task, {"fetch": tmp_path / "fetch"}, place)


def test_a_backend_of_somebody_else_carries_out_a_step_of_an_archive(archive):
    assert find_problems(archive) == []
    outcomes = run_here(events(archive))
    assert {one.status for one in outcomes} == {"done"}
    (product,) = archive.products("xmm", "events").joinpath(IDS[0]).glob("obsid*")
    assert json.loads(product.read_text())["parameters"] == {"quality": "good"}
    manifest = json.loads(product.with_name("manifest.json").read_text())
    assert (manifest["backend"], manifest["version"], manifest["calibration"]) == ("spectral", "7", "epoch-1")
    stages = read_status(archive, load_config(archive))
    assert [stage.problem for stage in stages] == [None] * 5
    assert set(stages[1].statuses) == {"done"}


def test_what_is_fetched_follows_from_the_backend(archive):
    config = load_config(archive)
    stage = make_stage(archive, config, "fetch", "xmm")
    assert [one.pattern for one in stage.work.inputs] == [r"odf/.*"]
    assert json.loads(stage.tasks[0].parameters)["inputs"] == [["events", r"odf/.*", ""]]
    fetched = read_ledger(archive.ledger("xmm", "fetch"))
    set_parameter(archive, "events", "backend", "native")
    native = make_stage(archive, config, "fetch", "xmm")
    assert "inputs" not in json.loads(native.tasks[0].parameters)
    assert {one.reason for one in plan_stage(native)} == {"parameters changed"}
    assert fetched[IDS[0]].fingerprint == stage.tasks[0].fingerprint


def test_resources_limit_how_many_tasks_run_at_once(archive, monkeypatch):
    from daxa.backends.protocol import Resources

    monkeypatch.setenv("DAXA_WORKERS", "3")
    assert (events(archive).workers, events(archive).time_limit) == (3, 60.0)
    monkeypatch.setattr(find_backend("spectral"), "resources", lambda mission, step: Resources(memory=1 << 60))
    assert events(archive).workers == 1
    assert events(archive).time_limit == load_config(archive).run.time_limit_s


@pytest.mark.parametrize(
    ("line", "code", "told"),
    [
        ("events backend spectrall", "config.backend", "did you mean spectral"),
        ("events backend halved", "config.plugin", "lacks version"),
        ("events backend os.system", "config.backend", "install the package"),
        ("images backend spectral", "config.backend-step", "does not do this step"),
        ("events quality bad", "config.bad-parameter", "good"),
        ("clean flare_sgima 2", "config.unknown-parameter", "flare_sigma"),
    ],
)
def test_a_backend_that_cannot_be_used_is_a_problem_with_its_remedy(archive, line, code, told):
    step, key, value = line.split()
    set_parameter(archive, step, key, value)
    problems = [one for one in find_problems(archive) if one.key == key]
    assert f"config.{problems[0].name}" == code
    assert told in f"{problems[0].message} {problems[0].remedy}"
    with pytest.raises(ConfigError):
        check_parameters(archive, load_config(archive))
    read_status(archive, load_config(archive))  # What is there can be looked at all the same.


def test_no_observation_has_a_backend_of_its_own(archive):
    set_parameter(archive, "images", "backend", "native", obs_id=IDS[0])
    (problem,) = find_problems(archive)
    assert "for a single observation" in problem.message


def test_software_must_be_locked_before_another_backend_runs(archive):
    set_parameter(archive, "clean", "backend", "spectral")
    with pytest.raises(ConfigError, match="does not do clean") as told:
        make_stage(archive, load_config(archive), "clean", "xmm")
    assert told.value.code == "config.backend-step"
    set_parameter(archive, "events", "backend", "native")
    with pytest.raises(ConfigError, match="locked to spectral 7"):
        events(archive)


def config_with(steps: str):
    text = f'format = 1\nname = "a907"\nsteps = {steps}\n[missions.xmm]\nobs_ids = ["{IDS[0]}"]\n'
    return parse_config(text.encode(), Path("daxa.toml"))


@pytest.mark.parametrize(
    ("steps", "code", "told"),
    [
        ('["fetch", "spectrum"]', "config.unknown-step", "install the package"),
        ('["fetch", "os.path:join"]', "config.unknown-step", "there is no step"),
        ('["fetch", "../x"]', "config.unknown-step", "there is no step"),
        ('["fetch", "broken"]', "config.plugin", "spectral-daxa"),
        ('["fetch", "events", "clean", "spectra"]', "config.step-needs", "sources"),
        ('["fetch", "fetch"]', "config.step-twice", "twice"),
        ('"fetch"', "config.invalid", "steps"),
    ],
)
def test_an_archive_with_steps_that_cannot_be_had_is_refused_by_name(plugin, steps, code, told):
    with pytest.raises(ConfigError) as caught:
        config_with(steps)
    assert caught.value.code == code
    assert told in f"{caught.value.message} {caught.value.remedy}"


def test_what_an_archive_does_not_name_is_never_loaded(plugin):
    config = config_with('["fetch", "events", "clean", "images", "sources"]')
    assert rendered_pipeline(config)
    with pytest.raises(ConfigError):
        config_with('["fetch", "spectral.steps"]')
    assert not [name for name in sys.modules if name.startswith("spectral")]
    config = config_with('["fetch", "events", "clean", "images", "sources", "spectra"]')
    assert b"exec daxa stage spectra xmm" in rendered_pipeline(config)
    assert rendered_pipeline(config) == rendered_pipeline(config)
    assert "spectral.steps" in sys.modules


@pytest.fixture
def extended(plugin, tmp_path, identity):
    """An archive that gained the step spectra after its own steps were done."""
    layout = make_archive(tmp_path / "a907")
    run(layout)
    for words in (("add", "."), ("commit", "-qm", "Choose")):
        subprocess.run(["git", *words], cwd=layout.root, check=True)
    add_steps(layout, ["spectra"])
    return layout


def told_of(layout, step: str) -> dict[str, tuple[str, str, str]]:
    told = outcomes_of(read_status(layout, load_config(layout), steps=step))
    return {one.obs_id: (one.status, one.reason, one.why) for one in told}


def test_a_step_with_two_needs_follows_both(extended):
    assert set(told_of(extended, "spectra").values()) == {("todo", "new observation", "")}
    run(extended, "spectra")
    assert set(told_of(extended, "spectra").values()) == {("done", "", "")}
    assert told_of(extended, "sources") == told_of(extended, "clean")  # What was done stays done.
    task = make_stage(extended, load_config(extended), "spectra", "xmm").tasks[0]
    assert {item.step for item in task.inputs} == {"clean", "sources"}
    # One of the two is made again with other content: exactly that observation follows.
    set_parameter(extended, "sources", "false_per_field", 2.0, obs_id=IDS[0])
    assert told_of(extended, "spectra")[IDS[0]] == ("outdated", "input changed", "sources is out of date")
    run(extended, "sources")
    assert told_of(extended, "spectra")[IDS[0]][:2] == ("outdated", "input changed")
    assert {told_of(extended, "spectra")[one] for one in IDS[1:]} == {("done", "", "")}
    assert [one.reason for one in run(extended, "spectra")] == ["input changed", "", ""]
    # One of the two fails.
    wish(extended, **{f"images_{IDS[1]}": "data"})
    set_parameter(extended, "images", "lightcurve_bin", "200 s", obs_id=IDS[1])
    run(extended, "images", "sources")
    assert told_of(extended, "spectra")[IDS[1]] == ("outdated", "input.failed", "sources has failed since")
    assert {one.obs_id: one.status for one in run(extended, "spectra")}[IDS[1]] == "skipped"
    assert told_of(extended, "spectra")[IDS[1]] == ("skipped", "input.failed", "")


def test_an_archive_gains_a_step_once_and_loses_nothing_that_was_written(plugin, tmp_path, identity):
    layout = make_archive(tmp_path / "a907")
    text = layout.config.read_text().replace("steps = ", "# no steps = ")
    layout.config.write_text(text)
    for words in (("add", "."), ("commit", "-qm", "Choose")):
        subprocess.run(["git", *words], cwd=layout.root, check=True)
    with pytest.raises(CriteriaError, match="no step is named"):
        add_steps(layout, [])
    with pytest.raises(ConfigError, match="no step 'spectrum'"):
        add_steps(layout, ["spectrum"])
    set_parameter(layout, "clean", "flare_sigma", 2.0)
    with pytest.raises(ArchiveError, match=r"uncommitted changes in params/xmm\.toml"):
        add_steps(layout, ["spectra"])
    subprocess.run(["git", "commit", "-qam", "Other widths"], cwd=layout.root, check=True)
    before = layout.params("xmm").read_text()
    add_steps(layout, ["spectra"])
    assert layout.params("xmm").read_text().startswith(before.rstrip())
    assert text in layout.config.read_text()
    assert find_problems(layout) == []
    assert layout.pipeline.read_bytes() == rendered_pipeline(load_config(layout))
    with pytest.raises(CriteriaError, match="already"):
        add_steps(layout, ["spectra"])


def test_a_name_that_two_claim_is_refused(plugin, installed, tmp_path, monkeypatch, forget):
    other = tmp_path / "other"
    (other / "rival-1.0.dist-info").mkdir(parents=True)
    (other / "rival-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: rival\nVersion: 1.0\n")
    points = "[daxa.backends]\nspectral = rival:BACKEND\n[daxa.steps]\nclean = rival:STEP\n"
    (other / "rival-1.0.dist-info" / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(str(other))
    forget()
    with pytest.raises(ConfigError, match=r"rival.*spectral|spectral.*rival"):
        find_backend("spectral")
    with pytest.raises(ConfigError, match="daxa itself"):
        find_step("spectra")
    assert find_step("clean").needs == ("events",)  # What is daxa's own stays so.


def test_steps_come_after_those_that_they_need(plugin):
    arranged = arrange_steps(["spectra", *reversed(STEPS)])
    assert [step.name for step in arranged][-2:] == ["sources", "spectra"]
    assert [step.name for step in last_steps(arranged)] == ["spectra"]


@pytest.mark.parametrize(
    "step",
    [
        Step("collect", needs=("clean",)),
        Step("a-b", needs=("clean",)),
        Step("spectra", needs=("spectra",)),
        Step("spectra", kept_by="store", backend="x"),
        Step("spectra"),
        Step("spectra", needs=("clean",), products=("Spectrum",)),
        "spectra",
    ],
    ids=str,
)
def test_a_step_that_cannot_be_is_refused(step):
    with pytest.raises(AssertionError):
        check_step(step)
