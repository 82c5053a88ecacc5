"""The page of checks is what the last run measured, of every check."""

from __future__ import annotations

import pytest

pytest.importorskip("benchmarks.validation", reason="the benchmarks do not stand beside the tests")

from benchmarks.validation.__main__ import CHECKS, main
from benchmarks.validation.checks import Check, at_most, between, equal, poisson, told
from benchmarks.validation.report import DOCS, REMARKS, page, read_results, write_results


def test_the_page_is_made_of_the_figures_and_no_check_is_left_out():
    results = read_results(DOCS)
    assert (DOCS / "validation.md").read_text(encoding="utf-8") == page(CHECKS, results)
    assert sorted(results) == sorted(check.name for check in CHECKS)
    assert len({check.name for check in CHECKS}) == len(CHECKS)


def test_what_misses_comes_first_and_what_was_not_run_is_said(tmp_path):
    figures = [at_most("too much", 2.0, 1.0), between("right", 1.0, 0.9, 1.1), told("no demand", "7")]
    checks = [Check(name, name.upper(), "oracle", "data", lambda _: figures) for name in ("one", "two")]
    write_results(tmp_path, checks, {"one": {"steps": "events 1", "figures": [vars(one) for one in figures]}})
    text = (tmp_path / "validation.md").read_text(encoding="utf-8")
    assert "1 of 2 figures meet what is asked" in text
    assert text.index("too much") < text.index("## ONE") < text.index("no demand")
    assert "**TWO** (`two`): not run yet" in text
    assert read_results(tmp_path)["one"]["figures"][0]["met"] is False
    write_results(tmp_path, checks, read_results(tmp_path))
    assert (tmp_path / "validation.md").read_text(encoding="utf-8") == text


@pytest.mark.parametrize("missed", [True, False])
def test_what_is_known_of_a_miss_stands_beside_it(missed):
    [name, remark] = next(iter(REMARKS.items()))
    assert set(REMARKS) <= {check.name for check in CHECKS}
    figures = [vars(at_most("width", 2.0, 1.0 if missed else 3.0))]
    text = page(CHECKS, {name: {"steps": "events 1", "figures": figures}})
    assert (f"`{name}`: {remark}" in text) is missed


def test_figures_judge_what_they_measure():
    assert [between("", value, 0.9, 1.1, error=0.05).met for value in (0.84, 0.86, 1.0, 1.14, 1.16)] == [
        False,
        True,
        True,
        True,
        False,
    ]
    assert (equal("", 0, 10).met, equal("", 1, 10).met) == (True, False)
    assert [poisson("", found, 10.0).met for found in (2, 3, 19, 20)] == [False, True, True, False]


def test_an_unknown_check_is_an_error_that_names_it(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--only", "sas-image,nothing"])
    assert ended.value.code == 2
    assert "nothing" in capsys.readouterr().err


def test_one_check_runs_alone_and_the_others_keep_their_figures(tmp_path, capsys):
    write_results(tmp_path, CHECKS, {"false": {"steps": "events 1", "figures": [vars(told("kept", "7"))]}})
    # It needs no data, only CFITSIO, which the tests bring.
    assert main(["--only", "gti", "--scale", "0.1", "--to", str(tmp_path)]) == 0
    results = read_results(tmp_path)
    assert results["false"]["figures"][0]["what"] == "kept"
    assert "set operations" in capsys.readouterr().out
