"""Files that the mission's archive has replaced since they were fetched.

What the server says of a file (size, date, ETag) is compared with what it said then; only where that differs,
the file is downloaded into the store, beside the old one, and its bytes and content are compared.  A file that
was only repacked does not count as replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from daxa.errors import DataError
from daxa.fetch.connection import Connection, connect
from daxa.fetch.locations import ObservationRef
from daxa.fetch.mirrors import mirrors_of, try_mirrors
from daxa.fetch.observation import FileProvenance, list_files_to_fetch
from daxa.fetch.obtain import FetchContext, FileToFetch, obtain
from daxa.fetch.parts import Transfer
from daxa.fetch.store import Store
from daxa.fetch.transfer import is_current
from daxa.run.equality import file_digests
from daxa.run.hashes import MANIFEST
from daxa.run.task import ProductFile
from daxa.settings import Settings

__all__ = ["Fetched", "Replaced", "find_replaced"]

_CARDS = ("PROCVER", "PROCREV", "SOFTVER", "SASVERS", "ASCDSVER", "CALDBVER", "CREATOR", "REVISION", "SEQPNUM", "DATE")
"""Header cards with the version of the processing, by the conventions of OGIP and of the missions."""


@dataclass(frozen=True)
class Fetched:
    """What an archive has of an observation.

    Parameters
    ----------
    files
        Of the ledger.
    arrivals
        Path to where and when it came from, as far as known.
    directory
        Where the files are, if they are on this machine.
    """

    files: Sequence[ProductFile]
    arrivals: Mapping[str, FileProvenance]
    directory: Path


@dataclass(frozen=True)
class Replaced:
    """A file that is no longer what was fetched.

    Parameters
    ----------
    path
        Below the observation's directory.
    what
        ``replaced``; ``added``: it would be fetched now, and was not there; ``withdrawn``: it is no longer served
        or not under this name.
    old_size, new_size, old_sha256, new_sha256
        Of its bytes; 0 and '' where there is no file.
    old_date, new_date
        ``Last-Modified``, '' where the server gave none.
    versions
        Header card to the old and the new value, of those that differ: versions of the processing.
    """

    path: str
    what: Literal["replaced", "added", "withdrawn"]
    old_size: int = 0
    new_size: int = 0
    old_sha256: str = ""
    new_sha256: str = ""
    old_date: str = ""
    new_date: str = ""
    versions: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, object]:
        """The record as plain values, ready for JSON."""
        return asdict(self) | {"versions": {card: list(pair) for card, pair in self.versions.items()}}


def find_replaced(
    sought: ObservationRef,
    instruments: Collection[str],
    extra: Sequence[str],
    fetched: Fetched,
    *,
    parts: Path,
    settings: Settings,
    say: Callable[[str], None] = lambda line: None,
) -> list[Replaced]:
    """Compare what was fetched of an observation with what its archive serves now.

    Parameters
    ----------
    sought, instruments, extra, parts, settings, say
        As for `daxa.fetch.observation.fetch_observation`.
    fetched
        What was fetched.

    Returns
    -------
    list of Replaced
        Sorted by path; empty where nothing has changed.  The new files are in the store.

    Raises
    ------
    DataError
        The observation cannot be compared: it is no longer in the archive, or a new file is damaged.
    ServiceError, StorageError
        The archive cannot be reached, or the disk cannot be written.
    """
    connection = connect(settings, mirrors_of(sought.spec, settings))
    nowhere = fetched.directory  # Nothing is linked: what is new stays in the store.
    before = {file.path: file for file in fetched.files if file.path != MANIFEST}

    def compare(one: Connection) -> list[Replaced]:
        context, served = list_files_to_fetch(
            FetchContext(one, Store(settings.store), nowhere, parts, say), sought, instruments, extra
        )
        found = [_compared(context, file, before.get(file.path), fetched) for file in served]
        gone = before.keys() - {file.path for file in served}
        found += [_withdrawn(before[path], fetched) for path in gone]
        return sorted((one for one in found if one), key=lambda one: one.path)

    return try_mirrors(connection, compare, say)


def _compared(
    context: FetchContext, file: FileToFetch, before: ProductFile | None, fetched: Fetched
) -> Replaced | None:
    arrival = fetched.arrivals.get(file.path)
    try:
        if before and arrival and _still_served(context, file.url, arrival, before):
            return None
        origin = obtain(context, file)
    except DataError as error:
        if error.name != "absent" or before is None:
            raise
        return _withdrawn(before, fetched)
    if before is None:
        return Replaced(
            file.path,
            "added",
            new_size=origin.transfer.size,
            new_sha256=origin.sha256,
            new_date=origin.transfer.last_modified,
        )
    if origin.sha256 == before.sha256:
        return None
    new = context.store.path(origin.sha256)
    if file_digests(new, file.path).science == before.science:
        context.say(f"{file.path}: repacked, with the same content")
        return None
    old = fetched.directory / file.path
    return Replaced(
        file.path,
        "replaced",
        before.size,
        origin.transfer.size,
        before.sha256,
        origin.sha256,
        arrival.last_modified if arrival else "",
        origin.transfer.last_modified,
        _versions(old if old.is_file() else context.store.path(before.sha256), new),
    )


def _still_served(context: FetchContext, url: str, arrival: FileProvenance, before: ProductFile) -> bool:
    """Whether the server says that it has what was fetched from it; another server cannot say so."""
    if arrival.url != url or arrival.sha256 != before.sha256 or not (arrival.etag or arrival.last_modified):
        return False
    return is_current(context.connection, url, Transfer(url, arrival.size, arrival.etag, arrival.last_modified))


def _withdrawn(before: ProductFile, fetched: Fetched) -> Replaced:
    arrival = fetched.arrivals.get(before.path)
    date = arrival.last_modified if arrival else ""
    return Replaced(before.path, "withdrawn", old_size=before.size, old_sha256=before.sha256, old_date=date)


def _versions(old: Path, new: Path) -> dict[str, tuple[str, str]]:
    """Cards that name versions, where they differ."""
    before, after = _cards(old), _cards(new)
    names = [name for name in _CARDS if before.get(name, "") != after.get(name, "")]
    return {name: (before.get(name, ""), after.get(name, "")) for name in names}


def _cards(path: Path) -> dict[str, str]:
    """The cards of the first two headers that name versions; none where the file is not a FITS file."""
    from astropy.io import fits

    found: dict[str, str] = {}
    try:
        with fits.open(path, memmap=False) as hdus:
            for at in (0, 1):
                header = hdus[at].header
                found |= {name: str(header[name])[:70] for name in _CARDS if name in header and name not in found}
    except (OSError, ValueError, TypeError, IndexError, KeyError, fits.VerifyError):
        return found
    return found
