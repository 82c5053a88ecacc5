"""Damage to the files of an archive: named by verify, the release and the runner, and repaired by a pull."""

from __future__ import annotations

import pytest

from daxa.archive import git
from daxa.errors import DaxaError
from daxa.publish.releases.verify import verify_archive
from daxa.publish.sharing.pull import pull_data
from daxa.run.hashes import HashCache, find_state
from daxa.run.ledger import read_ledger
from tests.damage.damages import DAMAGES, TREE, damaged_pair
from tests.publish.workshop import FIRST, deceive, problem_set


@pytest.fixture
def deceived(monkeypatch):
    deceive(monkeypatch)


@pytest.mark.parametrize("kind", TREE)
@pytest.mark.parametrize("damage", DAMAGES)
def test_verify_names_it(released, kind, damage):
    victim, other = damaged_pair(released, kind)
    DAMAGES[damage](victim, other)
    found = problem_set(verify_archive(released.layout, "v1.0.0", fetched=True))
    named = {path for path, _ in found}
    expected = "report" if kind == "report" else TREE[kind][0]
    assert expected in named
    if damage == "swap":
        assert TREE[kind][1] in named


# What a release would record as something new, and how it is refused without DVC's help.
JUDGED = ("selection", "ledger", "pipeline", "lock", "metrics", "settings of DVC", "product", "manifest", "report")


@pytest.mark.parametrize("kind", JUDGED)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_release_never_takes_it(news, deceived, kind, damage):
    victim, other = damaged_pair(news, kind)
    DAMAGES[damage](victim, other)
    with pytest.raises(DaxaError) as refused:
        news.release()
    expected = ("report",) if kind == "report" else TREE[kind] if damage == "swap" else TREE[kind][:1]
    assert any(path in refused.value.message for path in expected)
    assert refused.value.remedy
    assert list(git.tags(news.layout.root)) == ["v1.0.0"]


def test_a_release_takes_what_is_whole(news, deceived):
    assert news.release().tag == "v1.0.1"


@pytest.mark.parametrize("kind", ["configuration", "read me", "citation", "attributes", "workflow"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_release_takes_no_file_along_that_it_does_not_write(news, deceived, kind, damage):
    victim, other = damaged_pair(news, kind)
    DAMAGES[damage](victim, other)
    with pytest.raises(DaxaError, match=TREE[kind][0]):
        news.release()
    assert list(git.tags(news.layout.root)) == ["v1.0.0"]


@pytest.mark.parametrize("kind", ["parameters", "software"])
def test_a_release_refuses_parameters_with_which_nothing_ran(news, kind):
    victim = news.layout.root / TREE[kind][0]
    victim.write_text(victim.read_text().replace('"1"', '"2"').replace('"0 s"', '"10 s"'))
    with pytest.raises(DaxaError) as refused:
        news.release()
    assert refused.value.code == "release.stale"


@pytest.mark.parametrize("kind", ["product", "fetched"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_the_runner_makes_it_again(released, tmp_path, kind, damage):
    step = "fetch" if kind == "fetched" else "clean"
    row = read_ledger(released.layout.ledger("xmm", step))[FIRST]
    directory = released.layout.products("xmm", step) / FIRST
    assert find_state(directory, row, HashCache(tmp_path / "none")) == "intact"
    DAMAGES[damage](*damaged_pair(released, kind))
    assert find_state(directory, row, HashCache(tmp_path / "none")) in ("absent", "missing", "damaged")


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_pull_repairs_it(released, damage):
    for kind in ("product", "manifest", "log", *(["report"] if damage != "swap" else [])):
        DAMAGES[damage](*damaged_pair(released, kind))
    assert verify_archive(released.layout, "v1.0.0").problems
    assert pull_data(released.layout, force=True).ok
    assert verify_archive(released.layout, "v1.0.0").problems == ()
