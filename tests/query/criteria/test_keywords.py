"""The conditions are stated once: keywords, options, stored keys and documentation are the same."""

from __future__ import annotations

from dataclasses import dataclass, replace
from inspect import signature
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import daxa
from daxa.cli import conditions as command_line
from daxa.errors import CriteriaError
from daxa.missions import find_mission
from daxa.query import make_criteria, read_criteria
from daxa.query.criteria import keywords, parsing
from daxa.query.criteria.keywords import CONDITIONS, CliOption, Conditions, Keyword, conditions_page
from daxa.query.criteria.observation_ids import read_obs_table
from daxa.query.matching.match import match

XMM, CHANDRA = find_mission("xmm"), find_mission("chandra")
NAMES = [one.name for one in CONDITIONS]
DOCS = Path(__file__).resolve().parents[3] / "docs"


def test_types_and_declarations_name_the_same_conditions():
    assert list(Conditions.__annotations__) == NAMES
    assert len({option.name for one in CONDITIONS for option in one.options}) == sum(
        len(one.options) for one in CONDITIONS
    )


def test_python_and_the_documentation_say_all_of_them():
    text = daxa.Mission.filter.__doc__
    assert "{conditions}" not in text
    page = (DOCS / "conditions.md").read_text(encoding="utf-8")
    assert page == conditions_page(), "write it anew: daxa.query.criteria.keywords.conditions_page()"
    for one in CONDITIONS:
        assert f"            {one.name}\n" in text
        assert f"| `{one.name}` |" in page
        assert all(f"`{option.name}" in page for option in one.options)


def test_the_command_line_takes_all_of_them():
    options = {name for param in command_line._single().params for name in param.opts}
    assert {option.name for one in CONDITIONS for option in one.options} <= options


def test_what_no_condition_is_called_is_refused():
    with pytest.raises(TypeError, match="did you mean radius"):
        make_criteria(XMM, radus="1 arcmin")
    with pytest.raises(TypeError, match="no condition 'anything'"):
        daxa.Mission("xmm").filter(anything=1)
    assert "conditions" in signature(daxa.Mission.filter).parameters


@dataclass(frozen=True)
class Brief:
    """A condition that is not declared."""

    seconds: float

    def to_plain(self):
        return {"max_exposure": self.seconds}

    @property
    def text(self):
        return f"exposed at most {self.seconds} s"

    def holds(self, sky):
        return sky.column("exposure") <= self.seconds


def test_a_new_condition_is_a_class_and_an_entry(monkeypatch):
    """Its class is in one file, its entry in the other; everything else follows."""
    entry = Keyword(
        "max_exposure",
        "The longest exposure.",
        (CliOption("--max-exposure", "S", "At most.", "number"),),
        lambda value, spec, files: Brief(float(value)),
    )
    grown = (*CONDITIONS, entry)
    for module in (keywords, parsing, command_line):
        monkeypatch.setattr(module, "CONDITIONS", grown)
    monkeypatch.setattr(parsing, "_CLAUSE_KEYS", (*parsing._CLAUSE_KEYS, entry.name))
    monkeypatch.setattr(parsing, "_KEYS", (*parsing._KEYS, entry.name))
    command_line._single.cache_clear()
    try:
        asked = make_criteria(XMM, max_exposure=3000.0)
        assert read_criteria(XMM, asked.to_plain()) == asked
        command = command_line._single()
        with command.make_context(None, ["--max-exposure", "3000"]) as context:
            typed = command.invoke(context)
        assert make_criteria(XMM, **typed.common) == asked
        table = pd.DataFrame({
            "obs_id": ["0404910601", "0201901401"], "instruments": ["PN", "PN"], "exposure": [1000.0, 9000.0],
            "public_date": [50000.0, 50000.0], "ra": [1.0, 2.0], "dec": [1.0, 2.0], "exposures": ["", ""],
        })  # fmt: skip
        assert match(XMM, table, asked, at=60000.0).keep.tolist() == [True, False]
        assert match(XMM, table, ~asked, at=60000.0).keep.tolist() == [False, True]
        assert "max_exposure" in conditions_page()
    finally:
        command_line._single.cache_clear()


def tables(ids):
    from astropy.table import Table

    yield {"OBSID": list(ids)}
    yield pd.DataFrame({"x": range(len(ids)), "obs_id": ids})
    yield Table({"obsid": np.array([f"{one}   " for one in ids]), "name": ["a"] * len(ids)})
    yield Table({"observation_id": np.array([one.encode() for one in ids]), "ra": [1.0] * len(ids)})


