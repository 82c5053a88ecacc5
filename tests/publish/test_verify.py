"""Verification reads every byte, follows no link, and believes no ledger that leads outside."""

from __future__ import annotations

import hashlib
import json
import os
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from daxa.archive import git
from daxa.archive.layout import STEPS
from daxa.errors import ArchiveError
from daxa.publish.dvc_outputs import directory_digest, lock_digests
from daxa.publish.file_check import digest_directory
from daxa.publish.releases.verify import verify_archive
from daxa.publish.remote import find_cache
from daxa.run.ledger import read_ledger, write_ledger
from tests.publish.workshop import FIRST, THIRD, damage, problem_set

CLEAN = f"data/xmm/clean/{FIRST}/obsid{FIRST}-instM1-subexpS001-en-clean.fits"


def test_a_release_is_what_it_says(released):
    found = verify_archive(released.layout, "v1.0.0", fetched=True)
    assert found.ok
    assert found.problems == ()
    rows = [
        row
        for mission in ("xmm", "nustar")
        for step in STEPS
        for row in read_ledger(released.layout.ledger(mission, step)).values()
    ]
    assert found.files == sum(len(row.files) for row in rows) == 30
    assert found.size == sum(file.size for row in rows for file in row.files)
    assert (found.missions, found.observations, found.absent_fetched) == (2, 3, 0)
    assert found.commit == git.commit_of(released.layout.root)


def test_our_directory_digests_are_those_of_dvc(released):
    lock = lock_digests(released.layout.lock.read_bytes())
    directories = {path: digest for path, digest in lock.items() if digest.endswith(".dir")}
    assert len(directories) == 9
    for path, digest in directories.items():
        assert directory_digest(digest_directory(released.layout.root / path)) == digest


def truncate(path):
    path.write_bytes(path.read_bytes()[:-1])


def link_to_same_content(path):
    shutil.move(path, path.parents[4] / "moved")
    path.symlink_to(path.parents[4] / "moved")


def link_directory(path):
    shutil.move(path.parent, path.parents[4] / "moved")
    path.parent.symlink_to(path.parents[4] / "moved")


def pipe(path):
    path.unlink()
    os.mkfifo(path)


FILE_DAMAGES = {
    "altered": (damage, {(CLEAN, "differs")}),
    "truncated": (truncate, {(CLEAN, "differs")}),
    "deleted": (lambda path: path.unlink(), {(CLEAN, "absent")}),
    "replaced by a link": (link_to_same_content, {(CLEAN, "link")}),
    "replaced by a pipe": (pipe, {(CLEAN, "unreadable")}),
    "replaced by a directory": (lambda path: (path.unlink(), path.mkdir()), {(CLEAN, "absent")}),
    "directory replaced by a link": (
        link_directory,
        {
            (f"data/xmm/clean/{FIRST}", "link"),
            (CLEAN, "absent"),
            (f"data/xmm/clean/{FIRST}/manifest.json", "absent"),
        },
    ),
}


@pytest.mark.parametrize("kind", FILE_DAMAGES)
def test_damaged_product(released, kind):
    act, expected = FILE_DAMAGES[kind]
    act(released.layout.root / CLEAN)
    found = verify_archive(released.layout)
    assert problem_set(found) == expected
    product = (
        next(problem for problem in found.problems if problem.path.startswith(f"data/xmm/clean/{FIRST}/"))
        if (kind != "directory replaced by a link")
        else found.problems[-1]
    )
    assert (product.mission, product.step, product.obs_id) == ("xmm", "clean", FIRST)


@pytest.mark.parametrize(
    "path",
    [
        f"data/xmm/images/{FIRST}/stray.fits",
        f"data/xmm/images/{FIRST}/.hidden",
        f"data/xmm/images/{FIRST}/deeper/stray.fits",
        "data/xmm/images/stray.fits",
        f"data/xmm/fetch/{FIRST}/PPS/stray.FTZ",
        "ledger/xmm-more.parquet",
    ],
)
def test_unknown_file(released, path):
    (released.layout.root / path).parent.mkdir(exist_ok=True, parents=True)
    (released.layout.root / path).write_text("stray")
    assert problem_set(verify_archive(released.layout)) == {(path, "unknown")}


