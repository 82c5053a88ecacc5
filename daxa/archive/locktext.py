"""Take stages out of ``dvc.lock``: DVC itself keeps those that ``dvc.yaml`` no longer has."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from daxa.errors import DataError

__all__ = ["without_stages"]


def without_stages(text: str, stages: Collection[str]) -> str:
    r"""The text of a ``dvc.lock`` without some stages, all else byte for byte.

    Parameters
    ----------
    text
        As DVC wrote it.
    stages
        Names, of which some may not be there.

    Raises
    ------
    DataError
        The text is not what DVC writes.

    Examples
    --------
    >>> lock = "schema: '2.0'\nstages:\n  a-xmm:\n    cmd: a\n  b-xmm:\n    cmd: b\n"
    >>> print(without_stages(lock, ["a-xmm"]).rstrip())
    schema: '2.0'
    stages:
      b-xmm:
        cmd: b
    """
    expected = _load(text)
    written = text
    for stage in stages:
        expected["stages"].pop(stage, None)
        written = re.sub(rf"(?m)^  {re.escape(stage)}:\n(?:(?:    .*)?\n)*", "", written)
    if not expected["stages"]:
        written = re.sub(r"(?m)^stages:[ ]*$", "stages: {}", written)
    if _load(written) != expected:
        raise _damaged("the entries of single stages cannot be distinguished")
    return written


def _load(text: str) -> dict[str, Any]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        lock = YAML(typ="safe", pure=True).load(text)
        return {**lock, "stages": dict(lock["stages"])}
    except (YAMLError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise _damaged(str(error)[:100]) from None


def _damaged(why: str) -> DataError:
    return DataError(
        "pipeline-file",
        f"dvc.lock is not what DVC writes: {why}",
        remedy="restore it: `git checkout -- dvc.lock`, then `daxa run`",
    )
