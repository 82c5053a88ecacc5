"""An archive that an earlier daxa made is brought up to date: its owner's changes stay, and nothing is done again."""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
from pathlib import Path

import pytest

import daxa
from daxa.archive import git, template, upgrading
from daxa.archive.config import TEMPLATE, load_config, parse_config
from daxa.archive.gate import enter_archive
from daxa.archive.layout import Layout
from daxa.archive.locktext import with_commands
from daxa.archive.software import load_software
from daxa.archive.trust import find_foreign, rendered_pipeline
from daxa.archive.upgrading import plan_upgrade
from daxa.cli import main
from daxa.errors import ArchiveError, ConfigError, CriteriaError
from daxa.publish.releases.verify import verify_archive
from daxa.publish.sharing.pull import pull_data
from tests.publish.workshop import set_identity

pytestmark = pytest.mark.usefixtures("quick_dvc")

FIXTURE = Path(__file__).parent / "fixtures" / "before-versions.tar.xz"
MISSION = "nustar"
TEXTS = {
    "LICENSE.j2": "d932f9d01ad47535",
    "README.md.j2": "f4c7ba64ec809dcd",
    "daxa.toml.j2": "5ae1daf22439370c",
    "dvc-gitignore": "cda3fc1a4ce9659c",
    "dvc.yaml.j2": "e9e4c52c87466599",
    "dvcignore": "3b1861970283cecf",
    "gitattributes": "a0ff801ff87492b1",
    "gitignore": "b6eba2faf3e99989",
    "verify.yml": "a005e722ec8ec5dc",
}
"""Templates of `TEMPLATE` to the beginning of their SHA-256."""
NEW_LINE = "| `CHANGES.md` |"


@pytest.fixture(scope="session")
def old_once(make_once) -> Path:
    """The archive that was made by an earlier daxa, with its data."""

    def make(place: Path) -> None:
        with tarfile.open(FIXTURE) as packed:
            packed.extractall(place, filter="data")
        with pytest.MonkeyPatch.context() as patch:
            set_identity(patch)
            patch.setenv("DAXA_STORE", str(place / "store"))
            assert pull_data(Layout(place / "a907")).ok

    return make_once("before-versions", make)


@pytest.fixture
def old(old_once, tmp_path, identity, monkeypatch) -> Layout:
    monkeypatch.setenv("DAXA_STORE", str(tmp_path / "store"))
    shutil.copytree(old_once, tmp_path, dirs_exist_ok=True, symlinks=True)
    monkeypatch.chdir(tmp_path / "a907")
    return Layout(tmp_path / "a907")


def data_of(layout: Layout) -> dict[str, tuple[bytes, int]]:
    files = (path for name in ("data", "ledger", "selection") for path in (layout.root / name).rglob("*"))
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in files if path.is_file()}


def change(layout: Layout, path: str, before: str, after: str) -> None:
    text = (layout.root / path).read_text()
    assert before in text
    (layout.root / path).write_text(text.replace(before, after, 1))
    git.commit(layout.root, [path], "Mine")


def test_the_fixture_is_small():
    assert FIXTURE.stat().st_size < 200_000


def test_a_template_that_changes_is_kept_for_archives_that_have_it():
    """Keep the former text in ``templates/earlier/<TEMPLATE>``, raise `TEMPLATE`, then enter the digests here."""
    places = template.template_directories()
    found = {name: next(place / name for place in places if (place / name).is_file()) for name in TEXTS}
    assert {name: hashlib.sha256(path.read_bytes()).hexdigest()[:16] for name, path in found.items()} == TEXTS
    assert all((places[0] / "earlier" / str(version)).is_dir() for version in range(1, TEMPLATE))


