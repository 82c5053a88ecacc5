"""Go to another version of an archive, with its data, as far as this machine has them.

Git brings the tracked files, DVC's cache the products, and the store the fetched files.  Nothing is downloaded, and
nothing is lost: what is not in Git, in the cache or in the store refuses the change, and fetched files that the
other version does not have are kept in the store.  The version is judged as a stranger's archive before any of
its files takes its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from daxa.archive import git
from daxa.archive.bundle import judge_tree
from daxa.archive.committing import stages_excluded
from daxa.archive.config import load_config, settings_of, steps_of
from daxa.archive.gate import check_archive, check_products
from daxa.archive.layout import Layout
from daxa.archive.objects import tree_of
from daxa.archive.trust import harmful_attributes, refuse_foreign
from daxa.errors import ArchiveError, DataError, DaxaError, UntrustedArchive
from daxa.fetch.store import Store
from daxa.files import errors_naming, read_plain, refuse_links
from daxa.naming import number_of, some
from daxa.publish.digests import Digests
from daxa.publish.file_check import file_names
from daxa.publish.outputs import listed_files, shared_digests
from daxa.publish.remote import MOST_BYTES, Storage, find_storage
from daxa.publish.sharing.pull import bring_data
from daxa.publish.workspaces import alone, scratch_clone, scratch_copy
from daxa.run.ledger import read_ledger
from daxa.run.task import ProductFile

__all__ = [
    "CheckoutReport",
    "absent_error",
    "checkout_version",
    "judged_version",
    "link_fetched",
    "refuse_unsaved",
    "remove_stale",
    "set_fetched_aside",
]

_TAGS, _BRANCHES = "refs/tags/", "refs/heads/"


@dataclass(frozen=True)
class CheckoutReport:
    """What is in the tree after going to a version.

    Parameters
    ----------
    version, commit
        Its name, a tag or a branch, and its commit.
    files
        How many products and logs are in their places, proved by digest.
    fetched
        How many fetched files are in their places.
    missing
        Paths of products that are not on this machine.
    not_fetched
        How many fetched files neither stand there nor are in the store; they can be fetched again.
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
    """Go to a release or a branch, and put its data in their places from what this machine has.

    Given again after an interruption, it completes.

    Parameters
    ----------
    layout
        The archive.
    name
        A tag, a branch, or ``-`` for the branch before.
    observe
        Called with the number of data that have been looked at, and their total.

    Raises
    ------
    ArchiveError
        There is no such version; the archive is in use; or something is neither committed nor kept elsewhere.
    UntrustedArchive
        The version holds what could do harm; nothing was changed.
    ConfigError, DataError, StorageError, ProgramError
        Its files cannot be read, or the archive cannot be written.
    """
    reference = _resolve(layout, name)
    if changed := git.changes(layout.root):
        raise ArchiveError(
            "uncommitted",
            f"{layout.root} has uncommitted changes in {some(changed)}",
            remedy=f"commit them, undo them (`git checkout -- {changed[0]}`), or `git worktree add` for {name}",
        )
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
    shown = reference.removeprefix(_TAGS).removeprefix(_BRANCHES)
    return CheckoutReport(shown, report.commit, report.files, linked, missing, absent)


def absent_error(report: CheckoutReport) -> DataError:
    """What to say of a version whose data are not all on this machine."""
    return DataError(
        "not-here",
        f"{report.version} is checked out, but this machine lacks {number_of(len(report.missing), 'file')} of it, "
        f"such as {report.missing[0]}",
        remedy="`daxa pull` gets them from the remote; `daxa run` makes them again",
    )


def _resolve(layout: Layout, name: str) -> str:
    """The full name of a tag or branch."""
    tags, branches = git.tags(layout.root), git.branches(layout.root)
    if name == "-":
        with suppress(DaxaError):
            name = git.plumb(layout.root, "rev-parse", "--abbrev-ref", "@{-1}").strip() or name
    if name in tags and name in branches:
        raise ArchiveError(
            "ambiguous",
            f"{name} is a tag and a branch of {layout.root}",
            remedy=f"rename the branch: `git branch -m {name} NEW`",
        )
    if name in tags:
        return f"{_TAGS}{name}"
    if name in branches:
        return f"{_BRANCHES}{name}"
    raise ArchiveError(
        "revision",
        f"{layout.root} has no release and no branch {name[:100]!r}",
        remedy="`daxa log` lists the releases, `git branch` the branches",
    )


