"""Archives that offer observations only in one file for all of a field.

The file of a field is fetched once into the store, for all of its observations; whoever needs it next waits until it is
there.  Which files of an observation are in it is known only then.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from daxa.errors import DataError
from daxa.fetch.connection import Connection
from daxa.fetch.field_index import FIELDS, PackedFile, read_index, write_index
from daxa.fetch.field_tar import list_members
from daxa.fetch.file_sizes import LARGEST
from daxa.fetch.listing import child_url
from daxa.fetch.locations import ObservationRef, directory_urls
from daxa.fetch.obtain import FetchContext, FileToFetch, obtain
from daxa.fetch.parts import disk_errors
from daxa.fetch.store import ContentOrigin
from daxa.files import refuse_links

__all__ = ["list_field", "members_url", "obtain_field"]

_LOOK = 1.0


def obtain_field(context: FetchContext, sought: ObservationRef) -> ContentOrigin:
    """Put the file of an observation's field into the store, unless it is there and current.

    Raises
    ------
    DataError
        ``data.absent``: no field is known to have the observation, or the archive does not have the file.
        Else as `daxa.fetch.obtain.obtain`.
    ServiceError, StorageError
        As `daxa.fetch.obtain.obtain`.
    """
    name = next((one.file for one in sought.spec.bundles if sought.obs_id in one.obs_ids), "")
    if not name:
        raise DataError(
            "absent",
            f"no field of {sought.spec.title} is known to contain {sought.obs_id}",
            remedy="leave the observation out of the selection; `daxa missions` lists the fields",
        )
    url = child_url(directory_urls(context.connection, sought)[-1].url, name)
    place = context.store.root / FIELDS
    alone = replace(context, parts=place)
    lock = place / f"{hashlib.sha256(url.encode()).hexdigest()[:40]}.lock"
    refuse_links(context.store.root, lock)

    def say() -> None:
        context.say(f"{name}: waiting for another task that fetches it")

    for _ in range(2):
        with _alone(lock, context.connection, say):
            field = obtain(alone, FileToFetch(name, url, LARGEST["extra"]))
        # A copy that was altered since is no reason to wait for one another.
        if context.store.check(field.sha256):
            context.say(f"{name}: SHA-256 {field.sha256}")
            if read_index(context.store.root, field.sha256) is None:
                with _alone(lock, context.connection, say):
                    _contents(context, field)
            return field
        context.say(f"{name}: the copy in the store was damaged and is fetched again")
    raise DataError("damaged", f"{url} did not stay in the store", remedy="check the disk of DAXA_STORE")


def _contents(context: FetchContext, field: ContentOrigin) -> dict[str, PackedFile]:
    """What is in the file of a field, which is read for that unless somebody has done so."""
    if (known := read_index(context.store.root, field.sha256)) is not None:
        return known
    name, packed = field.transfer.url.rpartition("/")[2], context.store.path(field.sha256)
    with disk_errors(packed):
        found = list_members(packed, name, context.connection.check_stop)
    write_index(context.store.root, field.sha256, found)
    return found


@contextmanager
def _alone(lock: Path, connection: Connection, say: Callable[[], None]) -> Iterator[None]:
    """Let no other task fetch the same file meanwhile; a task that ends gives way."""
    from filelock import FileLock, Timeout

    held, waiting = FileLock(lock), False
    # Its time-out is an error of the operating system, too, but not one of the disk.
    with disk_errors(lock):
        lock.parent.mkdir(parents=True, exist_ok=True)
        while not held.is_locked:
            connection.check_stop()
            try:
                held.acquire(timeout=_LOOK)
            except Timeout:
                if not waiting:
                    say()
                waiting = True
    try:
        yield
    finally:
        held.release()


def list_field(context: FetchContext, obs_id: str, field: ContentOrigin) -> dict[str, int]:
    """Path in the file of a field to size, of the files whose names contain the ObsID.

    Raises
    ------
    DataError
        ``data.damaged``: it is not a tar of plain files, or two of its folders contain the same file.
    """
    name = field.transfer.url.rpartition("/")[2]
    there = _contents(context, field)
    mine = {path: one.size for path, one in there.items() if obs_id in path.rpartition("/")[2]}
    twice = [one for one, count in Counter(path.rpartition("/")[2] for path in mine).items() if count > 1]
    if twice:
        raise DataError(
            "damaged",
            f"{name} contains {twice[0]} in two folders, and nothing says which of them counts",
            remedy="leave the observation out of the selection, and report the file to the archive's help desk",
        )
    return mine


def members_url(field: ContentOrigin) -> str:
    """The address that stands for the folder in which the file of a field would be unpacked.

    Examples
    --------
    >>> from daxa.fetch.parts import Transfer
    >>> members_url(ContentOrigin(Transfer("https://a.example/x.tar.gz", 1), "", ""))
    'https://a.example/x.tar.gz#'
    """
    return f"{field.transfer.url}#"
