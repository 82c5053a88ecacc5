"""Ledger rows as plain values, and what a row must look like before it is trusted.

The ledger (Parquet) and the journal (JSON lines) hold the same rows; both may come
from a stranger's archive, so ObsIDs and paths are checked before they become paths.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from typing import Any, Literal, TypeGuard, get_args

from daxa.errors import DataError
from daxa.missions.spec import SAFE_ID
from daxa.run.task import ExposureRow, LedgerRow, ProductFile, canonical

__all__ = [
    "MOST_MEASURED",
    "OUTCOMES",
    "PARTS",
    "Part",
    "check_obs_id",
    "check_path",
    "is_reason",
    "row_as_plain",
    "row_from_plain",
    "shorten",
]

Part = Literal["parameters", "input", "software", "calibration", "selection"]

PARTS: tuple[Part, ...] = get_args(Part)
"""The parts of a fingerprint, in the order in which changes are reported."""

OUTCOMES = ("done", "failed", "skipped")
"""How a task can end."""

MOST_MEASURED = 1 << 16
"""Most characters of what a task measured."""

_HEX = re.compile(r"[0-9a-f]{64}")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\\]")
_PIPELINE = ("dvc.yaml", "dvc.lock")
_ORDINARY = re.compile(r"[A-Za-z0-9_][\w.+-]*(?:/[A-Za-z0-9_][\w.+-]*)*", re.ASCII)
_SHORT = 255


def check_obs_id(obs_id: object) -> str:
    """Return the ObsID if it can safely name a directory.

    Raises
    ------
    DataError
        It is not text, or not a form of ObsID that any archive uses.

    Examples
    --------
    >>> check_obs_id("0093640901")
    '0093640901'
    """
    if not isinstance(obs_id, str) or not SAFE_ID.fullmatch(obs_id):
        raise DataError("obs-id", f"{obs_id!r} cannot be an ObsID", remedy="remove the row that holds it")
    return obs_id


def check_path(path: object) -> str:
    """Return a product's path if it stays below its directory and is not hidden.

    Hidden names and DVC's own are refused: Git and DVC would act on them.

    Raises
    ------
    DataError
        The path is absolute, leads upward, is hidden, or has characters that no product has.

    Examples
    --------
    >>> check_path("PPS/P0404910601M1S001MIEVLI0000.FTZ")
    'PPS/P0404910601M1S001MIEVLI0000.FTZ'
    >>> check_path("../other/file.fits")
    Traceback (most recent call last):
    ...
    daxa.errors.DataError: '../other/file.fits' cannot be the path of a product
      -> rename or remove the file
    """
    if not isinstance(path, str):
        raise _unusable(path)
    acting = path.rpartition("/")[2] in _PIPELINE or path.endswith(".dvc")
    # Nearly every path; there may be a hundred thousand of them.
    if len(path) <= _SHORT and _ORDINARY.fullmatch(path) and not acting:
        return path
    if path and not _UNPRINTABLE.search(path) and len(path.encode(errors="replace")) <= 1024:
        parts = path.split("/")
        hidden = any(part[:1] in ("", ".", "-") or len(part.encode(errors="replace")) > _SHORT for part in parts)
        if not hidden and not acting and path.isprintable():
            return path
    raise _unusable(path)


def _unusable(path: object) -> DataError:
    return DataError("product-path", f"{path!r} cannot be the path of a product", remedy="rename or remove the file")


def is_reason(value: object) -> TypeGuard[str]:
    r"""Whether a value can be the reason of an outcome: a short text that can be shown.

    Examples
    --------
    >>> is_reason("data.no-events"), is_reason("\x1b[2J")
    (True, False)
    """
    return isinstance(value, str) and len(value) <= 200 and value.isprintable()


def shorten(parts: Mapping[str, str]) -> str:
    """The parts of a fingerprint as the ledger keeps them: 16 hexadecimal digits of SHA-256 each.

    Examples
    --------
    >>> shorten({"software": "native 1"})
    '{"software":"3a8f36e69d8daf7e"}'
    """
    return canonical({name: hashlib.sha256(text.encode()).hexdigest()[:16] for name, text in parts.items()})


def row_as_plain(row: LedgerRow) -> dict[str, Any]:
    """The row as lists, dictionaries, texts and integers, without measures and exposures if there are none."""
    plain = {
        "obs_id": row.obs_id,
        "outcome": row.outcome,
        "reason": row.reason,
        "fingerprint": row.fingerprint,
        "parts": row.parts,
        "files": [
            {"path": file.path, "size": file.size, "sha256": file.sha256, "science": file.science} for file in row.files
        ],
    }
    if row.measures:
        plain["measures"] = row.measures
    if row.exposures:
        plain["exposures"] = [vars(one) | {"paths": list(one.paths)} for one in row.exposures]
    return plain


def row_from_plain(value: object) -> LedgerRow:
    """The row that `row_as_plain` gave, with every value checked.

    Raises
    ------
    DataError
        The value is not a row, or holds an ObsID, path or digest that is not valid.

    Examples
    --------
    >>> row = LedgerRow("00123", "failed", "data.no-events")
    >>> row_from_plain(row_as_plain(row)) == row
    True
    """
    if not isinstance(value, Mapping):
        raise _damaged("a row that is not a mapping")
    obs_id = check_obs_id(value.get("obs_id"))
    outcome, reason, fingerprint = (value.get(name) for name in ("outcome", "reason", "fingerprint"))
    if outcome not in OUTCOMES:
        raise _damaged(f"an outcome {outcome!r} for {obs_id}")
    if not is_reason(reason):
        raise _damaged(f"a reason for {obs_id} that is not a code")
    if fingerprint != "" and not _is_digest(fingerprint):
        raise _damaged(f"a fingerprint for {obs_id} that is not a digest")
    files = value.get("files")
    if not isinstance(files, list):
        raise _damaged(f"no list of files for {obs_id}")
    found = tuple(_file(obs_id, item) for item in files)
    if [file.path for file in found] != sorted({file.path for file in found}):
        raise _damaged(f"files of {obs_id} that are not in order")
    parts, measures = _parts(obs_id, value.get("parts")), _measures(obs_id, value.get("measures", ""))
    exposures = _exposures(obs_id, value.get("exposures", []), [file.path for file in found])
    return LedgerRow(obs_id, outcome, reason, fingerprint, parts, found, measures, exposures)


def _exposures(obs_id: str, values: object, paths: Collection[str]) -> tuple[ExposureRow, ...]:
    if not isinstance(values, list):
        raise _damaged(f"exposures of {obs_id} that are not a list")
    if not values:
        return ()
    rows = tuple(_exposure(obs_id, value) for value in values)
    if [row.exposure for row in rows] != sorted({row.exposure for row in rows}):
        raise _damaged(f"exposures of {obs_id} that are not in order")
    named = [path for row in rows for path in row.paths]
    if len(set(named)) != len(named) or not set(named) <= set(paths):
        raise _damaged(f"exposures of {obs_id} with files that are not theirs")
    return rows


def _exposure(obs_id: str, value: object) -> ExposureRow:
    if not isinstance(value, Mapping):
        raise _damaged(f"an exposure of {obs_id} that cannot be read")
    exposure, outcome, reason, fingerprint, paths = (
        value.get(name) for name in ("exposure", "outcome", "reason", "fingerprint", "paths")
    )
    if not isinstance(exposure, str) or not SAFE_ID.fullmatch(exposure) or outcome not in ("done", "failed"):
        raise _damaged(f"an exposure of {obs_id} without a name or an outcome")
    if not is_reason(reason) or not isinstance(fingerprint, str) or not _HEX.fullmatch(fingerprint):
        raise _damaged(f"an exposure of {obs_id} without a reason or a fingerprint")
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths) or paths != sorted(paths):
        raise _damaged(f"an exposure of {obs_id} without its files")
    return ExposureRow(exposure, outcome, str(reason), fingerprint, _parts(obs_id, value.get("parts")), tuple(paths))


def _file(obs_id: str, value: object) -> ProductFile:
    if not isinstance(value, Mapping):
        raise _damaged(f"a file of {obs_id} that is not a mapping")
    size, sha256, science = value.get("size"), value.get("sha256"), value.get("science")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise _damaged(f"a file of {obs_id} without a size")
    if not (_is_digest(sha256) and _is_digest(science)):
        raise _damaged(f"a file of {obs_id} without digests")
    return ProductFile(check_path(value.get("path")), size, sha256, science)


def _is_digest(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and bool(_HEX.fullmatch(value))


def _parts(obs_id: str, text: object) -> str:
    try:
        parts = json.loads(text) if isinstance(text, str) else None
    except ValueError:
        parts = None
    if not isinstance(parts, dict) or not all(isinstance(item, str) for item in parts.values()):
        raise _damaged(f"parts of the fingerprint of {obs_id} that cannot be read")
    return str(text)


def _measures(obs_id: str, text: object) -> str:
    try:
        if text == "" or (isinstance(text, str) and len(text) <= MOST_MEASURED and canonical(json.loads(text)) == text):
            return str(text)
    except (ValueError, RecursionError):
        pass
    raise _damaged(f"measures of {obs_id} that cannot be read")


def _damaged(what: str) -> DataError:
    return DataError("ledger", f"the ledger holds {what}", remedy="restore the ledger from Git and run the stage again")
