"""What is read of commits."""

from __future__ import annotations

from daxa.archive import git


def test_files_of_a_commit_are_copied_as_git_keeps_them(tmp_path, identity):
    repository = tmp_path / "repository"
    repository.mkdir()
    git.initialise(repository)
    (repository / "deeper").mkdir()
    contents = {"one.txt": b"one\r\n", "deeper/two": b"\0" * 3_000_000, "empty": b""}
    for name, content in contents.items():
        (repository / name).write_bytes(content)
    git.commit(repository, list(contents), "more")
    place = tmp_path / "copies"
    place.mkdir()
    git.copy_files(repository, git.commit_of(repository), [*contents, "absent", "deeper"], place)
    assert {path.relative_to(place).as_posix(): path.read_bytes() for path in place.rglob("*") if path.is_file()} == (
        contents
    )
