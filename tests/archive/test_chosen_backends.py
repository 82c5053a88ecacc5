"""``daxa init --backend``: which backends a new archive names, and what is refused before anything is written."""

from __future__ import annotations

import tomllib

import pytest

from daxa.archive.chosen_backends import choose_backends
from daxa.archive.config import FETCH_SOFTWARE, LockedSoftware, load_parameters
from daxa.archive.create import check_instruments, provided
from daxa.archive.layout import Layout
from daxa.archive.task_parts import fetched_inputs
from daxa.archive.template import MissionAnswers, render
from daxa.backends import find_backend
from daxa.backends.registry import backend_of_step
from daxa.errors import ConfigError, CriteriaError, NotPossible
from daxa.missions import find_mission
from daxa.query.criteria.criteria import Criteria
from daxa.run.steps import OWN_STEPS

SUITES = {"sas": "xmm", "esass": "erass1", "ciao": "chandra", "heasoft": "nustar"}


def chosen(texts, *missions):
    return choose_backends(texts, [find_mission(name) for name in missions], OWN_STEPS)


def names(tables) -> list[str]:
    return [backend_of_step(tables, step, OWN_STEPS) for step in OWN_STEPS[1:]]


@pytest.mark.parametrize(("suite", "mission"), SUITES.items())
def test_a_suite_does_all_that_it_can_and_the_rest_is_native(suite, mission):
    for text in (suite, f"{mission}:{suite}"):
        found = names(chosen([text], mission)[mission])
        assert found == [
            suite if find_backend(suite).version(mission, step.name) else "native" for step in OWN_STEPS[1:]
        ]


def test_single_steps_and_missions_are_chosen_too():
    assert names(chosen(["events=sas"], "xmm")["xmm"])[:2] == ["sas", "sas"], "as in a params file"
    assert names(chosen(["sas", "images=native"], "xmm")["xmm"])[:3] == ["sas", "sas", "native"]
    assert names(chosen(["clean=sas"], "xmm")["xmm"])[:2] == ["native", "sas"]
    both = chosen(["sas", "chandra:clean=ciao"], "xmm", "chandra", "rosat")
    assert names(both["xmm"])[0] == "sas"
    assert names(both["chandra"]) == ["native", "ciao", "ciao", "ciao"]
    assert both["rosat"] == {}
    assert chosen([], "xmm") == {"xmm": {}}
    # One that says more wins, wherever it stands.
    for texts in (["native", "xmm:sas"], ["xmm:sas", "native"], ["clean=native", "xmm:clean=sas", "sas"]):
        assert names(chosen(texts, "xmm")["xmm"])[:2] == ["sas", "sas"]


@pytest.mark.parametrize(
    ("texts", "error", "words"),
    [
        (["iraf"], ConfigError, "no backend 'iraf'"),
        (["clean=iraf"], ConfigError, "no backend 'iraf'"),
        (["cleaning=sas"], CriteriaError, "'cleaning'"),
        (["fetch=sas"], CriteriaError, "'fetch'"),
        (["chandra:ciao"], CriteriaError, "chandra is not among"),
        (["ciao"], NotPossible, "ciao does not do anything of XMM-Newton"),
        (["events=heasoft"], NotPossible, "does not do events"),
        (["clean=sas", "clean=native"], CriteriaError, "both sas and native"),
        (["native", "sas"], CriteriaError, "both native and sas"),
        (["xmm:clean=sas", "xmm:clean=native"], CriteriaError, "both sas and native"),
        (["=sas"], CriteriaError, "no step"),
        ([""], ConfigError, "no backend"),
    ],
)
def test_what_cannot_be_is_refused_by_name(texts, error, words):
    with pytest.raises(error, match=words):
        chosen(texts, "xmm")


def test_the_remedy_says_who_does_it():
    with pytest.raises(NotPossible) as caught:
        chosen(["esass"], "chandra")
    assert "chandra is processed by native, ciao" in caught.value.remedy


@pytest.mark.parametrize(("suite", "mission"), SUITES.items())
def test_the_files_of_a_new_archive_name_it_and_are_accepted(suite, mission, tmp_path):
    spec, layout = find_mission(mission), Layout(tmp_path)
    tables = chosen([suite], mission)[mission]
    software = [
        (step.name, FETCH_SOFTWARE if step.fetches else provided(spec, step, OWN_STEPS, tables)) for step in OWN_STEPS
    ]
    files = render("a", [MissionAnswers(spec, {}, software, tables)])
    path = layout.params(mission)
    path.parent.mkdir()
    path.write_text(files[f"params/{mission}.toml"])
    read = load_parameters(layout, mission, [step.name for step in OWN_STEPS])
    assert names(read) == names(tables)
    locked = tomllib.loads(files["software.toml"])[mission]
    for step, backend in zip(OWN_STEPS[1:], names(tables), strict=True):
        assert (locked[step.name]["backend"], locked[step.name]["version"]) == (
            backend,
            find_backend(backend).version(mission, step.name),
        )
        own = {key: value for key, value in read[step.name].items() if key != "backend"}
        assert not find_backend(backend).check(mission, {step.name: own})
        # Examples of the suite's own parameters stand there as comments.
        assert f"# {suite} = " in path.read_text()
    assert provided(spec, OWN_STEPS[1], OWN_STEPS) == LockedSoftware(
        "native", find_backend("native").version(mission, "events")
    )


def test_instruments_that_only_mission_software_processes_can_be_chosen_with_it():
    xmm = find_mission("xmm")
    gratings = Criteria(instruments=("R1",))
    with pytest.raises(NotPossible) as caught:
        check_instruments(xmm, gratings, fetched_inputs(xmm, {}, OWN_STEPS))
    assert "--backend sas" in caught.value.remedy
    check_instruments(xmm, gratings, fetched_inputs(xmm, chosen(["sas"], "xmm")["xmm"], OWN_STEPS))
    swift = find_mission("swift")
    for name in ("UVOT", "BAT"):
        only = Criteria(instruments=(name,))
        with pytest.raises(NotPossible, match=name) as caught:
            check_instruments(swift, only, fetched_inputs(swift, {}, OWN_STEPS))
        assert "--backend heasoft" in caught.value.remedy
        check_instruments(swift, only, fetched_inputs(swift, chosen(["heasoft"], "swift")["swift"], OWN_STEPS))
