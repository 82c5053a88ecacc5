"""What happens to the files of a task after it has ended: checked, digested, described, moved into place.

Everything up to the move happens in scratch, on the same file system; the move is one
rename, so a products directory never holds half an observation.  Only what daxa put there is
removed: a file that neither ledger nor manifest names belongs to the user, and stays.
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
"""Endings of the names of products that hold measurements: at most one per task."""
_NAMED = 5
_OF_EXPOSURE = ("exposure", "outcome", "reason", "fingerprint")
_OWN_LEVELS = 3
"""Levels of our own paths, as of ``data/<mission>/<step>`` and ``daxa/scratch/<stage>``: the archive itself may
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
        There is no product, or there is something that cannot be one.
    """
    found = find_files(directory)
    if not found:
        raise DataError(
            "no-products",
            f"{task.mission} {task.name}: the step {task.step} made no products",
            remedy="read the log of the task; the observation may hold no usable data",
        )
    if MANIFEST in found:
        raise DataError(
            "product-name",
            f"{task.mission} {task.name}: a product is named {MANIFEST}, which daxa reserves for itself",
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

    '' if it made none that can be kept.
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
        The task.
    directory
        Where its products are.
    files
        The products.
    exposures
        The outcome of each exposure, if each had its own task.
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
    """Keep the former bytes of a product whose science content has not changed.

    Parameters
    ----------
    task
        The task that ended.
    delivered
        The new products.
    row
        The ledger's row for the former ones.
    new, old
        Directories of the new products and of the former ones.
    hashes
        Tells whether a former file is unchanged.

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
    """Put a file under another name, replacing what is there: as a hard link, or as a copy if links are impossible."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".former")
    try:
        os.link(source, part)
    except OSError:
        # File systems without hard links, or with too many of them.
        shutil.copy2(source, part)
    part.replace(target)


def refuse_strays(products: Path, rows: Mapping[str, LedgerRow | None]) -> None:
    """Refuse to replace or remove directories that hold anything that daxa did not put there.

    Parameters
    ----------
    products
        The products directory of the stage.
    rows
        Names in it, each with its row in the ledger.

    Raises
    ------
    ArchiveError
        There are such files; the first ones are listed.
    """
    found = (products / name / path for name, row in rows.items() for path in find_strays(products / name, row))
    if first := list(islice(found, _NAMED + 1)):
        more = " and others" if len(first) > _NAMED else ""
        raise ArchiveError(
            "stray-files",
            f"{', '.join(map(str, first[:_NAMED]))}{more}: daxa did not write this and would have to remove it",
            remedy=f"move it out of data/, for instance `mv {first[0]} ~`, then try again; nothing has been changed",
        )


def move_into_place(new: Path, target: Path, scratch: Path, row: LedgerRow | None) -> None:
    """Move a finished directory into place, after removing what was there, for which the ledger has `row`."""
    _check_levels(target.parent)
    target.parent.mkdir(parents=True, exist_ok=True)
    former = _set_aside(target, scratch, row)
    new.rename(target)
    if former:
        _remove(former)


def remove_products(target: Path, scratch: Path, row: LedgerRow | None) -> None:
    """Remove an observation's products, in what looks like a single step from outside.

    Raises
    ------
    ArchiveError
        There is a file that daxa did not put there.
    UntrustedArchive
        The path leads through a link.
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
    """Check, at the moment of use, that the path to one of our directories contains no link."""
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
    """Remove a directory or file; of a link, never its target."""
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
