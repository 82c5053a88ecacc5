"""The frozen types that stages, the runner and backends share.

The runner knows no backend and no archive: it gets tasks and a function that
performs one, and keeps the ledger.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TextIO

__all__ = [
    "NO_INPUTS",
    "ExposureRow",
    "Input",
    "LedgerRow",
    "ProductFile",
    "Result",
    "StagePaths",
    "Task",
    "TaskWork",
    "canonical",
    "fingerprint_of",
    "fingerprint_text",
    "input_digest",
    "task_name",
]

Result = Literal["done", "failed", "skipped"]


def canonical(value: object) -> str:
    """One text for equal values: JSON with sorted keys and no spaces.

    Examples
    --------
    >>> canonical({"b": 1, "a": [2.0, "x"]})
    '{"a":[2.0,"x"],"b":1}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def fingerprint_of(step: str, obs_id: str, parts: Mapping[str, str]) -> str:
    """SHA-256 of everything that may influence the products of a task.

    Examples
    --------
    >>> len(fingerprint_of("clean", "0404910601", {"software": "native 1"}))
    64
    """
    return hashlib.sha256(fingerprint_text(step, obs_id, parts).encode()).hexdigest()


def fingerprint_text(step: str, obs_id: str, parts: Mapping[str, str]) -> str:
    """The text whose digest is `fingerprint_of`."""
    return canonical({"step": step, "obs_id": obs_id, **parts})


NO_INPUTS = hashlib.sha256(canonical([]).encode()).hexdigest()
"""Digest of the inputs of a task that reads no products."""


def input_digest(digests: Mapping[str, str]) -> str:
    """The digest of all inputs of a task, from those of the steps that it reads.

    Parameters
    ----------
    digests
        Step to the SHA-256 of its files as `canonical` lists of step, path and science digest, sorted.

    Examples
    --------
    >>> input_digest({}) == NO_INPUTS, input_digest({"clean": "5f"})
    (True, '5f')
    >>> len(input_digest({"clean": "5f", "sources": "6e"}))
    64
    """
    held = {step: digest for step, digest in digests.items() if digest != NO_INPUTS}
    if len(held) > 1:
        return hashlib.sha256(canonical(sorted(held.items())).encode()).hexdigest()
    return next(iter(held.values()), NO_INPUTS)


@dataclass(frozen=True)
class ProductFile:
    """A file that a task made, as recorded in the ledger.

    Parameters
    ----------
    path
        Relative to the observation's directory, with forward slashes.
    size, sha256
        Of the file's bytes.
    science
        Science digest; equals `sha256` for files that are not FITS.
    """

    path: str
    size: int
    sha256: str
    science: str


@dataclass(frozen=True)
class Input:
    """A file that a task reads: a product of an earlier step of the same observation."""

    step: str
    file: ProductFile


@dataclass(frozen=True)
class Task:
    """One step for one observation, or for one exposure of it.

    Parameters
    ----------
    mission, step, obs_id
        What is done to which observation.
    backend, version
        What performs it, at the version that ``software.toml`` locks.
    parameters
        Effective parameters (defaults and overrides) as `canonical` JSON.
    facts
        What the task uses from the selection's row, as `canonical` JSON.
    inputs
        The files it reads.
    calibration
        Identity of the calibration that it uses.
    origin
        How the observation is found, as `canonical` JSON.  Products do not depend on it:
        it is not part of the fingerprint.
    exposure
        Which exposure, such as ``PN-S003`` (`daxa.run.exposures`); '' for the whole observation.
    accepted
        The calibration that the archive has accepted for the step, as ``software.toml`` names it, with the date.  It
        is not part of the fingerprint: `calibration` says what it means for this observation.

    Examples
    --------
    >>> one = Task("xmm", "clean", "0404910601", "native", "1", "{}")
    >>> len(one.fingerprint), one.fingerprint == Task("xmm", "clean", "0404910601", "native", "2", "{}").fingerprint
    (64, False)
    """

    mission: str
    step: str
    obs_id: str
    backend: str
    version: str
    parameters: str = "{}"
    facts: str = "{}"
    inputs: tuple[Input, ...] = ()
    calibration: str = ""
    origin: str = "{}"
    exposure: str = ""
    accepted: str = ""

    @property
    def name(self) -> str:
        """The name of the task in logs and in scratch: its ObsID, and its exposure after an ``@``.

        Examples
        --------
        >>> Task("xmm", "clean", "0404910601", "sas", "1", exposure="PN-S003").name
        '0404910601@PN-S003'
        """
        return task_name(self.obs_id, self.exposure)

    @property
    def parts(self) -> dict[str, str]:
        """Digest or value of each part of the fingerprint, to say what changed."""
        steps = {item.step for item in self.inputs}
        return {
            "input": input_digest({step: self._digest_of(step) for step in steps}),
            "parameters": self.parameters,
            "selection": self.facts,
            "software": f"{self.backend} {self.version}",
            "calibration": self.calibration,
        }

    @property
    def fingerprint(self) -> str:
        """SHA-256 of everything that may influence the products."""
        return fingerprint_of(self.step, self.name, self.parts)

    def _digest_of(self, step: str) -> str:
        files = sorted((step, item.file.path, item.file.science) for item in self.inputs if item.step == step)
        return hashlib.sha256(canonical(files).encode()).hexdigest()