def test_it_is_upgraded_runs_nothing_verifies_its_tag_and_is_released_again(old, capsys):
    before, lock, commit = data_of(old), old.lock.read_bytes(), git.commit_of(old.root)
    assert main(["upgrade", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert f"+{NEW_LINE}" in said
    assert git.changes(old.root) == []
    assert git.commit_of(old.root) == commit

    assert main(["upgrade"]) == 0
    assert "upgraded: README.md" in capsys.readouterr().out
    assert git.commit_of(old.root, "HEAD~1") == commit
    assert git.changes(old.root) == []
    readme, ignored = (old.root / "README.md").read_text(), (old.root / ".gitignore").read_text()
    assert NEW_LINE in readme
    assert "Our notes are in the group's wiki." in readme
    assert ignored.endswith("/drafts\n")
    assert "!/CHANGES.md" in ignored
    assert load_config(old).template == TEMPLATE
    assert (data_of(old), old.lock.read_bytes()) == (before, lock)

    # What is locked to earlier versions stays so, and keeps nothing from running.
    assert {one.status for one in daxa.open().status()} == {"done"}
    assert main(["run"]) == 0
    assert (data_of(old), old.lock.read_bytes()) == (before, lock)
    assert daxa.open().release("after the upgrade", force=True) == "v1.0.1"
    assert verify_archive(old, "v1.0.1").ok
    assert daxa.open().checkout("v1.0.0").ok
    assert verify_archive(old, "v1.0.0").ok


def test_an_upgraded_archive_and_one_of_today_are_up_to_date(old, tmp_path, capsys):
    assert plan_upgrade(old).apply()
    assert not plan_upgrade(old)
    assert plan_upgrade(old).apply() == ""
    assert main(["upgrade", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["files"] == []
    assert record["commit"] == ""
    assert {one["step"] for one in record["waiting"]} == {"events", "clean", "images", "sources"}


def test_software_is_locked_anew_only_on_request(old):
    assert load_software(old)[MISSION, "clean"].version == "6"
    assert main(["upgrade", "--mission", MISSION]) == main(["upgrade", "--calibration", "--software"]) == 3
    plan = daxa.open().plan_upgrade(software=True, missions=MISSION)
    assert {one.step for one in plan.software} == {"events", "clean", "images", "sources"}
    assert not plan.waiting
    assert plan.apply()
    assert load_software(old)[MISSION, "clean"].version != "6"
    statuses = {one.step: one.status for one in daxa.open().status()}
    assert statuses["clean"] == "outdated"
    assert statuses["fetch"] == "done"
    assert "clean: 6 -> " in git.plumb(old.root, "log", "-1", "--format=%B")


def test_changed_lines_on_both_sides_are_named_and_nothing_is_written(old, capsys):
    change(old, "README.md", "| `report/index.html`, `metrics.json` | overview |", "| `report/` | our overview |")
    change(old, ".github/workflows/verify.yml", "      - run: daxa verify\n", "      - run: daxa verify --present\n")
    before = {path: (old.root / path).read_bytes() for path in git.tracked(old.root)}
    commit = git.commit_of(old.root)
    with pytest.raises(ArchiveError, match="our overview") as caught:
        plan_upgrade(old)
    assert "verify --present" in caught.value.message
    options = ["--keep", "README.md", "--keep", ".github/workflows/verify.yml"]
    assert f"daxa upgrade {' '.join(options)}" in caught.value.remedy
    assert main(["upgrade"]) == 5
    assert {path: (old.root / path).read_bytes() for path in git.tracked(old.root)} == before
    assert git.commit_of(old.root) == commit
    assert main(["upgrade", *options]) == 0
    assert (old.root / "README.md").read_bytes() == before["README.md"]
    assert "!/CHANGES.md" in (old.root / ".gitignore").read_text()
    capsys.readouterr()
    assert main(["upgrade", "--keep", "READ.md"]) == 3
    assert "did you mean" in capsys.readouterr().err
    with pytest.raises(CriteriaError):
        plan_upgrade(old, keep=["data"])


def test_edits_rewritten_history_and_removed_files_stay(old):
    """What the earlier daxa wrote is known from its templates, whatever Git's history says."""
    change(old, "daxa.toml", "max_failed_release = 0.0 ", "max_failed_release = 0.25 ")
    change(old, "LICENSE", "The underlying", "Ours. The underlying")
    git.plumb(old.root, "rm", "-q", ".github/workflows/verify.yml")
    git.plumb(old.root, "commit", "-q", "--amend", "--reset-author", "-m", "One commit", environ={})
    tree = git.plumb(old.root, "rev-parse", "HEAD^{tree}").strip()
    squashed = git.plumb(old.root, "commit-tree", tree, "-m", "Squashed").strip()
    git.plumb(old.root, "reset", "-q", "--hard", squashed)
    plan = plan_upgrade(old)
    assert set(plan.texts) == {"README.md", ".gitignore", ".gitattributes", "daxa.toml"}
    plan.apply()
    assert load_config(old).policy.max_failed_release == 0.25
    assert "Our notes" in (old.root / "README.md").read_text()
    assert "Ours." in (old.root / "LICENSE").read_text()
    assert not (old.root / ".github/workflows/verify.yml").exists()


def test_new_parameters_are_comments_and_values_stay(old, monkeypatch):
    lines = template.parameter_lines

    def more(spec, step, steps, tables):
        return [*lines(spec, step, steps, tables), *(["smoothing = 3   # new"] if step.name == "images" else [])]

    monkeypatch.setattr(upgrading, "parameter_lines", more)
    change(old, f"params/{MISSION}.toml", 'flares = "none" ', "# noted\nflares = 'none' ")
    before = old.params(MISSION).read_text()
    plan_upgrade(old).apply()
    after = old.params(MISSION).read_text()
    assert [line for line in after.splitlines() if line not in before.splitlines()] == ["# smoothing = 3   # new"]
    assert after.replace("# smoothing = 3   # new\n", "") == before
    assert after.index("lightcurve_bin") < after.index("# smoothing") < after.index("[sources]")
    assert not plan_upgrade(old)


def test_uncommitted_changes_and_a_change_meanwhile_stop_it(old):
    plan = plan_upgrade(old)
    (old.root / "README.md").write_text("mine\n")
    with pytest.raises(ArchiveError, match=r"uncommitted changes in README\.md"):
        plan.apply()
    git.commit(old.root, ["README.md"], "Mine")
    with pytest.raises(ArchiveError, match="changed since"):
        plan.apply()


def test_newer_archives_want_a_newer_daxa(old, capsys):
    text = old.config.read_text()
    for line, version in (("format = 1", 99), ("format = 1", 2)):
        content = text.replace(line, f"format = {version}\nfuture = true").encode()
        with pytest.raises(ConfigError, match=f"format {version}") as caught:
            parse_config(content, old.config)
        assert (caught.value.code, caught.value.remedy) == ("config.newer-format", "update daxa")
    old.config.write_text(text.replace("format = 1", f"format = 1\ntemplate = {TEMPLATE + 1}"))
    with pytest.raises(ConfigError, match="this daxa knows"):
        plan_upgrade(old)
    assert main(["upgrade"]) == 4
    assert "update daxa" in capsys.readouterr().err


@pytest.fixture
def spelt_otherwise(tmp_path, monkeypatch) -> Path:
    """As if the first version of the templates had spelt the commands of the pipeline in another way."""
    text = (template.template_directories()[-1] / "dvc.yaml.j2").read_text()
    place = tmp_path / "more" / "earlier" / "1" / "dvc.yaml.j2"
    place.parent.mkdir(parents=True)
    place.write_text(text.replace("cmd: exec daxa", "cmd: daxa"))
    directories = (tmp_path / "more", *template.template_directories())
    monkeypatch.setattr(template, "template_directories", lambda: directories)
    template._environment.cache_clear()
    yield place
    template._environment.cache_clear()


def test_another_spelling_of_commands_runs_nothing_again(old, spelt_otherwise, capsys):
    earlier, today = rendered_pipeline(load_config(old), 1), rendered_pipeline(load_config(old))
    assert earlier != today == old.pipeline.read_bytes()
    lock = with_commands(old.lock.read_text(), today.decode(), earlier.decode())
    assert lock.count("cmd: daxa") == 6
    old.lock.write_text(lock)
    old.pipeline.write_bytes(earlier)
    git.commit(old.root, ["dvc.lock", "dvc.yaml"], "As an earlier daxa")
    assert [item.what for item in find_foreign(old, load_config(old))] == ["is what an earlier daxa wrote"]
    with pytest.raises(ArchiveError) as caught:
        enter_archive(old)
    assert "daxa upgrade" in caught.value.remedy
    before = data_of(old)
    assert main(["upgrade"]) == 0
    capsys.readouterr()
    assert old.pipeline.read_bytes() == today
    assert main(["run"]) == 0
    assert data_of(old) == before
    assert "exec daxa stage" in old.lock.read_text()
    assert daxa.open().release("spelt anew", force=True) == "v1.0.1"


def test_the_same_command_completes_an_interrupted_upgrade(old, monkeypatch):
    def killed(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(git, "commit", killed)
        assert main(["upgrade"]) == 130
    assert main(["upgrade"]) == 0
    assert git.changes(old.root) == []
    assert load_config(old).template == TEMPLATE


def test_a_kill_at_any_moment_leaves_the_old_or_the_new(old, tmp_path, monkeypatch):
    """Every step that changes something is the last one before a kill, once."""
    old_commit, ended = git.commit_of(old.root), 0
    light = shutil.ignore_patterns("data", "cache", "report", "logs")
    for number in range(60):
        place = Layout(shutil.copytree(old.root, tmp_path / str(number) / "a907", ignore=light))
        plan, calls = plan_upgrade(place), iter(range(1000))

        def counted(function, calls=calls, number=number):
            def call(*arguments, **options):
                if next(calls) == number:
                    raise KeyboardInterrupt
                return function(*arguments, **options)

            return call

        with monkeypatch.context() as patch:
            for name in ("rename", "replace", "write_bytes", "write_text"):
                patch.setattr(Path, name, counted(getattr(Path, name)))
            patch.setattr(git, "commit", counted(git.commit))
            try:
                plan.apply()
                ended = number
            except KeyboardInterrupt:
                pass
        if not ended:
            enter_archive(place)
        assert git.changes(place.root) == []
        commit = git.commit_of(place.root)
        assert commit == old_commit or git.commit_of(place.root, "HEAD~1") == old_commit
        assert load_config(place).template == (0 if commit == old_commit else TEMPLATE)
        shutil.rmtree(place.root)
        if ended:
            break
        # Before the decisive rename nothing has happened, and after it everything will.
        assert (commit == old_commit) == (number <= 6), number
    assert ended == 14
