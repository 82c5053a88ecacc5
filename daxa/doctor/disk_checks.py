"""Directories that daxa writes to, and ways in which their file systems differ from what programs expect.

Each is tried in a temporary directory.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from daxa.doctor.finding import Finding, State

__all__ = ["look_at_disks", "look_at_place"]

_GB = 10**9
_LITTLE = 5 * _GB
_TOO_LITTLE = _GB // 10
_NETWORK = ("nfs", "nfs4", "cifs", "smb3", "lustre", "gpfs", "beegfs", "ceph", "fuse.sshfs", "afs", "9p")
_CLONE = 0x40049409
"""FICLONE of ``linux/fs.h``."""

_MOMENT = 1_700_000_000_123_456_789


def look_at_disks(places: Mapping[str, Path]) -> Iterator[Finding]:
    """Every place that daxa writes to.

    Parameters
    ----------
    places
        Name for people, such as ``store``, to the directory, which need not exist yet.
    """
    for name, place in places.items():
        yield from look_at_place(name, place)
    yield from _one_disk(places)


def look_at_place(name: str, place: Path) -> Iterator[Finding]:
    """Whether a directory can be written to, has space, and keeps what is written.

    Parameters
    ----------
    name
        Its name for people.
    place
        The directory; if it does not exist yet, the nearest one above it is checked.
    """
    there = _nearest(place)
    yield from _space(name, place, there)
    try:
        with tempfile.TemporaryDirectory(prefix=".daxa-doctor-", dir=there) as probe:
            (Path(probe) / "probe").write_bytes(b"x" * 4096)
            yield Finding("disk", f"{name} writable", "ok", str(place))
            yield from _traps(name, Path(probe))
    except OSError as error:
        yield Finding("disk", f"{name} writable", "error", f"{there}: {error.strerror}", _remedy(name, there))


def _nearest(place: Path) -> Path:
    return next((one for one in (place, *place.parents) if one.is_dir()), Path(place.anchor or "."))


def _remedy(name: str, there: Path) -> str:
    variable = {"store": "DAXA_STORE", "cache": "DAXA_CACHE", "temporary": "TMPDIR"}.get(name, "")
    elsewhere = f", or set {variable} to another directory" if variable else ", or clone the archive elsewhere"
    return f"make {there} writable, with free space{elsewhere}"


def _space(name: str, place: Path, there: Path) -> Iterator[Finding]:
    usage = shutil.disk_usage(there)
    state: State = "error" if usage.free < _TOO_LITTLE else "warning" if usage.free < _LITTLE else "ok"
    text = f"{usage.free / _GB:.1f} GB free of {usage.total / _GB:.1f} GB{_kind(there)}"
    yield Finding("disk", f"{name} space", state, text, "" if state == "ok" else f"free some space for {place}")
    found = os.statvfs(there)
    if found.f_files and found.f_favail < 1000:
        text = f"only {found.f_favail} more files can be created"
        yield Finding("disk", f"{name} files", "warning", text, "remove files you do not need (few inodes are left)")
    if found.f_flag & getattr(os, "ST_NOEXEC", 0):
        text = "mounted noexec: programs there cannot run"
        yield Finding("disk", f"{name} programs", "note", text, "keep programs and environments elsewhere")


def _kind(there: Path) -> str:
    """The type of a network file system, which is less reliable; '' for others."""
    try:
        lines = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    here = there.resolve()
    mounts = [(Path(parts[1]), parts[2]) for line in lines if len(parts := line.split()) > 2]
    above = [(len(point.parts), kind) for point, kind in mounts if here.is_relative_to(point)]
    kind = max(above, default=(0, ""))[1]
    return f" ({kind})" if kind in _NETWORK else ""


def _traps(name: str, probe: Path) -> Iterator[Finding]:
    for title, works, state, text, remedy in _TRAPS:
        try:
            fine, why = works(probe), ""
        except OSError as error:
            fine, why = False, f" ({error.strerror})"
        if not fine:
            yield Finding("disk", f"{name} {title}", state, text + why, remedy)


def _has_hard_links(probe: Path) -> bool:
    os.link(probe / "probe", probe / "linked")
    return (probe / "linked").stat().st_ino == (probe / "probe").stat().st_ino


def _has_locks(probe: Path) -> bool:
    import fcntl

    with (probe / "lock").open("w") as one, (probe / "lock").open("w") as other:
        fcntl.flock(one, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _distinguishes_case(probe: Path) -> bool:
    (probe / "Case").write_bytes(b"")
    return not (probe / "cASE").exists()


def _takes_names(probe: Path) -> bool:
    for name in ("0404910601@S003.log", "10-08-0012+x", "n" * 200):
        (probe / name).write_bytes(b"")
    return {"0404910601@S003.log", "10-08-0012+x"} <= {entry.name for entry in probe.iterdir()}


def _keeps_times(probe: Path) -> bool:
    os.utime(probe / "probe", ns=(_MOMENT, _MOMENT))
    return abs((probe / "probe").stat().st_mtime_ns - _MOMENT) < 10**6


def _renames(probe: Path) -> bool:
    for name in ("old", "new"):
        (probe / name).mkdir()
        (probe / name / "file").write_text(name)
    (probe / "old").rename(probe / "aside")
    (probe / "new").rename(probe / "old")
    return (probe / "old" / "file").read_text() == "new"


_TRAPS: tuple[tuple[str, Callable[[Path], bool], State, str, str], ...] = (
    (
        *("hard links", _has_hard_links, "note"),
        "no hard links: fetched files are copied and take twice the space",
        "put archive and store on a file system with hard links if space is short",
    ),
    (
        *("locks", _has_locks, "error"),
        "locks do not work: two commands could write at the same time",
        "put it on a file system with locks; mount NFS with `local_lock=none` and a lock service",
    ),
    (
        *("case", _distinguishes_case, "warning"),
        "names that differ in case only are the same",
        "use a case-sensitive file system: some ObsIDs and file names differ only in case",
    ),
    (
        *("names", _takes_names, "error"),
        "some file names cannot be used",
        "use a Linux or macOS file system, not one made for removable disks",
    ),
    (
        *("times", _keeps_times, "warning"),
        "times are kept in whole seconds: a file that changes within a second may seem unchanged",
        "use a file system with finer times, or run `daxa verify` after edits",
    ),
    (
        *("renames", _renames, "error"),
        "directories cannot be renamed",
        "use another file system: products are moved into place by renames",
    ),
)


def _shares_blocks(source: Path, target: Path) -> bool:
    """Whether a copy from one directory to another takes no space until it changes."""
    import fcntl

    if not sys.platform.startswith("linux"):
        return True  # Nothing is known.
    try:
        with tempfile.TemporaryFile(dir=source) as one, tempfile.TemporaryFile(dir=target) as other:
            one.write(b"x" * 4096)
            one.flush()
            fcntl.ioctl(other.fileno(), _CLONE, one.fileno())
    except OSError:
        return False
    return True


def _one_disk(places: Mapping[str, Path]) -> Iterator[Finding]:
    """Whether fetched files can be links to the store, and products can share blocks with DVC's cache."""
    archive, store = places.get("archive"), places.get("store")
    if archive and store and _nearest(archive).stat().st_dev != _nearest(store).stat().st_dev:
        text = "store and archive are on different disks: fetched files are copied and take twice the space"
        yield Finding("disk", "links to the store", "note", text, "set DAXA_STORE to a directory on the archive's disk")
    cache = places.get("DVC cache")
    if archive and cache and not _shares_blocks(_nearest(cache), _nearest(archive)):
        text = "no reflinks between DVC's cache and the archive: every product takes twice the space"
        yield Finding("disk", "DVC cache reflinks", "note", text, "use XFS, Btrfs, ZFS or APFS if space is short")
