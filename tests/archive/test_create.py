"""`create_archive` refuses before it writes, and leaves nothing half-made."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

import daxa
from daxa.archive import git
from daxa.archive.create import check_missions, create_archive
from daxa.errors import ArchiveError, ConfigError, CriteriaError, NotPossible, ServiceError


class Unreachable(SimpleNamespace):
    """A mission whose service cannot be reached."""

    def select(self):
        raise ServiceError("unreachable", "no answer", remedy="try later")


@pytest.fixture
def unreachable():
    mission = daxa.Mission("xmm").filter(obs_ids=["0404910601"])
    return Unreachable(spec=mission.spec, criteria=mission.criteria)


def test_a_failing_selection_leaves_nothing(tmp_path, unreachable, identity):
    with pytest.raises(ServiceError):
        create_archive(tmp_path / "a907", [unreachable])
    assert list(tmp_path.iterdir()) == []


def test_a_directory_with_content_is_left_alone(tmp_path, unreachable, identity):
    (tmp_path / "a907").mkdir()
    (tmp_path / "a907" / "precious").write_text("data")
    with pytest.raises(ArchiveError) as caught:
        create_archive(tmp_path / "a907", [unreachable])
    assert caught.value.code == "archive.exists"
    assert [path.name for path in (tmp_path / "a907").iterdir()] == ["precious"]


def test_no_mission_or_one_twice_is_refused(tmp_path, unreachable, identity):
    with pytest.raises(CriteriaError, match="no mission"):
        create_archive(tmp_path / "a", [])
    with pytest.raises(CriteriaError, match="twice"):
        create_archive(tmp_path / "a", [unreachable, unreachable])


@pytest.mark.parametrize("name", ["-rf", "a b", "a;b", ".hidden"])
def test_names_that_could_mislead_are_refused(tmp_path, unreachable, name, identity):
    with pytest.raises(ArchiveError) as caught:
        create_archive(tmp_path / name, [unreachable])
    assert caught.value.code == "archive.name"


def test_without_an_identity_nothing_is_made(tmp_path, unreachable, monkeypatch):
    for variable in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "EMAIL"):
        monkeypatch.delenv(variable, raising=False)
    config = tmp_path / "gitconfig"
    config.write_text("[user]\n\tuseConfigOnly = true\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    with pytest.raises(ConfigError) as caught:
        create_archive(tmp_path / "a907", [unreachable])
    assert caught.value.code == "config.git-identity"
    assert not (tmp_path / "a907").exists()


def test_changes_names_odd_paths_whole(tmp_path, identity):
    git.initialise(tmp_path)
    (tmp_path / "kept").write_text("1")
    git.commit(tmp_path, ["."], "first")
    (tmp_path / "kept").write_text("2")
    (tmp_path / 'with "quotes" and ünicode').write_text("3")
    assert git.changes(tmp_path) == ["kept", 'with "quotes" and ünicode']


def test_tags_are_annotated_and_never_move(tmp_path, identity):
    from daxa.errors import ProgramError

    git.initialise(tmp_path)
    (tmp_path / "file").write_text("1")
    first = git.commit(tmp_path, ["."], "first")
    git.create_tag(tmp_path, "v1.0.0", "release\n\nxmm: 2 observations\n")
    with pytest.raises(ProgramError):
        git.create_tag(tmp_path, "v1.0.0", "again")
    assert git.tags(tmp_path) == {"v1.0.0": first}
    assert git.read_file(tmp_path, "v1.0.0", "file") == b"1"
    assert git.read_file(tmp_path, "v1.0.0", "absent") is None
    with pytest.raises(ArchiveError):
        git.commit_of(tmp_path, "v9.9.9")


@pytest.mark.parametrize(("name", "remedy"), [("rxte", "daxa search --mission rxte"), ("exosat", "xmm")])
def test_a_mission_that_nothing_processes_is_refused_before_anything_is_queried(
    tmp_path, unreachable, name, remedy, identity
):
    mission = daxa.Mission(name)
    with pytest.raises(NotPossible) as caught:
        create_archive(tmp_path / "a907", [unreachable, mission])
    assert caught.value.code == "impossible.not-processed"
    assert mission.spec.title in caught.value.message
    assert remedy in caught.value.remedy
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "chosen"),
    [("chandra", ["HETG"]), ("chandra", ["ACIS", "LETG"]), ("xmm", ["R1", "OM"]), ("swift", ["BAT"])],
)
def test_instruments_that_nothing_processes_are_refused_by_name(tmp_path, name, chosen, identity):
    mission = daxa.Mission(name).filter(instruments=chosen)
    with pytest.raises(NotPossible, match=f"{mission.spec.title} .*{chosen[-1]}") as caught:
        create_archive(tmp_path / "a907", [mission])
    assert caught.value.code == "impossible.not-processed"
    other = daxa.Mission(name).filter(min_exposure="5 ks").criteria
    with pytest.raises(NotPossible, match=chosen[-1]):
        create_archive(tmp_path / "a907", [daxa.Mission(name).filter(mission.criteria | other)])
    assert list(tmp_path.iterdir()) == []


def test_instruments_beside_those_that_are_processed_are_no_obstacle():
    for name, chosen in (("xmm", ["PN", "R1"]), ("swift", ["XRT", "BAT"]), ("chandra", ["ACIS"]), ("ixpe", [])):
        check_missions([daxa.Mission(name).filter(instruments=chosen or None)], [name])


def test_a_mission_that_is_not_processed_is_refused_with_what_is_missing():
    masks = daxa.Mission("integral").filter(obs_ids=["088600010010"])
    with pytest.raises(NotPossible, match="coded masks: files and good time intervals only"):
        check_missions([masks], ["integral"])


def test_a_mission_whose_data_come_in_tar_files_is_no_obstacle():
    check_missions([daxa.Mission("erosita_calpv").filter(obs_ids=["300007"])], ["erosita_calpv"])
