"""Send the data of every release to the remote, and prove that they arrived.

DVC takes a directory for present when the remote holds its listing, so that it
neither notices nor repairs a file that a remote lost.  Therefore the remote itself is
listed before and after, and lost files are sent one by one.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator, Mapping
from configparser import ConfigParser
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import md5
from pathlib import Path
from tempfile import mkdtemp

from daxa.archive import dvc, git
from daxa.archive.address import config_value
from daxa.archive.config import load_config
from daxa.archive.layout import Layout
from daxa.errors import ArchiveError, ConfigError, ReleaseError, StorageError
from daxa.publish.embargo import mjd_now, proprietary
from daxa.publish.outputs import listed_files, shared_digests
from daxa.publish.remote import Remote, Storage, find_storage, list_objects, read_object
from daxa.publish.state import read_observations, records_at
from daxa.publish.version import release_tags

__all__ = ["PushReport", "push_releases"]


@dataclass(frozen=True)
class PushReport:
    """What a remote holds after a push.

    Parameters
    ----------
    remote
        Its address.
    tags
        The releases whose data it holds, the latest last.
    objects
        How many objects these need.
    sent
        How many of them were sent now.
    """

    remote: str
    tags: tuple[str, ...]
    objects: int
    sent: int


def push_releases(layout: Layout) -> PushReport:
    """Send what the remote lacks of any release, then list the remote and compare.

    Each release is sent from a clone of its tag, since DVC sends what the work tree
    names.  Nothing is ever deleted.

    Raises
    ------
    ConfigError
        The archive has no remote.
    ReleaseError
        There is no release, its data are nowhere, or they must not be shared yet.
    ServiceError, StorageError, ProgramError
        The remote cannot be listed or written, or does not hold everything afterwards.
    """
    storage = find_storage(layout.root)
    remote = _require_remote(layout, storage)
    tags = release_tags(git.tags(layout.root))
    if not tags:
        raise ReleaseError(
            "none", f"{layout.root} has no release yet", remedy='make one with `daxa release -m "what it is"`'
        )
    if remote.public:
        _refuse_proprietary(layout, tags, remote)
    with _alone(layout):
        before = list_objects(layout.root, remote)
        needed = {tag: _needed(layout, tag, storage, remote) for tag in tags}
        every = set().union(*needed.values())
        _require_somewhere(every - before.keys(), needed, storage)
        for tag in tags:
            if needed[tag] - before.keys():
                with _clone(layout, tag, storage, remote) as clone:
                    dvc.push(clone)
        present = _repair(layout, tags[-1], storage, remote, every)
        _compare_sizes(every, present, storage, remote)
    return PushReport(remote.url, tuple(tags), len(every), len(every - before.keys()))


def _require_remote(layout: Layout, storage: Storage) -> Remote:
    if storage.remote is None:
        raise ConfigError(
            "no-remote",
            f"{layout.root} has no storage to share its data through",
            remedy="name one: `dvc remote add --default storage <address>`",
        )
    return storage.remote


def _refuse_proprietary(layout: Layout, tags: Collection[str], remote: Remote) -> None:
    now = mjd_now()
    for tag in tags:
        with records_at(layout, git.commit_of(layout.root, tag)) as records:
            chosen = {mission: read_observations(records, mission) for mission in load_config(records).missions}
        if held := proprietary(chosen, now):
            raise ReleaseError(
                "proprietary",
                f"{tag} holds {len(held)} observations that are not known to be public, such as {held[0]}, "
                f"and others may read {remote.url}",
                remedy="share it through a private place (a directory or ssh), or wait until the data are public",
            )


def _needed(layout: Layout, tag: str, storage: Storage, remote: Remote) -> set[str]:
    """Every object that a release consists of."""
    commit = git.commit_of(layout.root, tag)
    pipeline, lock, logs = (
        git.read_file(layout.root, commit, name) for name in (layout.pipeline.name, layout.lock.name, "logs.dvc")
    )
    needed: set[str] = set()
    for digest in shared_digests(pipeline or b"", lock or b"", logs).values():
        needed.add(digest)
        if digest.endswith(".dir"):
            needed.update(listed_files(_listing(layout, tag, digest, storage, remote)).values())
    return needed


def _listing(layout: Layout, tag: str, digest: str, storage: Storage, remote: Remote) -> bytes:
    """The listing of a directory, from the cache or, where another machine made it, from the remote."""
    here = storage.cached(digest)
    content = here.read_bytes() if here.is_file() else read_object(layout.root, remote, digest)
    if content is None or f"{md5(content, usedforsecurity=False).hexdigest()}.dir" != digest:
        raise ReleaseError(
            "data-lost",
            f"the listing {digest} of {tag} is neither in DVC's cache here nor on {remote.url}",
            remedy=f"push from the machine that made {tag}, or `git checkout {tag}` and `dvc repro` here",
        )
    return content


def _require_somewhere(missing: set[str], needed: Mapping[str, set[str]], storage: Storage) -> None:
    lost = {digest for digest in missing if not storage.cached(digest).is_file()}
    for tag, objects in needed.items():
        if here := sorted(objects & lost):
            raise ReleaseError(
                "data-lost",
                f"{len(here)} files of {tag} are neither in DVC's cache here nor on the remote, such as {here[0]}",
                remedy=f"push from the machine that made {tag}, or `git checkout {tag}` and `dvc repro` here",
            )


def _repair(layout: Layout, tag: str, storage: Storage, remote: Remote, every: set[str]) -> Mapping[str, int | None]:
    """List the remote; send single objects that it lacks, and list it again."""
    present = list_objects(layout.root, remote)
    if lost := sorted(every - present.keys()):
        with _clone(layout, tag, storage, remote) as clone:
            outs = "".join(f"- md5: '{digest}'\n  hash: md5\n  path: lost/{digest}\n" for digest in lost)
            (clone / "lost.dvc").write_text(f"outs:\n{outs}", encoding="utf-8")
            dvc.run_dvc(clone, "push", "--quiet", "lost.dvc")
        present = list_objects(layout.root, remote)
    if lost := sorted(every - present.keys()):
        raise StorageError(
            "push-incomplete",
            f"{len(lost)} of {len(every)} objects did not arrive at {remote.url}, such as {lost[0]}",
            remedy="run `daxa push` again; if it stays so, look at the remote's space and permissions",
        )
    return present


def _compare_sizes(every: set[str], present: Mapping[str, int | None], storage: Storage, remote: Remote) -> None:
    wrong = [
        digest
        for digest in sorted(every)
        if present[digest] is not None
        and (here := storage.cached(digest)).is_file()
        and here.stat().st_size != present[digest]
    ]
    if wrong:
        raise StorageError(
            "remote-damaged",
            f"{len(wrong)} objects on {remote.url} are not whole, such as files/md5/{wrong[0][:2]}/{wrong[0][2:]}",
            remedy="remove these objects from the remote and run `daxa push` again",
        )


@contextmanager
def _clone(layout: Layout, tag: str, storage: Storage, remote: Remote) -> Iterator[Path]:
    """A clone of a release that uses the archive's cache, remote and credentials."""
    place = Path(mkdtemp(dir=_workshop(layout)))
    try:
        clone = place / "clone"
        git.clone(str(layout.root), clone, tag)
        shutil.copy(layout.root / ".dvc" / "config", clone / ".dvc" / "config")
        _write_settings(layout.root / ".dvc" / "config.local", clone / ".dvc" / "config.local", storage, remote)
        yield clone
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _write_settings(source: Path, target: Path, storage: Storage, remote: Remote) -> None:
    """The user's own settings, with paths that hold in another directory."""
    settings = ConfigParser(interpolation=None, default_section="")
    settings.read(source, encoding="utf-8")
    wanted = [("cache", "dir", str(storage.cache.absolute()))]
    wanted += [(f"'remote \"{remote.name}\"'", key, path) for key, path in storage.paths.items()]
    for section, key, value in wanted:
        if not settings.has_section(section):
            settings.add_section(section)
        settings.set(section, key, config_value(value))
    with target.open("w", encoding="utf-8") as stream:
        settings.write(stream)


@contextmanager
def _alone(layout: Layout) -> Iterator[None]:
    """One push at a time; what a killed one left behind is removed."""
    from filelock import FileLock, Timeout

    lock = layout.private / "lock" / "push"
    lock.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(lock, timeout=1):
            shutil.rmtree(_workshop(layout), ignore_errors=True)
            _workshop(layout).mkdir(parents=True, exist_ok=True)
            yield
    except Timeout:
        raise ArchiveError(
            "busy", f"another push works in {layout.root}", remedy="wait until it has ended, then try again"
        ) from None


def _workshop(layout: Layout) -> Path:
    return layout.private / "push"
