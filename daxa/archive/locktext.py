"""Change single stages in ``dvc.lock``: take out those that ``dvc.yaml`` no longer has, or spell a command anew."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from daxa.errors import DataError

__all__ = ["with_commands", "without_stages"]


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


def with_commands(text: str, before: str, after: str) -> str:
    r"""The text of a ``dvc.lock`` with the commands of another pipeline, where nothing but a command differs.

    Other stages stay as they are, so that DVC runs them.

    Parameters
    ----------
    text
        As DVC wrote it.
    before, after
        The ``dvc.yaml`` that it was written with, and the other one.

    Raises
    ------
    DataError
        One of the texts is not what DVC reads.

    Examples
    --------
    >>> lock = "schema: '2.0'\nstages:\n  a-xmm:\n    cmd: a\n    deps: []\n"
    >>> print(with_commands(lock, "stages: {a-xmm: {cmd: a}}", "stages: {a-xmm: {cmd: exec a}}").rstrip())
    schema: '2.0'
    stages:
      a-xmm:
        cmd: exec a
        deps: []
    """
    expected, old, new = _load(text), _load(before)["stages"], _load(after)["stages"]
    written = text
    for name, stage in new.items():
        was = old.get(name)
        if was is None or name not in expected["stages"] or was["cmd"] == stage["cmd"]:
            continue
        if {**was, "cmd": ""} == {**stage, "cmd": ""} and expected["stages"][name]["cmd"] == was["cmd"]:
            expected["stages"][name] = {**expected["stages"][name], "cmd": stage["cmd"]}
            head = re.compile(rf"^  {re.escape(name)}:\n    cmd: ", re.MULTILINE)
            if found := head.search(written):
                end = written.find("\n", found.end())
                written = f"{written[: found.end()]}{stage['cmd']}{written[end:]}"
    if _load(written) != expected:
        raise _damaged("the commands of single stages cannot be distinguished")
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
