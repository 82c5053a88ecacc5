"""Whether ``dvc.lock`` and the listings that it names match a commit's own files."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from hashlib import md5

from daxa.archive import git
from daxa.archive.config import ArchiveConfig, steps_of
from daxa.archive.layout import Layout
from daxa.errors import DataError
from daxa.files import read_plain
from daxa.publish.consistency import find_contradictions
from daxa.publish.digests import read_md5
from daxa.publish.dvc_outputs import directory_digest, listed_files, lock_digests, tracked_digest
from daxa.publish.file_check import FileProblem, digest_directory
from daxa.publish.remote import MOST_BYTES, Storage
from daxa.run.steps import Step
from daxa.run.task import LedgerRow

__all__ = ["compare_lock", "compare_locked", "compare_logs"]

_LOGS = "logs.dvc"


def compare_lock(
    layout: Layout,
    records: Layout,
    commit: str,
    ledgers: Mapping[str, Mapping[str, Mapping[str, LedgerRow]]],
    storage: Storage,
    *,
    config: ArchiveConfig,
) -> Iterator[FileProblem]:
    """Where ``dvc.lock`` does not match the commit's own small files, products, metrics and report.

    Parameters
    ----------
    layout, records, commit
        The archive, and the small files of the commit.
    ledgers
        Mission to step to its ledger at the commit.
    storage
        Where listings are, as far as they are on this machine.
    config
        Of the archive at the commit.
    """
    found = find_contradictions(records, config)
    yield from found
    if any(one.path == layout.lock.name and one.what == "unreadable" for one in found):
        return
    lock = records.lock.read_bytes() if records.lock.is_file() else b""
    outs, deps = lock_digests(lock), lock_digests(lock, "deps")
    metrics, report = layout.name_of(layout.metrics), layout.name_of(layout.report)
    if metrics in outs and _md5(git.read_file(layout.root, commit, metrics) or b"") != outs[metrics]:
        yield FileProblem("", "", "", metrics, "not-locked")
    if report in outs and directory_digest(digest_directory(layout.report)) != outs[report]:
        yield FileProblem("", "", "", report, "differs" if layout.report.is_dir() else "absent")
    if outs:  # An archive that has never run has no lock.
        for name in sorted(set(_locked_paths(layout, ledgers, steps_of(config))) - outs.keys() - deps.keys()):
            yield FileProblem("", "", "", name, "not-locked")
    for path, digest in sorted(outs.items()):
        if digest.endswith(".dir"):
            yield from _compare_listing(path, digest, ledgers, storage)


def compare_locked(layout: Layout, missions: Collection[str], steps: Collection[Step]) -> Iterator[FileProblem]:
    """Files of the pipeline, or the report, that ``dvc.lock`` does not name, or not with their content."""
    lock = layout.lock.read_bytes() if layout.lock.is_file() else b""
    named = {**lock_digests(lock, "deps"), **lock_digests(lock)}
    report = layout.name_of(layout.report)
    for path in sorted({*named, *_locked_paths(layout, missions, steps)}):
        here, digest = layout.root / path, named.get(path, "")
        if not digest.endswith(".dir"):
            found = read_md5(here)
        elif path == report:
            found = directory_digest(digest_directory(here))
        else:
            continue
        if not digest or found != digest:
            yield FileProblem("", "", "", path, "not-locked")


def _locked_paths(layout: Layout, missions: Collection[str], steps: Collection[Step]) -> list[str]:
    """What ``dvc.lock`` names after a run of the pipeline."""
    paths = [layout.report, layout.metrics]
    for mission in missions:
        paths.append(layout.selection(mission))
        paths += [layout.ledger(mission, step.name) for step in steps]
        paths += [layout.products(mission, step.name) for step in steps if step.kept_by == "dvc"]
    return [layout.name_of(path) for path in paths]


def compare_logs(layout: Layout, commit: str, storage: Storage) -> Iterator[FileProblem]:
    """Where the logs are not those that a release kept, as far as their listing is on this machine."""
    pointer = git.read_file(layout.root, commit, _LOGS)
    if pointer is None:
        return
    name = layout.logs.name
    try:
        listing = _read_listing(tracked_digest(pointer), name, storage)
    except DataError as error:
        yield FileProblem("", "", "", name, "listing", error.message)
        return
    found = digest_directory(layout.logs) if listing is not None else {}
    for path, digest in sorted((listing or {}).items()):
        if found.get(path) != digest:
            place = dict(zip(("mission", "step", "file"), path.split("/"), strict=False))
            obs_id = place.get("file", "").removesuffix(".log")
            what = "differs" if path in found else "link" if (layout.logs / path).is_symlink() else "absent"
            yield FileProblem(place["mission"], place.get("step", ""), obs_id, f"{name}/{path}", what)


def _compare_listing(
    path: str, digest: str, ledgers: Mapping[str, Mapping[str, Mapping[str, LedgerRow]]], storage: Storage
) -> Iterator[FileProblem]:
    """Whether the listing of an output is intact, and names the files of the ledger."""
    try:
        listed = _read_listing(digest, path, storage)
    except DataError as error:
        yield FileProblem("", "", "", path, "listing", error.message)
        return
    parts = path.split("/")
    if listed is None or len(parts) != 3 or parts[0] != "data":
        return
    rows = ledgers.get(parts[1], {}).get(parts[2])
    if rows is None:
        return
    recorded = {f"{row.obs_id}/{file.path}" for row in rows.values() for file in row.files}
    if odd := sorted(recorded ^ listed.keys()):
        yield FileProblem(parts[1], parts[2], "", path, "not-locked", f"ledger and listing differ in {odd[0]}")


def _read_listing(digest: str, path: str, storage: Storage) -> Mapping[str, str] | None:
    """A listing from the cache; None if the cache lacks it."""
    try:
        content = read_plain(storage.cached(digest), limit=MOST_BYTES)
    except OSError:
        return None
    if f"{_md5(content)}.dir" != digest:
        raise DataError(
            "listing",
            f"the listing {digest} of {path} in DVC's cache is damaged",
            remedy="`daxa push` or `daxa pull` repairs it from an intact copy",
        )
    return listed_files(content, path)


def _md5(content: bytes) -> str:
    """The digest that DVC uses."""
    return md5(content, usedforsecurity=False).hexdigest()