def task_name(obs_id: str, exposure: str = "") -> str:
    """The name of the task of an observation, or of one of its exposures; no ObsID contains an ``@``."""
    return f"{obs_id}@{exposure}" if exposure else obs_id


@dataclass(frozen=True)
class ExposureRow:
    """The outcome of one exposure, if a step has a task for each.

    Parameters
    ----------
    exposure
        Which, such as ``PN-S003``.
    outcome
        ``done`` or ``failed``.
    reason, fingerprint, parts
        As in `LedgerRow`.
    paths
        Those of the observation's files that it made, sorted.
    """

    exposure: str
    outcome: Result
    reason: str = ""
    fingerprint: str = ""
    parts: str = "{}"
    paths: tuple[str, ...] = ()


@dataclass(frozen=True)
class LedgerRow:
    """The outcome of one observation, as recorded in the ledger.

    Parameters
    ----------
    obs_id
        The observation.
    outcome
        ``done``, ``failed`` or ``skipped`` (an earlier step failed).  An observation with failed
        exposures counts as failed; it has the files of the others.
    reason
        '' if done, else a stable error code; never a text with paths or times.
    fingerprint
        That of the task with this outcome ('' if skipped).
    parts
        The task's `Task.parts`, each shortened to a digest of 16 digits, as `canonical` JSON.
    files
        What it made, sorted by path.
    measures
        What the task measured, as `canonical` JSON, '' if nothing: the content of its product
        of the kind ``measures``, for summaries without the products at hand.
    exposures
        The outcome of each exposure, sorted by name; empty for a step that processes whole observations.
    """

    obs_id: str
    outcome: Result
    reason: str = ""
    fingerprint: str = ""
    parts: str = "{}"
    files: tuple[ProductFile, ...] = ()
    measures: str = ""
    exposures: tuple[ExposureRow, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether there are products that a later step can start from."""
        return self.outcome == "done" or bool(self.files)

    @property
    def task_names(self) -> tuple[str, ...]:
        """Names of the tasks behind it, which are the names of their logs."""
        return tuple(task_name(self.obs_id, one.exposure) for one in self.exposures) or (self.obs_id,)


@dataclass(frozen=True)
class StagePaths:
    """The directories and files of a stage, all on one file system.

    Parameters
    ----------
    ledger
        The Parquet file.
    products
        Directory with one directory of products per observation.
    logs
        Directory with one log per task.
    scratch
        Directory for work in progress, which is emptied when a stage starts.
    journal
        Text file with the rows that are not yet in the ledger.
    lock
        File whose lock says that the stage runs.
    hashes
        Cache of file digests, keyed by size, times and inode.
    lookup
        Rows of the ledger by ObsID (`daxa.run.lookup`).
    """

    ledger: Path
    products: Path
    logs: Path
    scratch: Path
    journal: Path
    lock: Path
    hashes: Path
    lookup: Path


class TaskWork(Protocol):
    """Carries out one task in a worker process: a picklable callable.

    It writes products below `target` (an empty directory) and lines to `log`.
    It may also have ``modules(task)``, what it imports, and ``resources(task)``, what the task needs
    of the machine.  A `daxa.errors.DaxaError` becomes a failed row, unless the environment is at fault: then
    the stage stops.  Any other exception is a bug: a failed row ``bug.<Type>`` with
    the traceback in the log.
    """

    def __call__(self, task: Task, target: Path, log: TextIO) -> None: ...
