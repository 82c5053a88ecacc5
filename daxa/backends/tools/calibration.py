"""Which calibration a call uses, as a digest that is the same on every machine with the same calibration files.

Paths and dates of files do not count, names and contents do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path, PurePosixPath
from types import ModuleType

from daxa.backends.tools.foreign_fits import open_fits
from daxa.errors import DataError, ProgramError
from daxa.files import open_plain

__all__ = [
    "caldb_identity",
    "caldb_indices",
    "content_of",
    "digest_lines",
    "files_named",
    "folder_identity",
    "index_identity",
    "missions_identity",
    "names_identity",
]

_MOST_CONFIG = 4 << 20
_BLOCK = 1 << 20
_SHOWN = 32
"""Hexadecimal digits of an identity."""


def index_identity(path: Path) -> str:
    """Identity of the calibration files that an index of SAS (``ccf.cif``) names.

    The table CALINDEX is digested, not the file, whose header has the date of its creation; of paths,
    only the names of the files count.

    Raises
    ------
    DataError
        It is not such an index, or it names no files.
    """
    import numpy as np

    try:
        with open_fits(path) as parts:
            table = parts["CALINDEX"].data
            rows = [[_plain(value, np) for value in row] for row in table]
            names = list(table.names)
    except ValueError as error:
        raise DataError(
            "calibration", f"{path} is not an index of calibration files: {error}", remedy="make it again with cifbuild"
        ) from None
    if not rows:
        raise DataError(
            "calibration",
            f"{path} names no calibration files",
            remedy="set SAS_CCFPATH to the directory of the calibration files, and make the index again",
        )
    return digest_lines([repr(names).encode(), *sorted(repr(row).encode() for row in rows)])


def _plain(value: object, np: ModuleType) -> object:
    if isinstance(value, bytes | str):
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        return PurePosixPath(text.strip()).name if "/" in text else text.strip()
    return np.asarray(value).tolist()


def caldb_identity(environ: Mapping[str, str], instruments: Collection[tuple[str, str]]) -> str:
    """Identity of the calibration of some instruments in a CALDB: the digests of their index files.

    Parameters
    ----------
    environ
        With ``CALDB`` and, unless the configuration is in its usual place, ``CALDBCONFIG``.
    instruments
        Pairs of mission and instrument, as in the configuration; case does not matter.

    Raises
    ------
    ProgramError
        There is no CALDB on this machine, or it does not have one of the instruments.
    """
    config, indices = caldb_indices(environ)
    wanted = [(mission.upper(), instrument.upper()) for mission, instrument in instruments]
    if missing := sorted(set(wanted) - set(indices)):
        raise _without(f"{config} has no calibration of {' '.join(missing[0])}")
    return _of_pairs(indices, set(wanted))


def missions_identity(environ: Mapping[str, str], missions: Collection[str]) -> str:
    """Identity of the calibration of some missions in a CALDB, as far as it has any of them.

    Parameters
    ----------
    environ
        As for `caldb_identity`.
    missions
        As the configuration names them; in any case of letters.

    Raises
    ------
    ProgramError
        There is no CALDB on this machine, or it has none of the missions.
    """
    config, indices = caldb_indices(environ)
    wanted = {pair for pair in indices if pair[0] in {mission.upper() for mission in missions}}
    there = {pair for pair in wanted if indices[pair].is_file()}
    if not there:
        raise _without(f"{config} has no calibration of {', '.join(missions)}")
    return _of_pairs(indices, there)


def _of_pairs(indices: Mapping[tuple[str, str], Path], pairs: Collection[tuple[str, str]]) -> str:
    lines = []
    for pair in sorted(pairs):
        if not indices[pair].is_file():
            raise _without(f"the index {indices[pair]} does not exist")
        lines.append(f"{' '.join(pair)} {content_of(indices[pair])}".encode())
    return digest_lines(lines)


def caldb_indices(environ: Mapping[str, str]) -> tuple[Path, dict[tuple[str, str], Path]]:
    """The configuration of a CALDB, and the index files that it names, by mission and instrument.

    Raises
    ------
    ProgramError
        There is no CALDB on this machine.
    """
    root = environ.get("CALDB", "")
    if "://" in root:
        raise _without(f"CALDB is the remote {root[:200]}, so that its files may change at any time")
    config = Path(environ.get("CALDBCONFIG") or Path(root, "software/tools/caldb.config"))
    if not root or not config.is_file():
        raise _without("CALDB is not set, or its configuration does not exist")
    return config, _indices(config, Path(root))


def _indices(config: Path, root: Path) -> dict[tuple[str, str], Path]:
    """Index files by mission and instrument; lines of the configuration have these, a device, a directory, a file."""
    with open_plain(config.resolve(), limit=_MOST_CONFIG) as stream:
        lines = stream.read().decode("utf-8", "replace").splitlines()
    rows = [line.split() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return {(row[0].upper(), row[1].upper()): root / row[3] / row[4] for row in rows if len(row) >= 5}


def folder_identity(folder: Path) -> str:
    """Identity of all files of a directory, such as geomagnetic data.

    Raises
    ------
    ProgramError
        It does not exist, or is empty.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []
    if not files:
        raise _without(f"there are no calibration files in {folder}")
    return digest_lines(f"{path.relative_to(folder).as_posix()} {content_of(path)}".encode() for path in files)


