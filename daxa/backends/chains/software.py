"""Where the software of a suite comes from: the only place that asks."""

from __future__ import annotations

import os
from functools import cache

from daxa.backends.tools.environment import Installation
from daxa.backends.tools.installed import find_release
from daxa.backends.tools.reading import read_suite

__all__ = ["find_installation"]


def find_installation(suite: str) -> Installation:
    """The software as it is set up in the environment of this process.

    Parameters
    ----------
    suite
        Name of its tables.

    Raises
    ------
    ProgramError
        It is not there.
    """
    known = read_suite(suite)
    names = ("PATH", "LANG", "PFILES", *known.environment)
    return _found(suite, tuple((name, os.environ[name]) for name in names if name in os.environ))


@cache
def _found(suite: str, environ: tuple[tuple[str, str], ...]) -> Installation:
    given = dict(environ)
    return Installation(read_suite(suite), find_release(read_suite(suite), given), given)
