"""A release made again: every file gets the verdict that is right, the archive stays usable, no lie is identical."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from daxa.archive import git, software
from daxa.archive.layout import STEPS, Layout
from daxa.errors import ArchiveError, ConfigError, CriteriaError, DataError, VerifyError
from daxa.publish.remaking.certificate import recorded_release, statement_bytes
from daxa.publish.remaking.certificates import add_certificate, find_certificate, list_certificates
from daxa.publish.remaking.certified import check_statement, read_statement
from daxa.publish.remaking.export import export_release
from daxa.run.ledger import read_ledger, write_ledger
from daxa.stages import recreate, recreation
from daxa.stages.recreation import RecreationRequest, recompute_release, recreate_archive
from tests.publish.workshop import set_identity
from tests.stages import remaking
from tests.stages.remaking import FIRST, SECOND, THIRD, stage_of, wish

pytestmark = pytest.mark.usefixtures("quick_dvc")


@pytest.fixture(scope="module")
def released_once(tmp_path_factory):
    place = tmp_path_factory.mktemp("released")
    with pytest.MonkeyPatch.context() as patch:
        set_identity(patch)
        patch.setattr("daxa.run.runner.execute", remaking.execute_here)
        layout = remaking.release(place / "a907")
        export_release(layout, "v1.0.0", place / "a907.bundle")
    return place


@pytest.fixture
def released(released_once, tmp_path, identity, monkeypatch):
    """The archive and its bundle; what is made again is made by work that takes no time, and no DVC is asked."""
    shutil.copytree(released_once, tmp_path / "source", symlinks=True)
    monkeypatch.setattr("daxa.run.runner.execute", remaking.execute_here)
    monkeypatch.setattr(recreate, "make_stage", stage_of)
    monkeypatch.setattr(recreate, "_finish", lambda layout, config: None)
    return tmp_path / "source"


def again(released, wishes=None, monkeypatch=None, **options):
    """Recreate in a directory beside, with work that does what the wishes say."""
    target = released.parent / "again"
    opened = recreation.open_bundle

    def open_and_wish(*args, **named):
        layout, tag = opened(*args, **named)
        wish(layout, wishes or {})
        return layout, tag

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recreation, "open_bundle", open_and_wish)
        return recreate_archive(str(released / "a907.bundle"), target, RecreationRequest(**options))


def by_obs(made) -> dict[str, str]:
    return {one["obs_id"]: one["verdict"] for one in made.statement["predicate"]["observations"]}


def files_of(made, obs_id: str) -> dict[str, dict]:
    (one,) = [one for one in made.statement["predicate"]["observations"] if one["obs_id"] == obs_id]
    return {f"{file['step']}/{file['path']}": file for file in one["files"]}


def changed(root) -> list[str]:
    return git.changes(root)


def test_all_is_identical_and_the_archive_is_as_released(released):
    made = again(released)
    assert made.verdict == "identical bytes"
    assert set(by_obs(made)) == {FIRST, SECOND, THIRD}
    root = released.parent / "again"
    assert changed(root) == []
    assert git.branch(root) == "main"
    assert git.plumb(root, "for-each-ref", "--format=%(refname)").split() == ["refs/heads/main", "refs/tags/v1.0.0"]
    for step in STEPS:
        for path in (released / "a907" / "data" / "xmm" / step).rglob("*.fits"):
            there = root / path.relative_to(released / "a907")
            assert there.read_bytes() == path.read_bytes()
    text = (released.parent / "again.certificate.txt").read_text()
    assert "identical bytes" in text.splitlines()[0]
    assert "<script" not in (released.parent / "again.certificate.html").read_text()


def test_each_change_upstream_is_named_and_nothing_else(released):
    made = again(released, {f"fetch {FIRST}": "altered", f"fetch {SECOND}": "absent", f"fetch {THIRD}": "repacked"})
    assert by_obs(made) == {FIRST: "redelivered", SECOND: "no longer available", THIRD: "identical science"}
    first = files_of(made, FIRST)
    assert first["fetch/list.FTZ"]["verdict"] == "redelivered"
    assert first["fetch/attitude.FTZ"]["verdict"] == "identical bytes"
    third = files_of(made, THIRD)
    assert {path for path, file in third.items() if file["verdict"] != "identical bytes"} == {"fetch/list.FTZ"}
    root = released.parent / "again"
    assert changed(root) == ["ledger/xmm-fetch.parquet"]
    assert not (root / "data" / "xmm" / "fetch" / FIRST).exists()
    assert not (root / "data" / "xmm" / "images" / FIRST).exists()
    rows = read_ledger(root / "ledger" / "xmm-fetch.parquet")
    recorded = recorded_release(Layout(root), "v1.0.0").ledgers["xmm"]["fetch"]
    assert {obs_id for obs_id in rows if rows[obs_id] != recorded[obs_id]} == {THIRD}


def test_a_file_more_or_fewer_upstream_is_named(released):
    made = again(released, {f"fetch {FIRST}": "more", f"fetch {SECOND}": "fewer"})
    assert by_obs(made) == {FIRST: "redelivered", SECOND: "no longer available", THIRD: "identical bytes"}
    assert files_of(made, FIRST)["fetch/second.FTZ"]["verdict"] == "redelivered"
    assert files_of(made, SECOND)["fetch/attitude.FTZ"]["verdict"] == "no longer available"


def test_what_was_corrected_upstream_is_asked_for_again(released):
    assert again(released, {f"fetch {FIRST}": "altered"}).verdict == "redelivered"
    wish(Layout(released.parent / "again"), {})
    assert again(released).verdict == "identical bytes"


def test_other_products_are_different_and_measured_numbers_are_named(released):
    made = again(released, {f"clean {SECOND}": "different"})
    assert by_obs(made)[SECOND] == "different"
    assert by_obs(made)[FIRST] == "identical bytes"
    how = [file.get("how", "") for file in files_of(made, SECOND).values()]
    assert "counts 1234 -> 1235" in how
    root = released.parent / "again"
    assert read_ledger(root / "ledger" / "xmm-clean.parquet")[SECOND].measures == '{"counts":1235}'


def test_a_changed_default_is_named_as_the_cause(released, monkeypatch):
    from dataclasses import replace

    def with_other_default(layout, config, step, mission):
        stage = stage_of(layout, config, step, mission)
        if step != "images":
            return stage
        tasks = [replace(one, parameters=json.dumps({**json.loads(one.parameters), "new": 1})) for one in stage.tasks]
        return replace(stage, tasks=tasks)

    monkeypatch.setattr(recreate, "make_stage", with_other_default)
    made = again(released)
    assert made.verdict == "identical bytes"
    causes = {tuple(one["causes"]) for one in made.statement["predicate"]["observations"]}
    assert causes == {("images: parameters changed",)}


def test_other_locked_software_stops_before_anything_is_fetched(released, monkeypatch):
    from daxa.backends.native import NATIVE

    monkeypatch.setattr(type(NATIVE), "version", lambda self, mission, step: "99")
    with pytest.raises(ConfigError, match="99"):
        again(released)
    assert not (released.parent / "again" / "data").exists()


def test_a_sample_is_drawn_with_a_seed_and_an_interrupted_call_keeps_it(released, monkeypatch):
    def broken(*args, **named):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(recreate, "run_stage", broken)
        with pytest.raises(KeyboardInterrupt):
            again(released, sample=1)
    made = again(released)
    scope = made.statement["predicate"]["scope"]
    assert (scope["sample"], scope["observations"], scope["of"]) == (1, 1, 3)
    (only,) = by_obs(made)
    one = recreate.choose_scope(recorded_release(Layout(released / "a907"), "v1.0.0"), 1, scope["seed"])
    assert one.chosen["xmm"] == [only]
    assert changed(released.parent / "again") == []
    with pytest.raises(CriteriaError):
        again(released, sample=-1)


def test_an_interrupted_call_continues_and_does_only_what_is_missing(released, monkeypatch):
    real, calls = recreate.run_stage, []

    def until_clean(stage, **options):
        calls.append(stage.step)
        if stage.step == "clean":
            raise KeyboardInterrupt
        return real(stage, **options)

    with monkeypatch.context() as patch:
        patch.setattr(recreate, "run_stage", until_clean)
        with pytest.raises(KeyboardInterrupt):
            again(released)
    assert calls == ["fetch", "events", "clean"]
    assert changed(released.parent / "again") == []
    outcomes = []

    def counted(stage, **options):
        found = real(stage, **options)
        outcomes.extend((one.step, one.status) for one in found)
        return found

    monkeypatch.setattr(recreate, "run_stage", counted)
    assert again(released).verdict == "identical bytes"
    assert {status for step, status in outcomes if step in ("fetch", "events")} == {"kept"}
    assert {status for step, status in outcomes if step not in ("fetch", "events")} == {"done"}


def test_the_expected_release_is_asked_for_by_its_digest(released):
    commit = git.commit_of(released / "a907", "v1.0.0")
    with pytest.raises(VerifyError, match=commit):
        again(released, expect="0123456789ab")
    with pytest.raises(VerifyError):
        again(released, expect=commit[:6])
    with pytest.raises(CriteriaError, match="ftp://host/a907"):
        recreate_archive("ftp://host/a907.bundle", released.parent / "again")
    assert not (released.parent / "again").exists()
    assert again(released, expect=commit[:12]).same
    with pytest.raises(VerifyError, match=commit):  # What is there already is compared as well.
        again(released, expect="0123456789ab")


def test_a_directory_in_use_is_not_touched(released):
    (released.parent / "again").mkdir()
    (released.parent / "again" / "mine").write_text("mine")
    with pytest.raises(ArchiveError, match="not empty"):
        again(released)
    assert (released.parent / "again" / "mine").read_text() == "mine"


def test_recomputing_a_tag_says_how_products_differ_and_leaves_nothing(released):
    layout = Layout(released / "a907")
    opened = recreation._copy_consent

    def and_wish(here, scratch):
        opened(here, scratch)
        wish(scratch, {f"images {FIRST}": "different"})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recreation, "_copy_consent", and_wish)
        made = recompute_release(layout, "v1.0.0", RecreationRequest(sample=3, seed=1))
    assert by_obs(made) == {FIRST: "different", SECOND: "identical bytes", THIRD: "identical bytes"}
    (how,) = [file["how"] for file in files_of(made, FIRST).values() if file["verdict"] == "different"]
    assert "COUNTS differs in" in how
    assert "counts" in how
    assert not list((layout.private / "recompute").iterdir())
    assert changed(layout.root) == []


def test_noise_is_accepted_only_in_declared_products(released, monkeypatch):
    def recomputed():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                recreation, "_copy_consent", lambda here, scratch: wish(scratch, {f"images {FIRST}": "different"})
            )
            return recompute_release(Layout(released / "a907"), "v1.0.0", RecreationRequest(sample=3, seed=1))

    monkeypatch.setattr(software, "randomised_here", lambda backends, step, steps: frozenset({"image"}))
    made = recomputed()
    assert made.verdict == "equal within counting noise"
    assert not made.same
    # Without the data of the release nobody can tell.
    made = again(released, {f"images {FIRST}": "different"})
    assert made.verdict == "different"
    assert any("random numbers" in file.get("how", "") for file in files_of(made, FIRST).values())


# What is no truth must not come out as identical.


def retagged(layout: Layout, target) -> None:
    """Commit what stands there and move the tag to it, as somebody would who edits a release."""
    subprocess.run(["git", "commit", "-qam", "edited"], cwd=layout.root, check=False, capture_output=True)
    move_tag(layout)
    target.unlink()
    export_release(layout, "v1.0.0", target)


def move_tag(layout: Layout) -> None:
    subprocess.run(["git", "tag", "-fam", "x", "v1.0.0"], cwd=layout.root, check=True, capture_output=True)


def edit(layout: Layout, step: str, obs_id: str) -> None:
    """Write other digests for a product into the ledger."""
    from dataclasses import replace

    rows = read_ledger(layout.ledger("xmm", step))
    files = tuple(
        replace(one, sha256="1" * 64, science="2" * 64) if one.path.endswith("fits") else one
        for one in rows[obs_id].files
    )
    rows[obs_id] = replace(rows[obs_id], files=files)
    write_ledger(layout.ledger("xmm", step), rows.values(), mission="xmm", step=step)


def test_an_edited_ledger_is_found_out_twice(released):
    layout = Layout(released / "a907")
    edit(layout, "images", SECOND)
    retagged(layout, released / "a907.bundle")
    made = again(released)
    assert by_obs(made)[SECOND] == "different"
    assert made.statement["predicate"]["contradictions"] == [
        "ledger/xmm-images.parquet is not the file that dvc.lock names"
    ]


def test_an_edited_ledger_with_a_lock_to_match_is_found_out_by_doing_it_again(released):
    layout = Layout(released / "a907")
    edit(layout, "images", SECOND)
    remaking.seal(layout)
    retagged(layout, released / "a907.bundle")
    made = again(released)
    assert made.verdict == "different"
    assert by_obs(made) == {FIRST: "identical bytes", SECOND: "different", THIRD: "identical bytes"}


def test_an_edited_row_that_says_failed_is_found_out(released):
    from daxa.run.task import LedgerRow

    layout = Layout(released / "a907")
    for step in STEPS[1:]:
        rows = read_ledger(layout.ledger("xmm", step))
        rows[FIRST] = LedgerRow(FIRST, "failed", "data.no-events")
        write_ledger(layout.ledger("xmm", step), rows.values(), mission="xmm", step=step)
    remaking.seal(layout)
    retagged(layout, released / "a907.bundle")
    assert by_obs(again(released))[FIRST] == "different"


# Certificates of several people.


@pytest.fixture
def certified(released):
    made = again(released)
    return Layout(released / "a907"), made, released.parent / "again.certificate.json"


def test_certificates_are_kept_beside_the_tag_which_never_moves(certified, tmp_path):
    layout, made, path = certified
    before = git.plumb(layout.root, "rev-parse", "refs/tags/v1.0.0", "HEAD")
    tag, kept = add_certificate(layout, path)
    assert tag == "v1.0.0"
    made.statement["predicate"]["by"] = "Annie Jump Cannon"
    (tmp_path / "other.json").write_bytes(statement_bytes(made.statement))
    add_certificate(layout, tmp_path / "other.json")
    add_certificate(layout, path)
    found = list_certificates(layout, "v1.0.0")
    assert len(found) == 2
    assert {one.statement["predicate"]["by"] for one in found} == {"Henrietta Leavitt", "Annie Jump Cannon"}
    assert find_certificate(layout, "v1.0.0", kept.digest[:8]).digest == kept.digest
    assert git.plumb(layout.root, "rev-parse", "refs/tags/v1.0.0", "HEAD") == before
    assert changed(layout.root) == []
    subprocess.run(["git", "fsck", "--strict"], cwd=layout.root, check=True, capture_output=True)


def test_a_certificate_of_another_release_is_refused(certified):
    layout, made, path = certified
    move_tag(layout)
    with pytest.raises(DataError, match="is not of v1"):
        add_certificate(layout, path)
    made.statement["predicate"]["tag"] = "v*"
    path.write_bytes(statement_bytes(made.statement))
    with pytest.raises(ArchiveError, match="not the name of a release"):
        add_certificate(layout, path)


def _claim(value):
    value["predicate"]["observations"][0]["files"][0]["sha256"] = "0" * 64


def _upgrade(value):
    file = value["predicate"]["observations"][0]["files"][0]
    file |= {"sha256": "0" * 64, "science": "0" * 64, "verdict": "identical science"}


def _omit_file(value):
    del value["predicate"]["observations"][0]["files"][0]
    value["predicate"]["counts"]["identical bytes"] -= 1


def _omit_observation(value):
    gone = value["predicate"]["observations"].pop()
    value["predicate"]["counts"]["identical bytes"] -= len(gone["files"])
    value["predicate"]["scope"]["observations"] -= 1


def _count(value):
    value["predicate"]["counts"]["identical bytes"] += 1


def _scope(value):
    value["predicate"]["scope"]["of"] = 1


def _stranger(value):
    value["predicate"]["observations"][0]["obs_id"] = "0999999999"


def _twice(value):
    value["predicate"]["observations"].append(value["predicate"]["observations"][0])


def _overall(value):
    value["predicate"]["verdict"] = "different"


def _subject(value):
    value["subject"][1]["digest"]["sha256"] = "0" * 64


def _made_up_file(value):
    value["predicate"]["observations"][0]["files"][0]["path"] = "other.fits"


def _word(value):
    value["predicate"]["observations"][0]["files"][0]["verdict"] = "splendid"


def _no_subject(value):
    value["subject"] = []


LIES = (
    *(_claim, _upgrade, _omit_file, _omit_observation, _count, _scope, _stranger, _twice, _overall, _subject),
    *(_made_up_file, _word, _no_subject),
)


@pytest.fixture(scope="module")
def honest(released_once, tmp_path_factory):
    """A certificate of an identical recreation, made once, and what the release records."""
    place = tmp_path_factory.mktemp("honest")
    shutil.copytree(released_once / "a907", place / "a907", symlinks=True)
    with pytest.MonkeyPatch.context() as patch:
        set_identity(patch)
        patch.setattr("daxa.run.runner.execute", remaking.execute_here)
        patch.setattr(recreate, "make_stage", stage_of)
        made = recompute_release(Layout(place / "a907"), "v1.0.0")
        return statement_bytes(made.statement), recorded_release(Layout(place / "a907"), "v1.0.0")


def test_an_honest_certificate_is_believed(honest):
    content, recorded = honest
    check_statement(read_statement(content, "it"), recorded, "it")


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__.strip("_"))
def test_a_certificate_that_contradicts_the_release_or_itself_is_not_believed(honest, lie):
    content, recorded = honest
    value = json.loads(content)
    lie(value)
    with pytest.raises(DataError, match="cannot be accepted"):
        check_statement(read_statement(json.dumps(value).encode(), "it"), recorded, "it")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[" * 100_000,
        b"{}",
        b'{"_type": "https://in-toto.io/Statement/v1", "predicateType": "urn:x-daxa:recreation:1"}',
        b'{"_type":"https://in-toto.io/Statement/v1","predicateType":"urn:x-daxa:recreation:1","subject":3,"predicate":[]}',
    ],
)
def test_what_is_no_certificate_is_refused(content):
    with pytest.raises(DataError, match="cannot be accepted"):
        read_statement(content, "it")


def test_a_certificate_with_control_characters_is_refused(honest):
    value = json.loads(honest[0])
    value["predicate"]["by"] = "\x1b[2J"
    with pytest.raises(DataError, match="cannot be accepted"):
        read_statement(json.dumps(value).encode(), "it")


# The verbs.


@pytest.fixture
def shell(released, monkeypatch, capsys):
    """Run daxa as from a shell, in the archive; give its exit code and what it wrote."""
    from daxa.cli import main

    monkeypatch.chdir(released / "a907")

    def run(*argv: str) -> tuple[int, str, str]:
        code = main(list(argv))
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


def test_the_verbs_export_recreate_certify_and_recompute(shell, released):
    assert shell("export", "-o", "../new.bundle")[0] == 0
    assert (released / "new.bundle").read_bytes() == (released / "a907.bundle").read_bytes()
    code, out, err = shell("recreate", "../new.bundle", "../again", "--by", "Williamina Fleming")
    assert code == 0, err
    assert out.startswith("a907 v1.0.0: identical bytes (3 of 3 observations)\n")
    assert "software and platform are those" in err
    certificate = "../again.certificate.json"
    assert shell("certificate", "add", certificate)[0] == 0
    code, out, _ = shell("certificate", "list")
    assert code == 0
    assert out.startswith("v1.0.0: 1 certificate, recreated identically 1 time\n")
    assert "Williamina Fleming" in out
    digest = json.loads(shell("certificate", "list", "v1.0.0", "--json")[1])["digest"]
    assert shell("certificate", "show", "v1.0.0", digest[:6])[1].startswith("a907 v1.0.0: identical bytes")
    assert shell("certificate", "show", "v1.0.0", "zz")[0] == 5
    assert shell("certificate", "add")[0] == 3
    assert shell("certificate", "add", "absent.json")[0] == 3
    code, out, _ = shell("verify", "v1.0.0", "--recompute", "1", "--seed", "4", "--json")
    assert code == 0
    assert json.loads(out)["predicate"]["scope"] == {"sample": 1, "seed": 4, "observations": 1, "of": 3}
    assert shell("verify", "--recompute", "1")[0] == 3


def test_what_is_not_identical_ends_with_seven(shell, monkeypatch):
    opened = recreation.open_bundle

    def open_and_wish(*args, **named):
        layout, tag = opened(*args, **named)
        wish(layout, {f"fetch {FIRST}": "absent"})
        return layout, tag

    monkeypatch.setattr(recreation, "open_bundle", open_and_wish)
    code, out, err = shell("recreate", "../a907.bundle", "../again")
    assert code == 7
    assert f"xmm {FIRST}: no longer available" in out
    assert "did not come out identical" in err
    assert shell("recreate", "absent.bundle", "../other")[0] == 3


def test_a_bundle_comes_from_an_address_too(released):
    import threading
    from functools import partial
    from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

    class Silent(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(released))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        made = recreate_archive(f"{address}/a907.bundle", released.parent / "again")
        with pytest.raises(DataError, match="is not in the archive"):
            recreate_archive(f"{address}/absent.bundle", released.parent / "other")
        server.shutdown()
    assert made.verdict == "identical bytes"
    assert not list(released.parent.glob(".daxa-*"))
    with pytest.raises(CriteriaError):
        recreate_archive("https://user:word@example.org/x", released.parent / "other")


def test_python_offers_the_same(released):
    import daxa

    archive = daxa.open(released / "a907")
    made = archive.export("v1.0.0", released / "new.bundle")
    assert made.tag == "v1.0.0"
    assert daxa.Archive.recreate(made.path, released.parent / "again", sample=1, seed=2).same
    assert archive.recompute("v1.0.0", sample=1, seed=2).same
    assert archive.certificates("v1.0.0") == []


def test_other_calibration_is_said_before_anything_is_fetched(released, monkeypatch):
    from daxa.stages.recipe import Recipe

    said = []
    monkeypatch.setattr(Recipe, "is_calibrated", property(lambda recipe: recipe.step.name == "images"))
    monkeypatch.setattr(Recipe, "calibration_for", lambda recipe, obs_id, instruments: "another")
    monkeypatch.setattr(recreate, "run_stage", lambda *args, **options: said.append("run"))
    made = recreate_archive(str(released / "a907.bundle"), released.parent / "again", say=said.append)
    assert said[1] in made.statement["predicate"]["environment"]["differences"]
    assert said[1] == "calibration of images of xmm: different for 3 of 3 observations"
    assert said.index("run") > 1


def test_another_version_of_a_library_is_named_and_nothing_else(released, monkeypatch):
    here, said = recreate.installed_environment(), []
    other = {**here, "packages": {**here["packages"], "numpy": "0.1"}}
    monkeypatch.setattr(recreate, "installed_environment", lambda: other)
    place = released.parent / "again"
    made = recreate_archive(str(released / "a907.bundle"), place, RecreationRequest(sample=1, seed=3), say=said.append)
    (difference,) = made.statement["predicate"]["environment"]["differences"]
    assert "numpy" in difference
    assert {"0.1", here["packages"]["numpy"]} <= set(re.findall(r"[\d.]+\d", difference))
    assert any(difference in line for line in said)
    assert made.verdict == "identical bytes"


def test_the_recorded_environment_is_used_where_it_is_another_one(shell, released, monkeypatch):
    from daxa.cli import recreate as verb
    from daxa.publish.releases.release_environment import installed_environment

    ran = []
    monkeypatch.setattr(verb, "_run_there", lambda python, arguments: ran.append((python, arguments)) or 7)
    monkeypatch.setattr(recreation, "make_environment", lambda plan, place, say: place / "bin" / "python")
    code, *_ = shell("recreate", "../a907.bundle", "../again", "--environment", "--sample", "1", "--seed", "3")
    assert (code, ran) == (0, []), "it is the one that is installed"
    here = installed_environment()
    other = {**here, "packages": {**here["packages"], "numpy": "0.1"}}
    monkeypatch.setattr(recreation, "installed_environment", lambda: other)
    code, _, told = shell("recreate", "../a907.bundle", "../other", "--environment", "--executor", "dask")
    assert (code, ran) == (3, [])
    assert "--executor local" in told, "no other machine has that environment"
    made = []

    def make(plan, place, say):
        made.extend(plan.lines)
        return place / "bin" / "python"

    monkeypatch.setattr(recreation, "make_environment", make)
    code, *_ = shell("recreate", "../a907.bundle", "../other", "--environment", "--by", "Antonia Maury")
    assert code == 7
    ((python, arguments),) = ran
    assert made[0].startswith("daxa-archive @ file:///"), "no index need have this daxa"
    assert ".git/daxa/environment/daxa_archive-" in made[0]
    root = released.parent / "source" / "other"
    assert python.resolve() == root / ".git" / "daxa" / "environment" / "python" / "bin" / "python"
    assert arguments == ["../a907.bundle", "../other", "--by=Antonia Maury"]
    assert (root / "daxa.toml").is_file()


@pytest.mark.parametrize(
    "options",
    [("--executor", "slurm"), ("--jobs", "0"), ("--daxa", "daxa.whl"), ("--environment", "--daxa", "nowhere.whl")],
)
def test_options_are_judged_before_anything_is_made(shell, released, options):
    code, *_ = shell("recreate", "../a907.bundle", "../again", *options)
    assert code in (2, 3)
    assert not (released.parent / "source" / "again").exists()


def test_a_deposit_is_not_a_bundle_and_the_verb_for_it_is_named(shell, released):
    place = released.parent / "source" / "deposit"
    place.mkdir()
    code, _, told = shell("recreate", "../deposit", "../again")
    assert code == 3
    assert "`daxa restore ../deposit DIR`" in told
    code, _, told = shell("restore", "../a907.bundle", "../again")
    assert code != 0
    assert "`daxa recreate " in told
    assert not (released.parent / "source" / "again").exists()


def test_the_executor_is_that_of_the_call(shell, released, monkeypatch):
    from daxa.settings import load_settings

    seen = []
    monkeypatch.setattr(recreation, "remake_release", lambda *args, **options: seen.append(load_settings()) or stop())
    code, *_ = shell("recreate", "../a907.bundle", "../again", "--executor", "dask", "--jobs", "1")
    assert (code, [(one.executor, one.workers) for one in seen]) == (3, [("dask", 1)])


def stop():
    raise CriteriaError("stop", "enough", remedy="none")


def test_an_archive_that_has_moved_on_is_not_taken_for_the_release(released):
    again(released)
    root = released.parent / "again"
    (root / "notes.txt").write_text("mine\n")
    git.commit(root, ["notes.txt"], "notes")
    with pytest.raises(ArchiveError, match="no longer"):
        again(released)
    assert (root / "notes.txt").read_text() == "mine\n"


def test_a_home_that_there_is_not_is_a_mistake_of_the_user(released):
    with pytest.raises(ArchiveError, match="home directory"):
        recreate_archive(str(released / "a907.bundle"), Path("~nobody-at-all/again"))
    with pytest.raises(CriteriaError, match="no file"):
        recreate_archive("~nobody-at-all/a907.bundle", released.parent / "again")