@pytest.mark.parametrize("path", ["data/rosat", "data/xmm/spectra", "data/xmm/clean/0999999999"])
def test_unknown_directory(released, path):
    (released.layout.root / path).mkdir()
    assert problem_set(verify_archive(released.layout)) == {(path, "unknown")}


def test_fetched_files_may_be_absent_but_not_wrong(released):
    base = released.layout.products("xmm", "fetch")
    shutil.rmtree(base / FIRST)
    found = verify_archive(released.layout)
    assert (found.problems, found.absent_fetched) == ((), 1)
    raw = f"data/xmm/fetch/{FIRST}/PPS/raw.FTZ"
    assert problem_set(verify_archive(released.layout, fetched=True)) == {(raw, "absent")}
    damage(base / THIRD / "PPS" / "raw.FTZ")
    assert problem_set(verify_archive(released.layout)) == {(f"data/xmm/fetch/{THIRD}/PPS/raw.FTZ", "differs")}


def test_report_and_records_on_disk(released):
    damage(released.layout.report / "index.html")
    rows = list(read_ledger(released.layout.ledger("xmm", "clean")).values())
    write_ledger(released.layout.ledger("xmm", "clean"), rows[:1], mission="xmm", step="clean")
    released.layout.selection("nustar").unlink()
    assert problem_set(verify_archive(released.layout)) == {
        ("report", "differs"),
        ("ledger/xmm-clean.parquet", "differs"),
        ("selection/nustar.parquet", "absent"),
    }


def test_an_edited_ledger_is_caught_even_when_committed(released):
    """Whoever alters a product and its ledger alike still has ``dvc.lock`` against him."""
    ledger = released.layout.ledger("xmm", "clean")
    rows = list(read_ledger(ledger).values())
    write_ledger(ledger, rows[:1], mission="xmm", step="clean")
    git.commit(released.layout.root, ["ledger"], "Forget one")
    found = verify_archive(released.layout)
    assert problem_set(found) == {
        ("ledger/xmm-clean.parquet", "not-locked"),
        ("ledger/xmm-clean.parquet", "unfinished"),
        ("data/xmm/clean", "not-locked"),
        (f"data/xmm/clean/{THIRD}", "unknown"),
    }
    assert {problem.obs_id for problem in found.problems if problem.what == "unfinished"} == {THIRD}


@pytest.mark.parametrize("path", ["../../../../secret", "/etc/passwd", "a/../../b", ".git/config"])
def test_a_ledger_that_leads_outside_is_not_followed(released, path):
    ledger = released.layout.ledger("xmm", "clean")
    table = pq.read_table(ledger)
    rows = table.to_pylist()
    rows[0]["files"][0]["path"] = path
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), ledger)
    git.commit(released.layout.root, ["ledger"], "Lead outside")
    found = verify_archive(released.layout)
    assert ("ledger/xmm-clean.parquet", "unreadable") in problem_set(found)
    assert not any(path in problem.path for problem in found.problems)


def test_a_damaged_lock_is_a_problem(released):
    released.layout.lock.write_text("stages: [1, 2")
    git.commit(released.layout.root, ["dvc.lock"], "Break")
    assert problem_set(verify_archive(released.layout)) == {("dvc.lock", "unreadable")}


def test_unknown_revisions_are_errors(released):
    for tag in ("v9.9.9", "--all", "HEAD:daxa.toml"):
        with pytest.raises(ArchiveError):
            verify_archive(released.layout, tag)


def test_the_record_is_plain(released):
    (released.layout.root / CLEAN).unlink()
    plain = verify_archive(released.layout).as_dict()
    assert plain["problems"] == [
        {"mission": "xmm", "step": "clean", "obs_id": FIRST, "path": CLEAN, "what": "absent", "detail": ""}
    ]
    assert plain["revision"] == "HEAD"


