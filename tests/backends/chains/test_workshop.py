"""Directories of calls that end, fail, and are repeated."""

from __future__ import annotations

import subprocess

import pytest

from daxa.backends.chains.workshop import OutdatedError, Workshop


@pytest.fixture
def shop(tmp_path):
    made = Workshop(tmp_path)
    made.open()
    return made


def again(shop: Workshop) -> Workshop:
    other = Workshop(shop.root)
    other.open()
    return other


def test_an_empty_directory_that_a_call_left_stays_and_is_asked_for(shop):
    (shop.work / "out" / "deep").mkdir(parents=True)
    shop.note("one", {}, "")
    shop.before_call()
    (shop.work / "out" / "deep" / "more.txt").write_text("more")
    (shop.work / "other").mkdir()
    assert shop.undo()  # Of a call that failed.
    assert sorted(path.name for path in shop.work.rglob("*")) == ["deep", "out"]
    assert again(shop).find("one")
    (shop.work / "out" / "deep").rmdir()
    assert again(shop).find("one") is None


def test_a_failed_call_that_changed_or_removed_files_of_others_is_told(shop):
    (shop.work / "a.txt").write_text("a")
    shop.note("one", {}, "")
    shop.before_call()
    (shop.work / "a.txt").write_text("other")
    assert not shop.undo()
    shop.before_call()
    (shop.work / "a.txt").unlink()
    assert not shop.undo()
    assert again(shop).find("one") is None


def test_a_call_that_changed_the_file_of_another_holds_with_it_or_not_at_all(shop):
    (shop.work / "a.txt").write_text("a")
    (shop.work / "same.txt").write_text("same")
    shop.note("one", {}, "")
    (shop.work / "a.txt").write_text("another")
    (shop.work / "same.txt").unlink()
    (shop.work / "same.txt").write_text("same")
    assert shop.note("two", {"text": ["a.txt"]}, "002").rewrites == ("one",)
    other = again(shop)
    assert other.find("one")
    with pytest.raises(OutdatedError):
        other.before_call()
    assert other.find("two").outputs == {"text": ["a.txt"]}
    other.before_call()


def test_programs_of_a_killed_attempt_end_before_the_next_begins_and_no_others(shop):
    """What a chain had started goes on when the chain is killed; a person's shell in that directory is left alone."""
    homes = {"ours": shop.root / "call-x" / "home", "theirs": shop.root.parent}
    running = {
        name: subprocess.Popen(["/bin/sleep", "60"], cwd=shop.work, env={"HOME": str(home)}, start_new_session=True)
        for name, home in homes.items()
    }
    try:
        again(shop)
        assert running["ours"].poll() is not None
        assert running["theirs"].poll() is None
    finally:
        for process in running.values():
            process.kill()
            process.wait()


def test_a_call_with_other_arguments_takes_the_place_of_the_one_before(shop):
    (shop.work / "a.txt").write_text("a")
    shop.note("one", {}, "", "first")
    for key in ("two", "three"):
        shop.before_call()
        (shop.work / "b.txt").write_text(key)
        (shop.work / f"{key}.txt").write_text(key)
        shop.note(key, {}, "", "second")
    other = again(shop)
    assert other.find("two") is None
    assert other.find("one")
    assert other.find("three")
    other.check()
    assert sorted(path.name for path in other.work.iterdir()) == ["a.txt", "b.txt", "three.txt"]


@pytest.mark.parametrize("content", ["", "{", '{"format": 1}', '{"format": 1, "entries": [{}]}', '{"format": 0}', "[]"])
def test_a_journal_that_cannot_be_read_is_none(shop, content):
    (shop.work / "a.txt").write_text("a")
    shop.note("one", {}, "")
    (shop.root / "journal.json").write_text(content)
    other = again(shop)
    assert other.find("one") is None
    assert not list(other.work.iterdir())


def test_a_link_in_place_of_a_file_is_not_what_was_left(shop, tmp_path):
    (shop.work / "a.txt").write_text("a")
    shop.note("one", {}, "")
    (tmp_path / "elsewhere.txt").write_text("a")
    (shop.work / "a.txt").unlink()
    (shop.work / "a.txt").symlink_to(tmp_path / "elsewhere.txt")
    assert again(shop).find("one") is None


def test_links_are_known_by_where_they_lead(shop, tmp_path):
    (tmp_path / "calibration").mkdir()
    (shop.work / "caldb").symlink_to(tmp_path / "calibration")
    (shop.work / "a.txt").symlink_to("nowhere")
    shop.note("one", {}, "")
    (shop.work / "half").symlink_to(tmp_path / "calibration")  # By a call that was interrupted.
    other = again(shop)
    assert sorted(path.name for path in other.work.iterdir()) == ["a.txt", "caldb"]
    assert other.find("one")
    (shop.work / "a.txt").unlink()
    assert again(shop).find("one") is None
    (shop.work / "a.txt").symlink_to("nowhere")
    (shop.work / "caldb").unlink()
    (shop.work / "caldb").symlink_to(tmp_path)
    assert again(shop).find("one") is None
    assert (tmp_path / "calibration").is_dir()


def test_what_an_earlier_attempt_made_otherwise_is_not_there_when_a_call_is_repeated(shop):
    for name, after in {"one": "", "two": "one", "three": "two", "aside": "one"}.items():
        shop.before_call(name)
        (shop.work / f"{name}.txt").write_text(name)
        shop.note(name, {}, name, name, [after])
    other = again(shop)
    assert other.find("one")
    other.before_call("two")  # With another argument, so that "two" and "three" are not wanted any more.
    assert sorted(path.name for path in other.work.iterdir()) == ["aside.txt", "one.txt"]
    (other.work / "new.txt").write_text("new")
    other.note("two again", {}, "", "two", ["one"])
    other.before_call("two")  # Once more in the same attempt: what it has made stays.
    assert sorted(path.name for path in other.work.iterdir()) == ["aside.txt", "new.txt", "one.txt"]
    assert again(other).find("aside")
