"""Directories of calls that end, fail, and are repeated."""

from __future__ import annotations

import subprocess

import pytest

from daxa.backends.chains.work_directory import OutdatedError, WorkDirectory


@pytest.fixture
def work_directory(tmp_path):
    made = WorkDirectory(tmp_path)
    made.open()
    return made


def again(work_directory: WorkDirectory) -> WorkDirectory:
    other = WorkDirectory(work_directory.root)
    other.open()
    return other


def test_an_empty_directory_that_a_call_left_stays_and_is_asked_for(work_directory):
    (work_directory.work / "out" / "deep").mkdir(parents=True)
    work_directory.note("one", {}, "")
    work_directory.before_call()
    (work_directory.work / "out" / "deep" / "more.txt").write_text("more")
    (work_directory.work / "other").mkdir()
    assert work_directory.undo()  # Of a call that failed.
    assert sorted(path.name for path in work_directory.work.rglob("*")) == ["deep", "out"]
    assert again(work_directory).find("one")
    (work_directory.work / "out" / "deep").rmdir()
    assert again(work_directory).find("one") is None


def test_a_failed_call_that_changed_or_removed_files_of_others_is_told(work_directory):
    (work_directory.work / "a.txt").write_text("a")
    work_directory.note("one", {}, "")
    work_directory.before_call()
    (work_directory.work / "a.txt").write_text("other")
    assert not work_directory.undo()
    work_directory.before_call()
    (work_directory.work / "a.txt").unlink()
    assert not work_directory.undo()
    assert again(work_directory).find("one") is None


def test_a_call_that_changed_the_file_of_another_holds_with_it_or_not_at_all(work_directory):
    (work_directory.work / "a.txt").write_text("a")
    (work_directory.work / "same.txt").write_text("same")
    work_directory.note("one", {}, "")
    (work_directory.work / "a.txt").write_text("another")
    (work_directory.work / "same.txt").unlink()
    (work_directory.work / "same.txt").write_text("same")
    assert work_directory.note("two", {"text": ["a.txt"]}, "002").rewrites == ("one",)
    other = again(work_directory)
    assert other.find("one")
    with pytest.raises(OutdatedError):
        other.before_call()
    assert other.find("two").outputs == {"text": ["a.txt"]}
    other.before_call()


def test_programs_of_a_killed_attempt_end_before_the_next_begins_and_no_others(work_directory):
    """What a chain had started goes on when the chain is killed; a person's shell in that directory is left alone."""
    homes = {"ours": work_directory.root / "call-x" / "home", "theirs": work_directory.root.parent}
    running = {
        name: subprocess.Popen(
            ["/bin/sleep", "60"], cwd=work_directory.work, env={"HOME": str(home)}, start_new_session=True
        )
        for name, home in homes.items()
    }
    try:
        again(work_directory)
        assert running["ours"].poll() is not None
        assert running["theirs"].poll() is None
    finally:
        for process in running.values():
            process.kill()
            process.wait()


def test_a_call_with_other_arguments_takes_the_place_of_the_one_before(work_directory):
    (work_directory.work / "a.txt").write_text("a")
    work_directory.note("one", {}, "", "first")
    for key in ("two", "three"):
        work_directory.before_call()
        (work_directory.work / "b.txt").write_text(key)
        (work_directory.work / f"{key}.txt").write_text(key)
        work_directory.note(key, {}, "", "second")
    other = again(work_directory)
    assert other.find("two") is None
    assert other.find("one")
    assert other.find("three")
    other.check()
    assert sorted(path.name for path in other.work.iterdir()) == ["a.txt", "b.txt", "three.txt"]


@pytest.mark.parametrize("content", ["", "{", '{"format": 1}', '{"format": 1, "entries": [{}]}', '{"format": 0}', "[]"])
def test_a_journal_that_cannot_be_read_is_none(work_directory, content):
    (work_directory.work / "a.txt").write_text("a")
    work_directory.note("one", {}, "")
    (work_directory.root / "journal.json").write_text(content)
    other = again(work_directory)
    assert other.find("one") is None
    assert not list(other.work.iterdir())


def test_a_link_in_place_of_a_file_is_not_what_was_left(work_directory, tmp_path):
    (work_directory.work / "a.txt").write_text("a")
    work_directory.note("one", {}, "")
    (tmp_path / "elsewhere.txt").write_text("a")
    (work_directory.work / "a.txt").unlink()
    (work_directory.work / "a.txt").symlink_to(tmp_path / "elsewhere.txt")
    assert again(work_directory).find("one") is None


def test_links_are_known_by_where_they_lead(work_directory, tmp_path):
    (tmp_path / "calibration").mkdir()
    (work_directory.work / "caldb").symlink_to(tmp_path / "calibration")
    (work_directory.work / "a.txt").symlink_to("nowhere")
    work_directory.note("one", {}, "")
    (work_directory.work / "half").symlink_to(tmp_path / "calibration")  # By a call that was interrupted.
    other = again(work_directory)
    assert sorted(path.name for path in other.work.iterdir()) == ["a.txt", "caldb"]
    assert other.find("one")
    (work_directory.work / "a.txt").unlink()
    assert again(work_directory).find("one") is None
    (work_directory.work / "a.txt").symlink_to("nowhere")
    (work_directory.work / "caldb").unlink()
    (work_directory.work / "caldb").symlink_to(tmp_path)
    assert again(work_directory).find("one") is None
    assert (tmp_path / "calibration").is_dir()


def test_what_an_earlier_attempt_made_otherwise_is_not_there_when_a_call_is_repeated(work_directory):
    for name, after in {"one": "", "two": "one", "three": "two", "aside": "one"}.items():
        work_directory.before_call(name)
        (work_directory.work / f"{name}.txt").write_text(name)
        work_directory.note(name, {}, name, name, [after])
    other = again(work_directory)
    assert other.find("one")
    other.before_call("two")  # With another argument, so that "two" and "three" are not wanted any more.
    assert sorted(path.name for path in other.work.iterdir()) == ["aside.txt", "one.txt"]
    (other.work / "new.txt").write_text("new")
    other.note("two again", {}, "", "two", ["one"])
    other.before_call("two")  # Once more in the same attempt: what it has made stays.
    assert sorted(path.name for path in other.work.iterdir()) == ["aside.txt", "new.txt", "one.txt"]
    assert again(other).find("aside")