def _switch(layout: Layout, reference: str) -> None:
    if reference.startswith(_BRANCHES):
        if git.branch(layout.root) != (branch := reference.removeprefix(_BRANCHES)):
            git.switch(layout.root, branch)
    elif git.commit_of(layout.root, reference) != git.commit_of(layout.root):
        git.checkout(layout.root, reference)


@contextmanager
def judged_version(layout: Layout, reference: str) -> Iterator[Layout]:
    """A version of the archive in a place of its own, without data, after it has passed gate and trust.

    Parameters
    ----------
    layout
        The archive; no other push, pull or checkout is going on (`daxa.publish.workspaces.alone`).
    reference
        Full name of the tag or branch; a branch of another repository, as Git has fetched it, is one, too.

    Raises
    ------
    UntrustedArchive, ArchiveError
        It holds what could do harm.
    """
    name = reference.removeprefix(_TAGS).removeprefix(_BRANCHES)
    commit = git.commit_of(layout.root, reference)
    entries = tree_of(layout.root, commit)
    try:
        judge_tree(entries)
    except UntrustedArchive as error:
        why = error.message.partition(": ")[2]
        raise _untrusted(layout, name, why) from None
    for entry in entries:
        if entry.path.rpartition("/")[2].casefold() == ".gitattributes":
            content = git.read_file(layout.root, reference, entry.path)
            for what in harmful_attributes(content):
                raise _untrusted(layout, name, f"{entry.path} changes how Git treats files ({what[:100]})")
    own = name != reference
    with scratch_clone(layout, name) if own else scratch_copy(layout, reference, commit) as place:
        version = Layout(place)
        with errors_naming({place: f"{layout.root} at {name}"}):
            check_archive(version)
            refuse_foreign(version, load_config(version), connects=False)
        yield version


def _untrusted(layout: Layout, name: str, why: str) -> UntrustedArchive:
    return UntrustedArchive(
        "version",
        f"{name} of {layout.root} was not put into the tree: {why}",
        remedy="do not use this version; its author should make one without such files",
    )


def _data_outs(layout: Layout) -> dict[str, str]:
    """Outputs in DVC: path to digest, without the logs, which `bring_data` treats by themselves."""
    if not layout.lock.is_file() or not layout.pipeline.is_file():
        return {}
    return shared_digests(layout.pipeline.read_bytes(), layout.lock.read_bytes(), None)


def _wanted(version: Layout, storage: Storage) -> dict[str, str]:
    """Path to MD5 of the data of a version, as far as their listings are here."""
    found: dict[str, str] = {}
    for out, digest in _data_outs(version).items():
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
    for out in {*_data_outs(layout), *_data_outs(version)}:
        place = layout.root / out
        refuse_links(layout.root, place)
        names = file_names(place) if place.is_dir() else []
        found |= {f"{out}/{name}": f"{place}/{name}" for name in names}
        if place.is_file():
            found[out] = str(place)
    return found


def refuse_unsaved(layout: Layout, version: Layout, storage: Storage, digests: Digests) -> None:
    """Let no product be overwritten or removed that is nowhere else."""
    wanted, present, held = _wanted(version, storage), _present(layout, version), storage.names()
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
    wanted, present, held = _wanted(version, storage), _present(layout, version), storage.names()
    known = digests.many(present.values())
    for path, name in present.items():
        if known[name] != wanted.get(path) and known[name] in held:
            Path(name).unlink()
            _remove_empty(Path(name).parent, layout.root / "data")


def _fetched(layout: Layout) -> dict[str, ProductFile]:
    """Path to every fetched file that the ledgers name."""
    config = load_config(layout)
    return {
        (layout.products(mission, step.name) / obs_id / file.path).relative_to(layout.root).as_posix(): file
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
    """Put fetched files in their places from the store: how many stand there, and how many are nowhere."""
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
