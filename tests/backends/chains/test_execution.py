"""Chains of calls: what they leave, what a repetition makes again, what happens to failures."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import pytest
from astropy.io import fits

from daxa.backends.chains import CallPlan, ChainBackend, Link, Program, execution
from daxa.backends.chains.task_script import END, HEADING, calls_in, script_in
from daxa.backends.contract import check_backend
from daxa.errors import CallError, ConfigError, DataError, ProgramError, ToolError
from tests.backends.chains.example import CHAIN
from tests.stubs.fits import write_table
from tests.stubs.install import grant, request

ALL = [
    *("filter-M1-S001", "filter-M2-S002", "curve-M1-S001", "curve-M2-S002", "gti-M1-S001", "gti-M2-S002"),
    "merge",
]


def test_a_chain_leaves_products_and_logs_and_is_not_made_twice(bench, tmp_path):
    names, log = bench.run()
    assert bench.calls == ALL
    assert [name.rpartition("-")[2] for name in names] == ["finalevents.fits", "gti.fits"] * 2
    product = next(path for path in tmp_path.glob("target*/*M1*finalevents.fits"))
    with fits.open(product) as parts:
        assert len(parts["EVENTS"].data) == 27  # PI > 300
        assert parts[0].header["CLEANED"] is True
    assert "== gti M2-S002: done" in log
    assert "$ merge set1=M1-S001-f.fits set2=M2-S002-f.fits outset=all.fits" in log
    assert "ended:" in log
    # Inputs are copies, and were not changed.
    assert not (bench.work_directory / "work" / "M1-S001.fits").is_symlink()
    assert (bench.work_directory / "work" / "M1-S001.fits").stat().st_nlink == 1
    again, log = bench.run()
    assert (again, bench.calls) == (names, [])
    assert "== gti M2-S002: done before" in log
    assert log.count("ended:") == 7


def test_a_script_makes_the_same_files_without_daxa(bench, tmp_path):
    (tmp_path / "events" / "M2-S002.fits").unlink()
    _, log = bench.run(skip=["curve", "gti", "merge"])
    alone = tmp_path / "alone"
    alone.mkdir()
    environ = {**bench.backend._installed().environ, "TMPDIR": str(alone)}
    script = script_in(log)
    subprocess.run(
        ["/bin/sh", "-c", script, "sh", str(tmp_path / "events")],
        cwd=alone,
        env=environ,
        check=True,
        capture_output=True,
    )
    assert (alone / "M1-S001-f.fits").read_bytes() == (bench.work_directory / "work" / "M1-S001-f.fits").read_bytes()


def test_a_repetition_begins_where_it_broke(bench, prefix):
    request(prefix, "tabgtigen", "errorAndOne")
    with pytest.raises(CallError) as caught:
        bench.run()
    grant(prefix, "tabgtigen")
    assert caught.value.code == "sas.gti.noCounts"
    assert "xmm 0404910601: gti of M1-S001 failed" in caught.value.message
    assert 'failing = "leave out" in [clean.obs."0404910601"]' in caught.value.remedy
    assert "** tabgtigen: error (noCounts)" in bench.log
    bench.run()
    assert bench.calls == ["gti-M1-S001", "gti-M2-S002", "merge"]


def test_what_an_interrupted_call_left_is_removed_and_nothing_else(bench, prefix):
    request(prefix, "merge", "silent")
    with pytest.raises(CallError, match="merge failed"):
        bench.run()
    grant(prefix, "merge")
    (bench.work_directory / "work" / "half.fits").write_bytes(b"half")
    (bench.work_directory / "work" / "out" / "empty").mkdir(parents=True)
    (bench.work_directory / "work" / "out" / "half.txt").write_bytes(b"half")
    (bench.work_directory / "call-x").mkdir()
    damaged = bench.work_directory / "work" / "M2-S002-rate.fits"
    damaged.write_bytes(damaged.read_bytes()[:-1440])
    bench.run()
    # A file that is not as its call left it is made again, with what depends on it; the other exposure stays.
    assert bench.calls == ["curve-M2-S002", "gti-M2-S002", "merge"]
    assert not (bench.work_directory / "work" / "half.fits").exists()
    assert not (bench.work_directory / "work" / "out").exists()
    assert not (bench.work_directory / "call-x").exists()


@pytest.mark.parametrize("after", [False, True])
def test_it_is_interrupted_anywhere_and_ends_with_the_same_products(bench, monkeypatch, after):
    """Before the first call, within or right after each: what was done is kept, and the end is the same."""
    counted, interrupted = execution.run_call, set[str]()

    def interrupt(call, *args, name: str, cwd, **more):
        if name in interrupted:
            return counted(call, *args, name=name, cwd=cwd, **more)
        interrupted.add(name)
        if after:
            counted(call, *args, name=name, cwd=cwd, **more)
        (cwd / "half.fits").write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(execution, "run_call", interrupt)
    for _ in ALL:
        with pytest.raises(KeyboardInterrupt):
            bench.run()
    names, _ = bench.run()
    assert len(interrupted) == len(ALL)
    assert bench.calls == ["merge"]  # All before it were done before.
    assert len(names) == 4
    work = {path.name: path.read_bytes() for path in (bench.work_directory / "work").iterdir()}
    bench.work_directory.rename(bench.root / "former")
    bench.run()
    assert work == {path.name: path.read_bytes() for path in (bench.work_directory / "work").iterdir()}


def test_other_parameters_make_again_what_follows_from_them(bench):
    bench.run(sas={"gti": {"mingtisize": 1.0}})
    bench.run(sas={"gti": {"mingtisize": 2.0}})
    assert bench.calls == ["gti-M1-S001", "gti-M2-S002", "merge"]
    assert "mingtisize=2.0" in bench.log


def test_other_inputs_make_all_again(bench):
    bench.run()
    path = bench.root / "events" / "M1-S001.fits"
    path.write_bytes(path.read_bytes().replace(b"EVENTS  ", b"EVENTS  ") + b"")
    bench.run()
    assert bench.calls == []
    content = bytearray(path.read_bytes())
    content[-2880 - 7] ^= 1
    path.write_bytes(bytes(content))
    bench.run()
    assert bench.calls == ALL


def test_links_are_left_out_and_stopped_after(bench):
    names, _ = bench.run(skip=["merge", "gti"])
    assert bench.calls == ALL[:4]
    assert all(name.endswith("finalevents.fits") for name in names)
    bench.run(stop_after="filter")
    assert bench.calls == []
    assert "== curve" not in bench.log


def test_one_exposure_fails_and_the_other_is_done(bench):
    # Without the column TIME no light curve can be made.
    write_table(bench.root / "events" / "M1-S001.fits", "EVENTS", {"PI": [500.0, 900.0]})
    with pytest.raises(CallError) as caught:
        bench.run(skip=["merge"])
    assert caught.value.code.startswith("sas.curve.")
    assert "gti-M2-S002" in bench.calls
    names, log = bench.run(skip=["merge"], failing="leave out")
    assert bench.calls == ["curve-M1-S001"]  # It is tried again.
    assert [name for name in names if "M1" in name] == []
    assert len(names) == 2
    assert "left out M1-S001: xmm 0404910601: curve of M1-S001 failed" in log


def test_an_observation_without_any_exposure_fails_whatever_is_asked(bench, prefix):
    request(prefix, "evselect", "outputsMissing")
    with pytest.raises(CallError) as caught:
        bench.run(failing="leave out")
    grant(prefix, "evselect")
    assert caught.value.code == "sas.filter.outputMissing"


def test_a_call_that_changed_files_of_others_ends_the_attempt_and_they_are_made_again(bench, prefix):
    request(prefix, "tabgtigen", "writesInput")
    with pytest.raises(CallError) as caught:
        bench.run(failing="leave out")
    grant(prefix, "tabgtigen")
    assert caught.value.code == "sas.gti.inputChanged"
    assert "gti-M2-S002" not in bench.calls
    bench.run()
    assert bench.calls == ["curve-M1-S001", "gti-M1-S001", "gti-M2-S002", "merge"]


def test_files_that_later_calls_wrote_again_are_told_from_those_that_were_damaged(bench):
    """Two calls write one file: both are valid, or the task starts over."""

    def twice(known):
        inputs = [(path.removesuffix(".fits"), path) for path in known.inputs]
        return [CallPlan({"table": path, "filteredset": f"{part}-f.fits"}, part) for part, path in inputs]

    second = Link("second", "evselect", twice, "again", {"expression": "PI > 500"}, wired=("table", "filteredset"))
    chain = replace(CHAIN, links=(CHAIN.links[0], second))
    bench.backend = ChainBackend(Program("sas", (chain,)), {})
    bench.run()
    assert len(bench.calls) == 4
    bench.run()
    assert bench.calls == []
    _, log = bench.run(sas={"second": {"expression": "PI > 700"}})
    assert "starting over" in log
    assert len(bench.calls) == 4
    # Without the second call, its file must not stand for that of the first.
    bench.run(skip=["second"])
    assert bench.calls == ["filter-M1-S001", "filter-M2-S002"]
    with fits.open(bench.work_directory / "work" / "M1-S001-f.fits") as parts:
        assert len(parts["EVENTS"].data) == 27


def test_what_no_observation_can_be_done_with_stops_the_stage(bench, monkeypatch):
    with pytest.raises(ConfigError, match="no parameter 'skp'"):
        bench.run(skp=[])
    # A parameter that this release does not have, although others do.
    old = replace(CHAIN.links[0], tool="espfilt", defaults={}, wired=(), plan=lambda known: [CallPlan()])
    bench.backend = ChainBackend(Program("sas", (replace(CHAIN, links=(old,)),)), {})
    with pytest.raises(ToolError, match="only until 19") as caught:
        bench.run(sas={"filter": {"eventset": "x.fits"}})
    assert caught.value.environmental
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(ProgramError, match="espfilt of SAS was not found"):
        bench.run(sas={"filter": {"eventfile": "x.fits"}})


def test_two_inputs_of_one_name_are_refused(bench):
    import gzip

    path = bench.root / "events" / "M1-S001.fits"
    (bench.root / "events" / "M1-S001.fits.gz").write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(DataError, match=r"two inputs would both become M1-S001\.fits"):
        bench.run()


def test_what_it_says_of_itself_is_whole(bench):
    check_backend(bench.backend, ["xmm"], ["clean"])


def test_what_a_tool_prints_is_not_taken_for_the_script_or_for_a_call(tmp_path):
    output = tmp_path / "001-filter.stdout"
    output.write_text(f"a\n{HEADING}\nrm -rf x\n{END}\n\n== cut: done\n$ evtool x\n")
    assert script_in(f"log\n{execution._shown(output)}\n") == ""
    log = f"\n== screen M1-S001: done\n$ evselect\n{execution._shown(output)}\n\n== cut: done\n$ evtool\n"
    names, texts = zip(*calls_in(log), strict=True)
    assert names == (("screen", "M1-S001", "evselect"), ("cut", "evtool"))
    assert texts[1] == "== cut: done\n$ evtool"
