"""Go to another version of an archive, with its data, as far as this machine has them.

Tracked files come from Git, products from DVC's cache, and fetched files from the store.  Nothing is downloaded, and
nothing is lost: the change is refused if a file is not in Git, the cache or the store, and fetched files that the
other version does not have are kept in the store.  The version is checked like a stranger's archive before any of
its files is put in place.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from daxa.archive import git
from daxa.archive.committing import refuse_uncommitted, stages_excluded
from daxa.archive.config import load_config, settings_of, steps_of
from daxa.archive.gate import check_archive, check_products
from daxa.archive.layout import Layout
from daxa.archive.trust import refuse_foreign
from daxa.errors import ArchiveError, DataError
from daxa.fetch.store import Store
from daxa.files import read_plain, refuse_links
from daxa.naming import number_of, some
from daxa.publish.digests import Digests
from daxa.publish.dvc_outputs import listed_files, shared_digests
from daxa.publish.file_check import file_names
from daxa.publish.remote import MOST_BYTES, Storage, find_storage
from daxa.publish.sharing.judged_versions import BRANCHES, find_version, judged_version, version_name
from daxa.publish.sharing.pull import bring_data
from daxa.publish.workspaces import alone
from daxa.run.ledger import read_ledger
from daxa.run.task import ProductFile

__all__ = [
    "CheckoutReport",
    "absent_error",
    "checkout_version",
    "data_outs",
    "link_fetched",
    "refuse_unsaved",
    "remove_stale",
    "set_fetched_aside",
]


@dataclass(frozen=True)
class CheckoutReport:
    """The state of the tree after going to a version.

    Parameters
    ----------
    version, commit
        Its name, a tag or a branch, and its commit.
    files
        How many products and logs are in place, verified by digest.
    fetched
        How many fetched files are in place.
    missing
        Paths of products that are not on this machine.
    not_fetched
        How many fetched files are neither in place nor in the store; they can be fetched again.
    """

    version: str
    commit: str
    files: int
    fetched: int
    missing: tuple[str, ...] = ()
    not_fetched: int = 0

    @property
    def ok(self) -> bool:
        """Whether all products are there."""
        return not self.missing

    def as_dict(self) -> dict[str, object]:
        """The record as plain values, ready for JSON."""
        return {"ok": self.ok, **asdict(self)}


def checkout_version(
    layout: Layout, name: str, *, observe: Callable[[int, int], None] = lambda ended, total: None
) -> CheckoutReport:
    """Go to a release or a branch, and put its data in place from what this machine has.

    After an interruption, the same call completes it.

    Parameters
    ----------
    layout
        The archive.
    name
        A tag, a branch, or ``-`` for the branch before.
    observe
        Called with the number of files checked so far, and their total.

    Raises
    ------
    ArchiveError
        There is no such version; the archive is in use; or something is neither committed nor kept elsewhere.
    UntrustedArchive
        The version contains something harmful; nothing was changed.
    ConfigError, DataError, StorageError, ProgramError
        Its files cannot be read, or the archive cannot be written.
    """
    reference = find_version(layout, name)
    refuse_uncommitted(layout, instead=f"`git worktree add ../{layout.root.name}-{name} {name}`")
    check_products(layout)
    with alone(layout), Digests(layout) as digests:
        storage = find_storage(layout.root)
        with judged_version(layout, reference) as version, stages_excluded(layout):
            refuse_unsaved(layout, version, storage, digests)
            set_fetched_aside(layout, version)
            remove_stale(layout, version, storage, digests)
            _switch(layout, reference)
        check_archive(layout, acting=False)
        refuse_foreign(layout, load_config(layout), connects=False)
        report = bring_data(layout, storage, None, digests, observe=observe)
    linked, absent = link_fetched(layout)
    missing = tuple(sorted({*report.missing, *report.wrong}))
    return CheckoutReport(version_name(reference), report.commit, report.files, linked, missing, absent)


def absent_error(report: CheckoutReport) -> DataError:
    """The error for a version whose data are not all on this machine."""
    return DataError(
        "not-here",
        f"{report.version} is checked out, but this machine lacks {number_of(len(report.missing), 'path')} of it, "
        f"such as {report.missing[0]}",
        remedy="`daxa pull` gets them from the remote; `daxa run` makes them again",
    )


def _switch(layout: Layout, reference: str) -> None:
    if reference.startswith(BRANCHES):
        if git.branch(layout.root) != (branch := reference.removeprefix(BRANCHES)):
            git.switch(layout.root, branch)
    elif git.commit_of(layout.root, reference) != git.commit_of(layout.root):
        git.checkout(layout.root, reference)


def data_outs(layout: Layout) -> dict[str, str]:
    """Outputs in DVC: path to digest, without the logs, which `bring_data` handles separately."""
    if not layout.lock.is_file() or not layout.pipeline.is_file():
        return {}
    return shared_digests(layout.pipeline.read_bytes(), layout.lock.read_bytes(), None)


def _required(version: Layout, storage: Storage) -> dict[str, str]:
    """Path to MD5 of the data of a version, as far as their listings are on this machine."""
    found: dict[str, str] = {}
    for out, digest in data_outs(version).items():
        if not digest.endswith(".dir"):
            found[out] = digest
            continue
        with suppress(OSError, DataError):
            listing = read_plain(storage.cached(digest), limit=MOST_BYTES)
            found |= {f"{out}/{path}": one for path, one in listed_files(listing, out).items()}
    return found


def _present(layout: Layout, version: Layout) -> dict[str, str]:
    """Path to absolute name of every file among the data of either version."""
    found: dict[str, str] = {}
    for out in {*data_outs(layout), *data_outs(version)}:
        place = layout.root / out
        refuse_links(layout.root, place)
        names = file_names(place) if place.is_dir() else []
        found |= {f"{out}/{name}": f"{place}/{name}" for name in names}
        if place.is_file():
            found[out] = str(place)
    return found


def refuse_unsaved(layout: Layout, version: Layout, storage: Storage, digests: Digests) -> None:
    """Refuse to overwrite or remove a product that exists nowhere else."""
    wanted, present, held = _required(version, storage), _present(layout, version), storage.names()
    known = digests.many(present.values())
    unsaved = [path for path, name in present.items() if known[name] != wanted.get(path) and known[name] not in held]
    if unsaved:
        raise ArchiveError(
            "changed-data",
            f"{number_of(len(unsaved), 'file')} of {layout.root} would be lost, since no commit has them: "
            f"{some(sorted(unsaved))}",
            remedy="`daxa run` and `daxa release` keep what the pipeline made; move other files away",
        )


def remove_stale(layout: Layout, version: Layout, storage: Storage, digests: Digests) -> None:
    """Remove products that the version does not have; each is in the cache."""
    wanted, present, held = _required(version, storage), _present(layout, version), storage.names()
    known = digests.many(present.values())
    for path, name in present.items():
        if known[name] != wanted.get(path) and known[name] in held:
            Path(name).unlink()
            _remove_empty(Path(name).parent, layout.root / "data")


def _fetched(layout: Layout) -> dict[str, ProductFile]:
    """Path to every fetched file that the ledgers name."""
    config = load_config(layout)
    return {
        layout.name_of(layout.products(mission, step.name) / obs_id / file.path): file
        for mission in config.missions
        for step in steps_of(config)
        if step.fetches
        for obs_id, row in read_ledger(layout.ledger(mission, step.name)).items()
        for file in row.files
    }


def set_fetched_aside(layout: Layout, version: Layout) -> None:
    """Move fetched files that the version does not have into the store."""
    store = Store(settings_of(load_config(layout)).store)
    wanted = _fetched(version)
    for path, file in _fetched(layout).items():
        place = layout.root / path
        if path in wanted and wanted[path].sha256 == file.sha256:
            continue
        refuse_links(layout.root, place)
        if place.is_file():
            store.add(place)
            _remove_empty(place.parent, layout.root / "data")


def link_fetched(layout: Layout) -> tuple[int, int]:
    """Put fetched files in place from the store; return how many are in place, and how many are nowhere."""
    store = Store(settings_of(load_config(layout)).store)
    wanted = _fetched(layout)
    absent = 0
    for path, file in wanted.items():
        place = layout.root / path
        refuse_links(layout.root, place)
        if not (place.is_file() and place.stat().st_size == file.size) and not store.link(file.sha256, place):
            absent += 1
    return len(wanted) - absent, absent


def _remove_empty(directory: Path, top: Path) -> None:
    while directory != top and directory.is_relative_to(top):
        try:
            directory.rmdir()
        except OSError:
            return
        directory = directory.parent
