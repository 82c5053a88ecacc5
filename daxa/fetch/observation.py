"""Fetch the files of one observation, or bring back exactly those that a ledger names."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from daxa.errors import DataError, StorageError
from daxa.fetch.catalogue import read_catalogue
from daxa.fetch.connection import Connection, RetryPolicy, connect
from daxa.fetch.content_check import ExpectedContent
from daxa.fetch.field_files import list_field, members_url, obtain_field
from daxa.fetch.file_choice import FileChoice, absent_instruments, choose_files, compile_extra
from daxa.fetch.file_sizes import LARGEST, largest
from daxa.fetch.listing import child_url
from daxa.fetch.locations import ObservationRef, directory_urls
from daxa.fetch.mirrors import mirrors_of, try_mirrors
from daxa.fetch.obtain import FetchContext, FileToFetch, obtain
from daxa.fetch.parts import disk_errors
from daxa.fetch.store import ContentOrigin, Store, digest_file
from daxa.fetch.survey import find_directory, find_listing_directory
from daxa.missions.spec import MissionSpec
from daxa.run.task import ProductFile
from daxa.settings import Settings

__all__ = [
    "FetchContext",
    "FileProvenance",
    "FileToFetch",
    "fetch_observation",
    "list_files_to_fetch",
    "obtain",
    "restore_observation",
]

Item = TypeVar("Item")

_AT_ONCE = 2
_CONNECTIONS = 6
_RESTORED = 64 << 20


@dataclass(frozen=True)
class FileProvenance:
    """Where and when a fetched file came from.

    Parameters
    ----------
    path
        Below the observation's directory, as in the archive.
    url
        Address that served it.
    size, sha256
        Of its bytes.
    etag, last_modified
        The server's validators, '' where it gave none.
    retrieved
        When its bytes arrived: UTC, ISO 8601 to the second.
    """

    path: str
    url: str
    size: int
    sha256: str
    etag: str = ""
    last_modified: str = ""
    retrieved: str = ""


def fetch_observation(
    sought: ObservationRef,
    instruments: Collection[str],
    extra: Sequence[str],
    *,
    target: Path,
    parts: Path,
    settings: Settings,
    patience: RetryPolicy | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> list[FileProvenance]:
    """Bring the files that the native chain needs into `target`.

    Files come from the store where the archive confirms that they are current.  The mission's mirrors
    are tried in their order (`daxa.fetch.mirrors.mirrors_of`).

    Parameters
    ----------
    sought
        The observation.
    instruments
        Names of the chosen instruments.
    extra
        Regular expressions of further paths (``fetch.extra`` of the params file).
    target
        Directory for the files; they are read-only links into the store.
    parts
        Directory for downloads that are not complete; it outlives interruptions.
    settings
        Addresses, timeouts and the store.
    patience
        How often requests are repeated.
    say
        Receives lines for the log.

    Returns
    -------
    list of FileProvenance
        One per file, sorted by path.

    Raises
    ------
    DataError
        This observation cannot be fetched: ``data.absent``, ``data.no-events``, ``data.proprietary``,
        ``data.damaged`` and others; the message names the file.
    ServiceError, StorageError
        Nothing can be fetched: the archive is not reachable, the disk is full.
    """
    spec = sought.spec
    spec.check_obs_id(sought.obs_id)
    compile_extra(extra)
    connection = connect(settings, mirrors_of(spec, settings), patience)
    store = Store(settings.store)

    def bring(one: Connection) -> list[FileProvenance]:
        return _fetch_from(FetchContext(one, store, target, parts, say), sought, instruments, extra)

    return try_mirrors(connection, bring, say)


def _fetch_from(
    context: FetchContext, sought: ObservationRef, instruments: Collection[str], extra: Sequence[str]
) -> list[FileProvenance]:
    """Bring the files from one mirror."""
    context, files = list_files_to_fetch(context, sought, instruments, extra)
    return _in_parallel(files, lambda one: _fetch_file(context, one), context)


def list_files_to_fetch(
    context: FetchContext, sought: ObservationRef, instruments: Collection[str], extra: Sequence[str]
) -> tuple[FetchContext, list[FileToFetch]]:
    """The files to fetch of an observation, as one mirror lists them now."""
    spec, connection, say = sought.spec, context.connection, context.say
    field = obtain_field(context, sought) if spec.bundles else None
    if field:
        base, paths = members_url(field), list_field(context, sought.obs_id, field)
        say(f"{field.transfer.url} contains {len(paths)} files of {sought.obs_id}")
    else:
        source, paths = find_directory(connection, directory_urls(connection, sought), spec, extra)
        base = source.url
        say(f"{base} ({source.how}) lists {len(paths)} files")
    choices = choose_files(spec, sought.obs_id, instruments, paths, extra)
    for choice in choices:
        if choice.older:
            say(f"{choice.path}: taken, since {', '.join(choice.older)} is an earlier delivery of it")
    if absent := absent_instruments(spec, sought.obs_id, instruments, choices):
        say(f"of {', '.join(absent)} there is no file that processing needs")
    context = replace(context, catalogue=read_catalogue(connection, base, spec, sought.obs_id, say))
    return context, [
        FileToFetch(
            choice.path,
            child_url(base, choice.path),
            largest(choice.kind, paths[choice.path]),
            _expected(spec, sought.obs_id, choice),
            field,
        )
        for choice in choices
    ]


def _expected(spec: MissionSpec, obs_id: str, choice: FileChoice) -> ExpectedContent:
    """What a file of the mission must hold; nothing is known about files that the user requests."""
    if choice.kind == "extra":
        return ExpectedContent()
    tables = spec.event_tables if choice.kind == "events" else ()
    # A list without places on the sky may be of a mode that has other tables.
    return ExpectedContent("" if spec.foreign_ids else obs_id, tables[:1] if choice.curves else tables)


def restore_observation(
    sought: ObservationRef,
    files: Sequence[ProductFile],
    *,
    target: Path,
    parts: Path,
    settings: Settings,
    patience: RetryPolicy | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> list[FileProvenance]:
    """Bring back the files that a ledger names: from the store, else from the archive if it still has the same.

    Files that are in place stay; every one is read and compared with its digest.

    Parameters
    ----------
    files
        What the ledger says of them.
    sought, target, parts, settings, patience, say
        As for `fetch_observation`.

    Returns
    -------
    list of FileProvenance
        Of the files that were not in the store, sorted by path.

    Raises
    ------
    DataError
        ``data.redelivered``: the archive serves other bytes now.  They are kept in the store, and not used.
        Else as `fetch_observation`.
    ServiceError, StorageError
        As `fetch_observation`.
    """
    sought.spec.check_obs_id(sought.obs_id)
    for file in files:
        child_url("", file.path)
    store = Store(settings.store)
    absent = [file for file in files if not _in_place(target / file.path, file)]
    missing = [file for file in absent if not store.link(file.sha256, _place(target, file.path))]
    say(f"{len(files)} files: {len(files) - len(absent)} in place, {len(absent) - len(missing)} linked from the store")
    if not missing:
        return []
    connection = connect(settings, mirrors_of(sought.spec, settings), patience)

    def bring(one: Connection) -> list[FileProvenance]:
        return _restore_from(FetchContext(one, store, target, parts, say), sought, missing)

    return try_mirrors(connection, bring, say)


def _restore_from(context: FetchContext, sought: ObservationRef, files: Sequence[ProductFile]) -> list[FileProvenance]:
    """Bring the files back from one mirror."""
    field = obtain_field(context, sought) if sought.spec.bundles else None
    if field:
        base = members_url(field)
    else:
        base = find_listing_directory(directory_urls(context.connection, sought), context.connection, files[0].path)

    def bring(file: ProductFile) -> FileProvenance:
        most = min(LARGEST["extra"], max(2 * file.size, _RESTORED))
        return _restore_file(
            context, FileToFetch(file.path, child_url(base, file.path), most, container=field), file, sought.obs_id
        )

    return _in_parallel(files, bring, context)


def _in_place(path: Path, file: ProductFile) -> bool:
    """True if the file is in place, byte by byte."""
    with disk_errors(path):
        try:
            return not path.is_symlink() and path.stat().st_size == file.size and digest_file(path) == file.sha256
        except FileNotFoundError:
            return False


def _in_parallel(
    items: Sequence[Item], bring: Callable[[Item], FileProvenance], context: FetchContext
) -> list[FileProvenance]:
    """Bring some files at once.

    A file that cannot be had does not stop the others, so that the error reported does not depend
    on their order of arrival; an error that concerns all of them stops them at once.
    """
    threads = min(_AT_ONCE, max(1, _CONNECTIONS // max(1, context.connection.settings.downloads)))
    with ThreadPoolExecutor(threads) as pool:
        running = [pool.submit(_outcome, bring, item) for item in items]
        try:
            wait(running, return_when=FIRST_EXCEPTION)
            # After an exception, what has not ended is not worth waiting for.
            failed = [future for future in running if future.done() and future.exception()]
            outcomes = [future.result() for future in failed or running]
        except BaseException:
            context.connection.stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    arrivals = []
    for outcome in outcomes:
        if isinstance(outcome, DataError):
            raise outcome
        arrivals.append(outcome)
    return sorted(arrivals, key=lambda arrival: arrival.path)


def _outcome(bring: Callable[[Item], FileProvenance], item: Item) -> FileProvenance | DataError:
    try:
        return bring(item)
    except DataError as error:
        return error


def _fetch_file(context: FetchContext, one: FileToFetch) -> FileProvenance:
    """Fetch what an address serves now, and link it."""
    origin = obtain(context, one)
    if not context.store.link(origin.sha256, _place(context.target, one.path)):
        context.say(f"{one.path}: the copy in the store was damaged and is fetched again")
        origin = obtain(context, one)
        _link(context, origin.sha256, one.path)
    return _arrival(one.path, origin)


def _restore_file(context: FetchContext, one: FileToFetch, file: ProductFile, obs_id: str) -> FileProvenance:
    """Fetch what an address serves if it is what the ledger says, and link it."""
    origin = obtain(context, one)
    if origin.sha256 != file.sha256:
        raise DataError(
            "redelivered",
            f"{file.path} of {obs_id} has changed in the archive: {origin.transfer.size} bytes with SHA-256 "
            f"{origin.sha256[:12]}..., the ledger has {file.size} bytes with {file.sha256[:12]}...",
            remedy="work with the release's products (`daxa pull`); the new file waits in the store, unused",
        )
    _link(context, origin.sha256, file.path)
    return _arrival(file.path, origin)


def _place(target: Path, path: str) -> Path:
    """Where a file goes; no directory on the context may be a link, which may lead to the user's own files."""
    place = target / path
    for directory in Path(path).parents:
        if (target / directory).is_symlink():
            raise StorageError(
                "link",
                f"{target / directory} is a link, which daxa does not follow",
                remedy="remove the link, or put a directory in its place",
            )
    return place


def _link(context: FetchContext, sha256: str, path: str) -> None:
    if not context.store.link(sha256, _place(context.target, path)):
        raise StorageError(
            "vanished",
            f"the store at {context.store.root} lost {path} just after it was written",
            remedy="check the disk, or choose another place with DAXA_STORE",
        )


def _arrival(path: str, origin: ContentOrigin) -> FileProvenance:
    served = origin.transfer
    return FileProvenance(
        path, served.url, served.size, origin.sha256, served.etag, served.last_modified, origin.retrieved
    )
