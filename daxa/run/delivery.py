"""What happens to the files of a task after it ended: checked, digested, described, moved into place.

Everything up to the move happens in scratch, on the same file system; the move is one
rename, so a products directory never holds half of an observation.  What goes away is what
daxa put there: a file that neither ledger nor manifest names is a person's, and stays.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path

from daxa.errors import ArchiveError, DataError, UntrustedArchive
from daxa.run.equality import file_digests
from daxa.run.exposures import check_owner
from daxa.run.hashes import MANIFEST, HashCache, Stamp, find_files, find_strays, stamp_of
from daxa.run.rows import MOST_MEASURED
from daxa.run.task import ExposureRow, LedgerRow, ProductFile, Task, canonical

__all__ = [
    "clear",
    "collect_products",
    "discard",
    "keep_equal_bytes",
    "move_into_place",
    "read_measures",
    "refuse_strays",
    "remove_products",
    "take_file",
    "write_manifest",
]

_MEASURES = ("-measures.json", "-search.json")
"""Ends of the names of products that say what was measured: at most one of a task."""
_NAMED = 5
_OF_EXPOSURE = ("exposure", "outcome", "reason", "fingerprint")
_OWN_LEVELS = 3
"""Levels of a path of ours, as of ``data/<mission>/<step>`` and ``daxa/scratch/<stage>``: the archive itself may
be reached through a link."""

Delivered = list[tuple[ProductFile, Stamp]]


def collect_products(task: Task, directory: Path) -> Delivered:
    """Check and digest the files that a task wrote, and write their manifest.

    Returns
    -------
    list of (ProductFile, Stamp)
        Sorted by path, the manifest among them.

    Raises
    ------
    DataError
        There is no product, or something that may not become one.
    """
    found = find_files(directory)
    if not found:
        raise DataError(
            "no-products",
            f"{task.mission} {task.name}: the step {task.step} ended without any product",
            remedy="read the log of the task; the observation may hold no usable data",
        )
    if MANIFEST in found:
        raise DataError(
            "product-name",
            f"{task.mission} {task.name}: a product is called {MANIFEST}, a name that daxa keeps for itself",
            remedy="give the product another name",
        )
    for path in found:
        check_owner(task, path)
    delivered = [_digest(directory, path) for path in found]
    manifest = write_manifest(task, directory, [file for file, _ in delivered])
    return _in_order([*delivered, manifest])


def _in_order(delivered: Delivered) -> Delivered:
    return sorted(delivered, key=lambda item: item[0].path)


def _digest(directory: Path, path: str) -> tuple[ProductFile, Stamp]:
    file = directory / path
    before = stamp_of(file.lstat())
    product = file_digests(file, path)
    if stamp_of(file.lstat()) != before:
        raise DataError("product-changing", f"{path} changed while it was read", remedy="run the stage again")
    return product, before


def read_measures(directory: Path, files: Iterable[ProductFile]) -> str:
    """What a task measured, as its product ``...-measures.json`` (of a search: ``...-search.json``) says.

    '' where it made none that can be kept.
    """
    for file in files:
        if file.path.endswith(_MEASURES) and file.size <= MOST_MEASURED:
            try:
                return canonical(json.loads((directory / file.path).read_text(encoding="ascii")))
            except (ValueError, RecursionError):
                return ""
    return ""


def write_manifest(
    task: Task, directory: Path, files: Iterable[ProductFile], exposures: Iterable[ExposureRow] = ()
) -> tuple[ProductFile, Stamp]:
    """Write ``manifest.json``: the task, its inputs and its products, without any time or place.

    Parameters
    ----------
    task
        What was done.
    directory
        Where its products are.
    files
        These.
    exposures
        What became of each exposure, where each had a task of its own.
    """
    value = {
        "mission": task.mission,
        "step": task.step,
        "obs_id": task.obs_id,
        "backend": task.backend,
        "version": task.version,
        "parameters": json.loads(task.parameters),
        "calibration": task.calibration,
        "fingerprint": task.fingerprint,
        "inputs": sorted(
            ({"step": item.step, "path": item.file.path, "science": item.file.science} for item in task.inputs),
            key=canonical,
        ),
        "files": [
            {"path": file.path, "size": file.size, "sha256": file.sha256, "science": file.science} for file in files
        ],
    }
    if of_exposures := [{name: getattr(row, name) for name in _OF_EXPOSURE} for row in exposures]:
        value["exposures"] = of_exposures
    path = directory / MANIFEST
    path.write_text(canonical(value) + "\n", encoding="utf-8")
    return _digest(directory, MANIFEST)


def keep_equal_bytes(
    task: Task, delivered: Delivered, row: LedgerRow | None, *, new: Path, old: Path, hashes: HashCache
) -> Delivered:
    """Give a product its former bytes where the former file says the same.

    Parameters
    ----------
    task
        The task that ended.
    delivered
        The new products.
    row
        What the ledger says of the former ones.
    new, old
        Directories of the new products and of the former ones.
    hashes
        To make sure that a former file is still what it was.

    Returns
    -------
    list of (ProductFile, Stamp)
        What `new` holds afterwards.
    """
    former = {file.path: file for file in row.files} if row else {}
    result, changed = [], False
    for product, stamp in delivered:
        before = former.get(product.path)
        if before and before.sha256 != product.sha256 and before.science == product.science:
            source = old / product.path
            if not source.is_symlink() and source.is_file() and hashes.sha256(source) == before.sha256:
                take_file(source, new / product.path)
                result.append((before, stamp_of((new / product.path).lstat())))
                changed = True
                continue
        result.append((product, stamp))
    if not changed:
        return delivered
    result = [item for item in result if item[0].path != MANIFEST]
    return _in_order([*result, write_manifest(task, new, [file for file, _ in result])])


def take_file(source: Path, target: Path) -> None:
    """Give a file another name, in place of what has it: as a hard link, or as a copy where there are none."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".former")
    try:
        os.link(source, part)
    except OSError:
        # File systems without hard links, or with too many of them.
        shutil.copy2(source, part)
    part.replace(target)


