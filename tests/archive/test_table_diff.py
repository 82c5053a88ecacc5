"""``git diff`` shows tables as rows, by a command that no clone can bring; a hostile table is bounded."""

from __future__ import annotations

import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from daxa import parquet_text
from daxa.archive import git
from daxa.archive.table_diff import DRIVER, set_table_diff, shows_tables
from daxa.archive.trust import harmful_attributes
from daxa.cli import main
from daxa.parquet import write_parquet
from daxa.parquet_text import table_lines
from tests.publish.workshop import FIRST, THIRD, Workshop, observation, run


@pytest.fixture
def workshop(tmp_path, identity) -> Workshop:
    made = Workshop(tmp_path / "a907")
    made.generate(["xmm"], "")
    made.choose("xmm", [observation(FIRST)])
    git.initialise(made.layout.root)
    git.commit(made.layout.root, ["."], "Choose")
    return made


def test_git_shows_rows_and_the_row_that_a_change_is_in(workshop):
    root = workshop.layout.root
    assert "Binary files" in run_diff(workshop)
    assert not shows_tables(workshop.layout)
    assert set_table_diff(workshop.layout)
    assert shows_tables(workshop.layout)
    assert not set_table_diff(workshop.layout)
    shown = run_diff(workshop)
    assert f"+{THIRD}" in shown
    assert f"-{FIRST} exposure: 23000.0" in shown
    assert f"+{FIRST} exposure: 24000.0" in shown
    assert "Binary" not in shown
    git.commit(root, ["selection"], "More")
    assert f"+{THIRD}" in run(root, "git", "log", "-p", "-1")


def run_diff(workshop: Workshop) -> str:
    workshop.choose("xmm", [observation(FIRST) | {"exposure": 24000.0}, observation(THIRD)])
    return run(workshop.layout.root, "git", "diff", "-U1")


def test_without_daxa_git_diff_goes_on(workshop):
    set_table_diff(workshop.layout)
    command = git.local_setting(workshop.layout.root, f"diff.{DRIVER}.textconv")
    broken = command.replace(" -P -m daxa", " -P -m no_such_module")
    run(workshop.layout.root, "git", "config", f"diff.{DRIVER}.textconv", broken)
    shown = run_diff(workshop)
    assert [line[:1] for line in shown.splitlines()[-2:]] == ["-", "+"]


def test_nothing_in_the_tree_is_run_in_place_of_daxa(workshop, tmp_path):
    set_table_diff(workshop.layout)
    for name in ("daxa/__init__.py", "daxa/__main__.py", "typing.py"):
        place = workshop.layout.root / name
        place.parent.mkdir(exist_ok=True)
        place.write_text(f"open({str(tmp_path / 'evil')!r}, 'w').close()\n")
    assert f"+{THIRD}" in run_diff(workshop)
    assert not (tmp_path / "evil").exists()


def test_a_clone_has_the_name_and_not_the_command(workshop, tmp_path):
    set_table_diff(workshop.layout)
    run(tmp_path, "git", "clone", "--quiet", "a907", "clone")
    clone = Workshop(tmp_path / "clone")
    assert not shows_tables(clone.layout)
    assert "Binary files" in run_diff(clone)
    assert list(harmful_attributes((clone.layout.root / ".gitattributes").read_bytes())) == []
    assert list(harmful_attributes(b"*.parquet diff=daxa-tables\n")) == ["diff=daxa-tables"]


def test_doctor_sets_it_up_when_asked(workshop, monkeypatch, capsys):
    monkeypatch.chdir(workshop.layout.root)
    main(["doctor", "archive"])
    assert "daxa doctor --fix" in capsys.readouterr().out
    assert not shows_tables(workshop.layout)
    main(["doctor", "archive", "--fix"])
    assert "does not show tables" not in capsys.readouterr().out
    assert shows_tables(workshop.layout)


def test_a_hostile_table_is_bounded_and_shows_nothing_unseen(tmp_path, monkeypatch, capsys):
    path = tmp_path / "x.parquet"
    write_parquet(path, pa.table({"obs_id": ["1\x1b[2J\n-  outcome: done"], "text": ["x" * 10_000], "no": [None]}))
    lines = list(table_lines(path))
    assert lines[1:] == ["1\ufffd[2J -  outcome: done", lines[2]]
    assert len(lines[2]) < 2100
    write_parquet(tmp_path / "y.parquet", pa.table({"obs_id": ["1"], "text": ["x" * 10_001]}))
    assert list(table_lines(tmp_path / "y.parquet"))[2] != lines[2]

    monkeypatch.setattr(parquet_text, "_MOST_LINES", 100)
    write_parquet(path, pa.table({"obs_id": [str(number) for number in range(200)]}))
    assert len(list(table_lines(path))) == 102

    monkeypatch.setattr(parquet_text, "_LARGEST", 1 << 16)
    pq.write_table(pa.table({"obs_id": ["0" * 1000] * 10_000}), path, compression="zstd")
    assert path.stat().st_size < 1 << 16
    assert next(table_lines(path)).startswith("# not a table that daxa can read")
    for content in (b"", b"PAR1", b"PAR1" + b"\xff" * 100 + b"PAR1", b"text\n"):
        path.write_bytes(content)
        assert len(list(table_lines(path))) == 2
    assert main(["show-table", str(path)]) == 0
    assert "SHA-256" in capsys.readouterr().out
    path.unlink()
    os.mkfifo(path)
    assert main(["show-table", str(path)]) != 0


def test_what_is_no_file_is_only_refused(tmp_path, capsys):
    assert main(["show-table", str(tmp_path)]) == 11
    error = capsys.readouterr().err
    assert "is not a regular file" in error
    assert "rm " not in error
