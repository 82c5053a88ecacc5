"""Calibration is identified by names and contents, not by paths or dates."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from daxa.backends.tools.calibration import caldb_identity, folder_identity, index_identity, names_identity
from daxa.errors import DataError, ProgramError

CONFIG = """# A comment
TELESCOPE  ONE   CALDB  data/telescope/one  caldb.indx  CALDB  data/telescope/one
telescope  two   CALDB  data/telescope/two  caldb.indx  CALDB  data/telescope/two
"""


def write_index(path: Path, names: list[str], issues: list[int], **cards: object) -> Path:
    rows = np.zeros(len(names), [("TYPEID", "S24"), ("PATH", "S80"), ("ISSUE", ">i4")])
    rows["TYPEID"], rows["PATH"], rows["ISSUE"] = names, names, issues
    table = fits.BinTableHDU(rows, name="CALINDEX")
    table.header.update(cards)
    path.parent.mkdir(exist_ok=True)
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path, overwrite=True)
    return path


def test_an_index_is_known_by_the_files_that_it_names(tmp_path):
    one = index_identity(
        write_index(tmp_path / "a.cif", ["/ccf/X_0001.CCF", "/ccf/Y_0002.CCF"], [1, 2], DATE="2026-01-01")
    )
    elsewhere = ["/other/Y_0002.CCF", "/other/X_0001.CCF"]
    assert index_identity(write_index(tmp_path / "b.cif", elsewhere, [2, 1], DATE="2026-11-30")) == one
    assert index_identity(write_index(tmp_path / "c.cif", ["/ccf/X_0001.CCF", "/ccf/Y_0003.CCF"], [1, 3])) != one
    assert index_identity(write_index(tmp_path / "d.cif", ["/ccf/X_0001.CCF"], [1])) != one


def test_what_is_no_index_is_an_error(tmp_path):
    (tmp_path / "x.cif").write_text("<html>")
    fits.PrimaryHDU().writeto(tmp_path / "y.cif")
    write_index(tmp_path / "z.cif", [], [])
    for name in ("x.cif", "y.cif", "z.cif", "absent.cif"):
        with pytest.raises(DataError) as caught:
            index_identity(tmp_path / name)
        assert caught.value.code == "data.calibration"


@pytest.fixture
def caldb(tmp_path) -> dict[str, str]:
    (tmp_path / "software/tools").mkdir(parents=True)
    (tmp_path / "software/tools/caldb.config").write_text(CONFIG)
    for name in ("one", "two"):
        (tmp_path / "data/telescope" / name).mkdir(parents=True)
        (tmp_path / "data/telescope" / name / "caldb.indx").write_text(name)
    return {"CALDB": str(tmp_path), "CALDBCONFIG": str(tmp_path / "software/tools/caldb.config")}


def test_a_caldb_is_known_by_the_indices_of_the_instruments_that_are_used(caldb):
    place = Path(caldb["CALDB"])
    one = caldb_identity(caldb, [("Telescope", "One")])
    both = caldb_identity(caldb, [("TELESCOPE", "TWO"), ("TELESCOPE", "ONE")])
    assert caldb_identity({"CALDB": caldb["CALDB"]}, [("telescope", "one")]) == one != both
    os.utime(place / "data/telescope/one/caldb.indx", (1, 1))
    (place / "data/telescope/two/caldb.indx").write_text("newer")
    assert caldb_identity(caldb, [("Telescope", "One")]) == one, "another instrument has changed"
    assert caldb_identity(caldb, [("TELESCOPE", "TWO"), ("TELESCOPE", "ONE")]) != both


def test_without_a_caldb_on_this_machine_there_is_no_identity(caldb):
    remote = {"CALDB": "https://heasarc.gsfc.nasa.gov/FTP/caldb", "CALDBCONFIG": caldb["CALDBCONFIG"]}
    for environ, pairs, told in (
        (remote, [("TELESCOPE", "ONE")], "remote"), ({}, [], "not set"),
        ({"CALDBCONFIG": caldb["CALDBCONFIG"]}, [], "not set"), ({"CALDB": caldb["CALDB"] + "/data"}, [], "not set"),
        (caldb, [("TELESCOPE", "THREE")], "THREE"),
    ):  # fmt: skip
        with pytest.raises(ProgramError, match=told):
            caldb_identity(environ, pairs)
    (Path(caldb["CALDB"]) / "data/telescope/one/caldb.indx").unlink()
    with pytest.raises(ProgramError, match="is not there"):
        caldb_identity(caldb, [("TELESCOPE", "ONE")])


def test_a_directory_is_known_by_all_its_files(tmp_path):
    for place in ("a", "b"):
        (tmp_path / place / "kp").mkdir(parents=True)
        (tmp_path / place / "kp" / "table.txt").write_text("1 2 3")
    one = folder_identity(tmp_path / "a")
    assert folder_identity(tmp_path / "b") == one
    (tmp_path / "b" / "kp" / "table.txt").rename(tmp_path / "b" / "table.txt")
    assert folder_identity(tmp_path / "b") != one
    with pytest.raises(ProgramError):
        folder_identity(tmp_path / "none")


def test_files_with_the_number_of_their_issue_are_known_by_their_names(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
        (folder / "EMOS1_ADUCONV_0078.CCF").write_text("content")
        (folder / "ccf.cif").write_text(folder.name)  # Not a calibration file.
    same = names_identity([one], ".ccf")
    assert same == names_identity([two], ".ccf") == names_identity([tmp_path / "none", one, two], ".ccf")
    (two / "EMOS1_ADUCONV_0079.ccf").write_text("content")
    assert names_identity([one, two], ".ccf") != same
    (one / "EMOS1_ADUCONV_0078.CCF").unlink()
    (one / "EMOS1_ADUCONV_0078.CCF").write_text("cut")
    assert names_identity([one], ".ccf") != same
    with pytest.raises(ProgramError, match="no calibration files"):
        names_identity([tmp_path], ".ccf")
