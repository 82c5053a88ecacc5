"""What has changed since a task was done, for people: which parameter, which software, which earlier step.

The ledger keeps digests of what a task was done with.  The values themselves are in the
task's ``manifest.json``, and parameters also in ``dvc.lock``; a value is trusted if its
digest is the recorded one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from daxa.archive.layout import Layout
from daxa.archive.task_parts import parameters_of
from daxa.errors import DataError
from daxa.files import read_plain
from daxa.run.hashes import MANIFEST
from daxa.run.plan import TaskLike
from daxa.run.rows import shorten
from daxa.run.task import LedgerRow, canonical
from daxa.stages.recipe import Recipe

__all__ = ["ChangeReasons"]

_LARGEST = 1 << 20
_DIGEST = re.compile(r" [0-9a-f]{16,64}\b", re.ASCII)


class ChangeReasons:
    """Explains what changed in the tasks of one stage; looks up each former value once.

    Parameters
    ----------
    layout
        The archive.
    recipe
        What the stage should do now.
    """

    def __init__(self, layout: Layout, recipe: Recipe) -> None:
        self._layout = layout
        self._recipe = recipe
        self._former: dict[tuple[str, str], str] = {}

    def explain(self, row: LedgerRow, wanted: TaskLike, reason: str, before: Sequence[str]) -> str:
        """Details of the reason in the plan.

        Parameters
        ----------
        row
            The row of the ledger.
        wanted
            The requested task.
        reason
            Of `daxa.run.plan.reason_to_run`.
        before
            The steps that it needs.

        Returns
        -------
        str
            Such as ``parameters changed: flare_sigma``; '' if nothing more is known.
        """
        part = reason.removesuffix(" changed")
        if part == "input":
            return f"{reason}: {' or '.join(before)}" if before else reason
        if part == "selection":
            return f"{reason}: instruments"
        former = self._formerly(row, part) if part in ("parameters", "software", "calibration") else ""
        if part == "software":
            return f"{reason}: {former or 'another version'} -> {wanted.parts[part]}"
        if part == "calibration":
            # Digests differ from observation to observation: with them, each would be a group of its own.
            before_it, now = (_DIGEST.sub("", text) for text in (former, wanted.parts[part]))
            return f"{reason}: {before_it or 'another one'} -> {now or 'none'}" if before_it != now else reason
        if part != "parameters":
            return ""
        names = _differing(former, wanted.parts[part]) if former else ()
        return f"{reason}: {', '.join(names)}" if names else reason

    def _formerly(self, row: LedgerRow, part: str) -> str:
        """The text of a part of the fingerprint when the task was done, '' where it cannot be found."""
        digest = json.loads(row.parts).get(part, "")
        if (part, digest) not in self._former:
            candidates = self._candidates(row, part)
            known = (text for text in candidates if json.loads(shorten({part: text}))[part] == digest)
            self._former[part, digest] = next(known, "")
        return self._former[part, digest]

    def _candidates(self, row: LedgerRow, part: str) -> Iterator[str]:
        directory = self._layout.products(self._recipe.mission, self._recipe.step.name) / row.obs_id
        manifest = _read_json(directory / MANIFEST)
        if part == "software":
            yield f"{manifest.get('backend')} {manifest.get('version')}"
        elif part == "calibration":
            yield str(manifest.get("calibration"))
        else:
            yield canonical(manifest.get("parameters"))
            yield from self._parameters_of_lock(row.obs_id)

    def _parameters_of_lock(self, obs_id: str) -> Iterator[str]:
        try:
            step = self._recipe.step.name
            yield parameters_of({step: self._lock}, step, obs_id)
        except (KeyError, TypeError, ValueError, AttributeError):
            return

    @cached_property
    def _lock(self) -> Mapping[str, Any]:
        """The step's table of parameters as DVC recorded it when the stage last ended."""
        from ruamel.yaml import YAML
        from ruamel.yaml.error import YAMLError

        mission, step = self._recipe.mission, self._recipe.step.name
        try:
            lock = YAML(typ="safe").load(self._layout.lock.read_text(encoding="utf-8"))
            return lock["stages"][f"{step}-{mission}"]["params"][f"params/{mission}.toml"][step]
        except (OSError, ValueError, KeyError, TypeError, RecursionError, YAMLError):
            return {}


def _differing(former: str, now: str) -> list[str]:
    before, after = json.loads(former), json.loads(now)
    return sorted(name for name in {*before, *after} if before.get(name) != after.get(name))


def _read_json(path: Path) -> dict[str, Any]:
    """A small JSON object that somebody else may have written; empty if it is not valid."""
    try:
        value = json.loads(read_plain(path, limit=_LARGEST))
    except (OSError, DataError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