def refuse_strays(products: Path, rows: Mapping[str, LedgerRow | None]) -> None:
    """Refuse to replace or remove directories that hold anything which daxa did not put there.

    Parameters
    ----------
    products
        The products directory of the stage.
    rows
        Names in it, each with the row that the ledger has of it.

    Raises
    ------
    ArchiveError
        There are such files; the first ones are named.
    """
    found = (products / name / path for name, row in rows.items() for path in find_strays(products / name, row))
    if first := list(islice(found, _NAMED + 1)):
        more = " and others" if len(first) > _NAMED else ""
        raise ArchiveError(
            "stray-files",
            f"{', '.join(map(str, first[:_NAMED]))}{more}: daxa did not write this, and would have to remove it",
            remedy=f"move it out of data/, for instance `mv {first[0]} ~`, then try again; nothing was changed",
        )


def move_into_place(new: Path, target: Path, scratch: Path, row: LedgerRow | None) -> None:
    """Move a finished directory to where it belongs; what was there, of which the ledger has `row`, goes away first."""
    _check_levels(target.parent)
    target.parent.mkdir(parents=True, exist_ok=True)
    former = _set_aside(target, scratch, row)
    new.rename(target)
    if former:
        _remove(former)


def remove_products(target: Path, scratch: Path, row: LedgerRow | None) -> None:
    """Remove an observation's products, in one step as far as anybody else can see.

    Raises
    ------
    ArchiveError
        There is a file that daxa did not put there.
    UntrustedArchive
        The way there leads through a link.
    """
    _check_levels(target.parent)
    if former := _set_aside(target, scratch, row):
        _remove(former)


def discard(path: Path) -> None:
    """Remove what a task left in scratch."""
    if os.path.lexists(path):
        _remove(path)


def _set_aside(target: Path, scratch: Path, row: LedgerRow | None) -> Path | None:
    if not os.path.lexists(target):
        return None
    refuse_strays(target.parent, {target.name: row})
    _check_levels(scratch)
    scratch.mkdir(parents=True, exist_ok=True)
    aside = next(path for i in range(1 << 30) if not os.path.lexists(path := scratch / f"+{i}"))
    target.rename(aside)
    return aside


def _check_levels(directory: Path) -> None:
    """See, at the moment of use, that a directory of ours is reached through no link."""
    for place in (directory, *directory.parents[: _OWN_LEVELS - 1]):
        try:
            mode = place.lstat().st_mode
        except FileNotFoundError:
            continue
        if not stat.S_ISDIR(mode):
            raise UntrustedArchive(
                "not-plain",
                f"{place} is not a plain directory",
                remedy=f"remove the link (`rm {place}`; its target stays), then try again",
            )


def _remove(path: Path) -> None:
    """Remove a directory or file; a link goes, never what it leads to."""
    _check_levels(path.parent)
    if path.is_symlink() or not path.is_dir():
        path.unlink()
        return
    try:
        shutil.rmtree(path)
    except PermissionError:
        for place, _, _ in os.walk(path):
            Path(place).chmod(0o700)
        shutil.rmtree(path)


def clear(scratch: Path) -> None:
    """Empty the scratch directory; it exists afterwards."""
    _check_levels(scratch)
    scratch.mkdir(parents=True, exist_ok=True)
    for entry in list(scratch.iterdir()):
        _remove(entry)
