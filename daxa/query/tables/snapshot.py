"""The observation table of a mission as a service gave it at one time: fetched once, kept.

A table is kept in the user's cache under the address of the service and the digest of
the mission's declaration, so that neither another service nor a changed declaration
ever answers with rows of the other.  Several processes may use one cache: who fetches
holds a lock, files are replaced whole, and every file is checked before it is used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from daxa.errors import CriteriaError, DataError, ServiceError, StorageError
from daxa.missions import MissionSpec, find_mission
from daxa.missions.spec import ObservationTable
from daxa.query.tables.snapshot_file import QueryOrigin, Snapshot, declaration_of, read_snapshot, write_snapshot
from daxa.settings import Settings

if TYPE_CHECKING:
    from daxa.query.tables.columns import Listing

__all__ = [
    "MAX_AGE",
    "Freshness",
    "QueryOrigin",
    "Snapshot",
    "import_snapshot",
    "read_snapshot",
    "take_snapshot",
    "write_snapshot",
]

MAX_AGE = timedelta(days=7)
"""A table older than this is fetched again, unless the user says otherwise."""


@dataclass(frozen=True)
class _SnapshotPlace:
    """A service that can answer for a mission, and where its answer is kept (None: nowhere)."""

    spec: MissionSpec
    table: ObservationTable
    settings: Settings
    path: Path | None


class Freshness(TypedDict, total=False):
    """How new a table must be; as for `take_snapshot`."""

    refresh: bool
    max_age: timedelta | None
    offline: bool


def take_snapshot(
    spec: MissionSpec,
    settings: Settings,
    *,
    refresh: bool = False,
    max_age: timedelta | None = None,
    offline: bool = False,
) -> Snapshot:
    """The whole observation table of a mission, from the cache or from a service.

    A table that is too old, and cannot be fetched again because the service fails, is used
    all the same and the snapshot's `note` says so.  Where no table of the preferred service
    is available, the mission's other services are queried in turn.  Sky tiles are computed when nothing
    else is available, also without a network.

    Parameters
    ----------
    spec
        The mission.
    settings
        Addresses of the services, and the cache.
    refresh
        Query the service even if the cached table is recent, and fail when it does not answer: a
        computed table never takes the place of a kept one that knows more.
    max_age
        How old a kept table may be; `MAX_AGE` by default.
    offline
        Query no service: use the cached table whatever its age.  ``settings.offline`` does the same.

    Raises
    ------
    ServiceError
        ``offline``: no table is kept, and none may be fetched.  Otherwise the services
        cannot be reached, or their answers cannot be used.
    CriteriaError
        ``max-age`` is negative, or `refresh` is requested together with `offline`.
    """
    allowed = MAX_AGE if max_age is None else max_age
    if allowed < timedelta(0):
        raise CriteriaError(
            "max-age", f"the maximum age of a table cannot be negative ({allowed})", remedy="give a positive duration"
        )
    places = _places(spec, settings)
    if offline or settings.offline:
        if refresh:
            raise CriteriaError("offline", "a refresh needs the network", remedy="leave out one of refresh and offline")
        return _at_hand(places, allowed)
    failures: list[ServiceError] = []
    for place in places:
        try:
            return _with_notes(_current(place, refresh=refresh, max_age=allowed), failures)
        except ServiceError as error:
            if refresh and _kept(place)[0] is not None:
                raise
            failures.append(error)
    if (computed := _computed(places)) is not None:
        return _with_notes(computed, failures)
    raise _all_failed(failures)


def import_snapshot(path: Path, settings: Settings) -> Snapshot:
    """Put a snapshot file into the cache, so that it answers as if it had been fetched here.

    Parameters
    ----------
    path
        From `write_snapshot`.
    settings
        The cache.

    Raises
    ------
    DataError
        It is not a usable snapshot, or was made with another declaration of the mission.
    StorageError
        The cache cannot be written.
    """
    snapshot = read_snapshot(path)
    for place in _places(find_mission(snapshot.mission), settings):
        if place.path is not None and declaration_of(place.spec, place.table) == snapshot.declaration:
            with _locked(place.path):
                write_snapshot(place.path, snapshot)
            return snapshot
    raise DataError(
        "snapshot-other",
        f"{path} was made with a different declaration of {snapshot.mission}, or there is no cache",
        remedy="use it with read_snapshot, or make it again with this version of daxa",
    )


def _places(spec: MissionSpec, settings: Settings) -> tuple[_SnapshotPlace, ...]:
    tables = sorted((spec.table, *spec.other_tables), key=lambda table: table.service != settings.prefer_service)
    return tuple(_SnapshotPlace(spec, table, settings, _path(spec, table, settings)) for table in tables)


def _path(spec: MissionSpec, table: ObservationTable, settings: Settings) -> Path | None:
    from daxa.query.tables.services import address_of

    if settings.cache == Path():
        return None
    key = f"{address_of(table, settings)}\n{declaration_of(spec, table)}"
    digest = hashlib.sha256(key.encode()).hexdigest()
    return settings.cache / "snapshots" / f"{spec.name}-{table.service}-{digest[:16]}.parquet"


def _current(place: _SnapshotPlace, *, refresh: bool, max_age: timedelta) -> Snapshot:
    """A table of this service that is recent enough, or the best available."""
    kept, _ = _kept(place)
    if kept is not None and not refresh and _is_young(kept, max_age):
        return kept
    with _locked(place.path):
        # Another process may have fetched it, or found it damaged, while this one waited.
        kept, trouble = _kept(place, set_aside=True)
        if kept is not None and not refresh and _is_young(kept, max_age):
            return kept
        try:
            fresh = _fetch(place)
        except ServiceError as error:
            if kept is None or refresh:
                raise
            return replace(
                kept, note=f"the table of {kept.origin.time} is used, since it could not be refreshed: {error.message}"
            )
        return replace(fresh, note="; ".join(filter(None, (trouble, _keep(place, fresh)))))


def _is_young(snapshot: Snapshot, max_age: timedelta) -> bool:
    # A time to come means that a clock is or was wrong: nothing is known about the age.
    return timedelta(0) <= datetime.now(UTC) - snapshot.moment <= max_age


def _kept(place: _SnapshotPlace, *, set_aside: bool = False) -> tuple[Snapshot | None, str]:
    """The table in the cache, and what was wrong with it."""
    if place.path is None:
        return None, ""
    try:
        found = read_snapshot(place.path)
    except DataError as error:
        if error.name == "snapshot-absent":
            return None, ""
        trouble = error.message
    else:
        if found.mission == place.spec.name and found.declaration == declaration_of(place.spec, place.table):
            return found, ""
        trouble = f"{place.path} does not hold the table that its name says"
    if set_aside:
        with suppress(OSError):
            place.path.replace(place.path.with_suffix(".damaged"))
    return None, trouble


def _keep(place: _SnapshotPlace, snapshot: Snapshot) -> str:
    if place.path is None:
        return ""
    try:
        write_snapshot(place.path, snapshot)
    except StorageError as error:
        return f"the table could not be cached: {error.message}"
    return ""


def _fetch(place: _SnapshotPlace) -> Snapshot:
    from daxa.query.tables.observations import fetch_observations

    queried = datetime.now(UTC)
    return _snapshot_of(place, fetch_observations(place.spec, place.settings, place.table), queried)


def _computed(places: tuple[_SnapshotPlace, ...]) -> Snapshot | None:
    """What follows from a rule, without any service; None for a mission that has none."""
    from daxa.query.tables.tiles import compute_tiles

    for place in places:
        if place.table.service == "tiling":
            return _snapshot_of(place, compute_tiles(place.spec, place.table), datetime.now(UTC))
    return None


def _snapshot_of(place: _SnapshotPlace, listing: Listing, queried: datetime) -> Snapshot:
    from daxa.selection.schema import table_digest

    found = listing.normalised
    return Snapshot(
        found.table,
        QueryOrigin(
            service=listing.service,
            table=listing.table,
            query=listing.query,
            time=queried.replace(microsecond=0).isoformat().replace("+00:00", "Z"),
            rows=len(found.table),
            digest=table_digest(found.table),
            left_out=found.left_out,
            assumed=found.assumed,
        ),
        mission=place.spec.name,
        declaration=declaration_of(place.spec, place.table),
    )


def _at_hand(places: tuple[_SnapshotPlace, ...], max_age: timedelta) -> Snapshot:
    troubles = []
    for place in places:
        kept, trouble = _kept(place)
        if kept is not None:
            note = "" if _is_young(kept, max_age) else f"the table is of {kept.origin.time}, and was not refreshed"
            return _with_notes(replace(kept, note=note), [])
        troubles.append(trouble)
    if (computed := _computed(places)) is not None:
        return _with_notes(replace(computed, note="; ".join(filter(None, troubles))), [])
    spec = places[0].spec
    why = "; ".join(filter(None, troubles)) or "none is kept on this machine"
    raise ServiceError(
        "offline",
        f"there is no observation table of {spec.title} to use without a network: {why}",
        remedy="fetch it once with a network (unset DAXA_OFFLINE), or import one with `daxa search --snapshot FILE`",
    )


def _with_notes(snapshot: Snapshot, failures: list[ServiceError]) -> Snapshot:
    notes = [snapshot.note]
    computed = snapshot.origin.service == "tiling"
    if computed:
        notes.append("the tiles are computed: their times are those of the whole survey")
    if failures:
        other = (
            "no service adds to them" if computed else f"{snapshot.origin.service} was used instead of another service"
        )
        notes.append(f"{other}: {failures[0].message}")
    if snapshot.origin.assumed:
        notes.append(
            f"it does not give {', '.join(snapshot.origin.assumed)}: they are the mission's defaults, or unknown"
        )
    return replace(snapshot, note="; ".join(filter(None, notes)))


def _all_failed(failures: list[ServiceError]) -> ServiceError:
    first, *others = failures
    if not others:
        return first
    further = "; ".join(error.message for error in others)
    return ServiceError(first.name, f"{first.message}; other services failed, too: {further}", remedy=first.remedy)


@contextmanager
def _locked(path: Path | None) -> Iterator[None]:
    """One process at a time; on a file system without locks, or that cannot be written, none waits."""
    from filelock import FileLock

    lock = None
    if path is not None:
        with suppress(OSError, NotImplementedError):
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path.with_suffix(".lock"))
            lock.acquire()
    try:
        yield
    finally:
        if lock is not None and lock.is_locked:
            lock.release()