IDS = ["0404910601", "0201901401"]


@pytest.mark.parametrize("which", range(4))
def test_a_table_at_hand_is_a_selection(which):
    table = list(tables(IDS))[which]
    assert make_criteria(XMM, obs_ids=table).obs_ids == tuple(sorted(IDS))
    assert make_criteria(XMM, obs_ids=table) == make_criteria(XMM, obs_ids=IDS)


@pytest.mark.parametrize("suffix", ["ecsv", "vot", "fits", "csv", "parquet"])
def test_a_file_with_a_table_is_a_selection(tmp_path, suffix):
    from astropy.table import Table

    path = tmp_path / f"mine.{suffix}"
    table = Table({"seq": [1, 2], "ObsID": IDS})
    if suffix == "parquet":
        table.to_pandas().to_parquet(path)
    elif suffix == "csv":
        path.write_text("seq,ObsID\n" + "".join(f"{n},{one}\n" for n, one in enumerate(IDS)))
    else:
        table.write(path, format={"ecsv": "ascii.ecsv", "vot": "votable", "fits": "fits"}[suffix])
    assert read_obs_table(XMM, path) == tuple(sorted(IDS))
    assert make_criteria(XMM, obs_ids=str(path)).obs_ids == tuple(sorted(IDS))


def test_whole_numbers_are_obs_ids_where_no_zero_is_lost():
    assert read_obs_table(CHANDRA, {"obsid": np.array([18461, 754])}) == ("18461", "754")
    assert read_obs_table(CHANDRA, pd.DataFrame({"obsid": [18461.0, 754.0]})) == ("18461", "754")
    with pytest.raises(CriteriaError, match=r"row 1 of the table.*lose leading zeros"):
        read_obs_table(XMM, {"obsid": [404910601]})


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"name": ["a"]}, "no column of ObsIDs"),
        ({"obsid": []}, "no rows"),
        ({"obsid": ["0404910601"], "OBSID": ["1"]}, "several columns obsid"),
        ({"obsid": ["0404910601", "../etc"]}, "row 2"),
        ({"obsid": ["0404910601", None]}, "row 2"),
        ({"obsid": [["0404910601"]]}, "row 1"),
        ({"obsid": [float("nan")]}, "row 1"),
        ({"obsid": "0404910601"}, "not a table"),
    ],
)
def test_a_table_that_cannot_be_used_is_reported_with_its_row(table, words):
    with pytest.raises(CriteriaError, match=words):
        make_criteria(XMM, obs_ids=table)


def test_no_archive_names_a_table(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("obsid\n0404910601\n")
    with pytest.raises(CriteriaError):
        read_criteria(XMM, {"obs_ids": str(path)})
    with pytest.raises(CriteriaError):
        read_criteria(XMM, {"obs_ids": {"obsid": ["0404910601"]}})


@pytest.mark.parametrize("content", [b"", b"\x00", b"obsid\n\xff\n", b"SIMPLE  = "])
@pytest.mark.parametrize("suffix", ["csv", "fits", "parquet", "ecsv", "vot"])
def test_a_file_that_is_not_a_table_is_named(tmp_path, suffix, content):
    path = tmp_path / f"mine.{suffix}"
    path.write_bytes(content)
    with pytest.raises(CriteriaError):
        read_obs_table(XMM, path)
    with pytest.raises(CriteriaError, match="does not exist"):
        read_obs_table(XMM, tmp_path / f"none.{suffix}")


def test_the_command_line_takes_a_table(tmp_path):
    from daxa.cli.criteria_options import read_criteria_options

    path = tmp_path / "mine.csv"
    path.write_text("obsid\n0404910601\n")
    typed = command_line.CriteriaOptions((command_line.ConditionGroup(obs_ids=("0201901401",), table=path),))
    assert read_criteria_options(typed, [XMM])["xmm"].obs_ids == tuple(sorted(IDS))
    with pytest.raises(CriteriaError, match="which mission the observations"):
        read_criteria_options(typed, [XMM, CHANDRA])
    only = replace(typed, alternatives=(command_line.ConditionGroup(table=path),))
    assert read_criteria_options(only, [XMM])["xmm"].obs_ids == ("0404910601",)