def names_identity(folders: Iterable[Path], suffix: str) -> str:
    """Identity of calibration files whose names have the number of their issue: a name never changes its content.

    A thousand files are known in a moment: names and sizes count.

    Parameters
    ----------
    folders
        Where they are; of two files of one name the first counts.
    suffix
        The end of their names, in any case of letters, such as ``.ccf``.

    Raises
    ------
    ProgramError
        There are none.
    """
    there = tuple((folder, folder.stat().st_mtime_ns) for folder in folders if folder.is_dir())
    return _names_identity(there, suffix)


@cache
def _names_identity(folders: tuple[tuple[Path, int], ...], suffix: str) -> str:
    """The same of folders as they are: it is asked for every observation of an archive."""
    files = files_named([folder for folder, _ in folders], suffix)
    return digest_lines(f"{path.name} {path.stat().st_size}".encode() for path in files)


def files_named(folders: Sequence[Path], suffix: str) -> list[Path]:
    """The files of directories whose names end with a suffix, in the order of names.

    Parameters
    ----------
    folders
        Which exist; of two files of one name the first counts.
    suffix
        In any case of letters, such as ``.ccf``.

    Raises
    ------
    ProgramError
        There are none.
    """
    found: dict[str, Path] = {}
    for folder in folders:
        for path in folder.iterdir():
            if path.name.lower().endswith(suffix) and path.is_file():
                found.setdefault(path.name, path)
    if not found:
        places = ", ".join(map(str, folders)) or "any directory"
        raise _without(f"there are no calibration files (*{suffix}) in {places}")
    return [found[name] for name in sorted(found)]


def content_of(path: Path) -> str:
    """Digest of a file's content, read once as long as it does not change: every observation asks for it."""
    status = path.stat()
    return _content_of(path, status.st_mtime_ns, status.st_size, status.st_ino)


@lru_cache(maxsize=4096)
def _content_of(path: Path, *_: int) -> str:
    digest = hashlib.sha256()
    for block in _blocks(path):
        digest.update(block)
    return digest.hexdigest()


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            yield block


def digest_lines(lines: Iterable[bytes]) -> str:
    """The identity of calibration that some lines describe."""
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line + b"\n")
    return digest.hexdigest()[:_SHOWN]


def _without(why: str) -> ProgramError:
    return ProgramError(
        "calibration", why, remedy="install the calibration files on this machine, and set CALDB to them"
    )
