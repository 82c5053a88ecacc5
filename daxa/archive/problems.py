"""Something in a file of an archive that its owner wrote wrongly: where, what, and what to write instead."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from daxa.errors import ConfigError

__all__ = ["Problem", "refuse", "sound", "table_name"]

_Value = TypeVar("_Value")

_SHOWN = 20
_BARE = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


@dataclass(frozen=True)
class Problem:
    """What is wrong at one place of one file.

    Parameters
    ----------
    file
        Its whole path.
    table, key
        Where: the table's name without brackets ('' outside of all tables), and the key in it ('' for the
        table itself).
    message
        What is wrong, without the place.
    remedy
        What to write or to run.
    name
        The word of the error's code.
    """

    file: Path
    table: str
    key: str
    message: str
    remedy: str
    name: str = "invalid"

    @property
    def place(self) -> str:
        """Table and key, as ``[clean] flare_sigma``."""
        return " ".join(part for part in (f"[{self.table}]" if self.table else "", self.key) if part)

    @property
    def text(self) -> str:
        """Place and message on one line."""
        return f"{self.file}: {f'{self.place}: ' if self.place else ''}{self.message}"


def refuse(problems: Sequence[Problem]) -> None:
    """Raise one error that reports all problems; do nothing if there are none.

    Raises
    ------
    ConfigError
        Its message names the first few, and how many there are.
    """
    if not problems:
        return
    first, more = problems[0], len(problems) - _SHOWN
    texts = [problem.text for problem in problems[:_SHOWN]]
    if len(problems) == 1:
        raise ConfigError(first.name, first.text, remedy=first.remedy)
    counted = "\n  ".join([f"{len(problems)} problems:", *texts, *([f"and {more} more"] if more > 0 else [])])
    names = {problem.name for problem in problems}
    raise ConfigError(
        first.name if len(names) == 1 else "parameters",
        counted,
        remedy="`daxa check` shows how to correct each of them",
    )


def sound(judged: tuple[_Value | None, Sequence[Problem]]) -> _Value:
    """The value, if nothing is wrong with it.

    Parameters
    ----------
    judged
        A value and what is wrong with it; a value that is None has problems.

    Raises
    ------
    ConfigError
        As of `refuse`.
    """
    value, problems = judged
    refuse(problems)
    if value is None:
        raise AssertionError("nothing is there, and no problem says why")
    return value


def table_name(*parts: str) -> str:
    """The name of a table as TOML gives it, without brackets.

    Examples
    --------
    >>> table_name("clean", "obs", "0404910601"), table_name("clean")
    ('clean.obs."0404910601"', 'clean')
    """
    first, *rest = parts
    bare = [part if _BARE.fullmatch(part) and not part[0].isdigit() else f'"{part}"' for part in rest]
    return ".".join([first, *bare])