RECORDS = (
    "daxa.toml",
    "software.toml",
    "params/xmm.toml",
    "upstream/xmm.parquet",
    "README.md",
    "CITATION.cff",
    ".gitattributes",
    ".github/workflows/verify.yml",
    "dvc.lock",
    "logs.dvc",
    "metrics.json",
    "environment.json",
)


@pytest.mark.parametrize("tag", ["", "v1.0.0"])
def test_every_tracked_file_is_compared(released, tag):
    released.layout.upstream("xmm").parent.mkdir(exist_ok=True)
    tracked = git.tracked(released.layout.root, "v1.0.0")
    for path in RECORDS:
        if path not in tracked:
            continue
        file = released.layout.root / path
        content = file.read_bytes()
        # A remark, which changes nothing that anybody parses.
        file.write_bytes(content + b"# a remark\n" if path.endswith(("toml", "md", "lock")) else content[:-1])
        assert (path, "differs") in problem_set(verify_archive(released.layout, tag)), path
        file.unlink()
        assert (path, "absent") in problem_set(verify_archive(released.layout, tag)), path
        file.symlink_to("/dev/zero")
        assert (path, "link") in problem_set(verify_archive(released.layout, tag)), path
        file.unlink()
        file.write_bytes(content)
    assert verify_archive(released.layout, tag).ok


def test_what_could_act_is_a_problem_even_when_it_is_committed(released):
    root = released.layout.root
    pipeline = released.layout.pipeline
    pipeline.write_text(pipeline.read_text().replace("stage clean xmm", "stage clean xmm; touch x"))
    (root / "more").mkdir()
    (root / "more" / "dvc.yaml").write_text("stages: {}\n")
    (root / "paper.pdf").symlink_to("/etc/passwd")
    with (root / ".dvc" / "config").open("a") as stream:
        stream.write("[cache]\n    dir = /tmp/x\n    type = symlink\n")
    git.commit(root, ["."], "Act")
    found = verify_archive(released.layout)
    for path in ("dvc.yaml", "more/dvc.yaml", "paper.pdf", ".dvc/config"):
        assert (path, "foreign") in problem_set(found)
    assert any("cache.type = symlink" in problem.detail for problem in found.problems)


def test_a_listing_that_climbs_or_is_damaged_is_named(released):
    lock = lock_digests(released.layout.lock.read_bytes())
    cached = find_cache(released.layout.root).cached(lock["data/xmm/clean"])
    entries = json.loads(cached.read_bytes())
    content = json.dumps([*entries, {"md5": entries[0]["md5"], "relpath": "../../../../x"}]).encode()
    forged = f"{hashlib.md5(content, usedforsecurity=False).hexdigest()}.dir"
    there = find_cache(released.layout.root).cached(forged)
    there.parent.mkdir(exist_ok=True)
    there.write_bytes(content)
    text = released.layout.lock.read_text()
    released.layout.lock.write_text(text.replace(lock["data/xmm/clean"], forged))
    git.commit(released.layout.root, ["dvc.lock"], "Climb")
    found = verify_archive(released.layout)
    (problem,) = [problem for problem in found.problems if problem.what == "listing"]
    assert problem.path == "data/xmm/clean"
    assert "../../../../x" in problem.detail
    damage(there)
    (problem,) = [problem for problem in verify_archive(released.layout).problems if problem.what == "listing"]
    assert "damaged" in problem.detail


def test_logs_are_compared_with_a_release(released):
    log = released.layout.log("xmm", "clean", FIRST)
    log.write_text("other")
    released.layout.log("nustar", "fetch", "30101031002").unlink()
    assert verify_archive(released.layout).ok, "every run writes them anew"
    assert problem_set(verify_archive(released.layout, "v1.0.0")) == {
        (f"logs/xmm/clean/{FIRST}.log", "differs"),
        ("logs/nustar/fetch/30101031002.log", "absent"),
    }


def test_looking_writes_nothing(released):
    def everything():
        root = released.layout.root
        return {path: path.lstat().st_mtime_ns for path in root.rglob("*")}

    before = everything()
    verify_archive(released.layout, "v1.0.0")
    assert everything() == before
