"""Make ``git diff`` show tables as rows, by a command in this repository's own configuration.

``.gitattributes``, which every clone has, names a driver for tables.  Its command is read only from the configuration
of the repository, which no clone and no pull brings.
"""

from __future__ import annotations

import shlex
import sys

from daxa.archive import git
from daxa.archive.layout import Layout

__all__ = ["DRIVER", "set_table_diff", "shows_tables"]

DRIVER = "daxa-table"
"""The name in ``.gitattributes``."""


def _settings() -> dict[str, str]:
    """Settings of Git; without daxa, a table is shown as its checksum, so that ``git diff`` still works."""
    # With -P nothing in the current directory can take the place of a package.
    program = f"{shlex.quote(sys.executable)} -P -m daxa show-table"
    return {f"diff.{DRIVER}.textconv": f'f() {{ {program} "$1" 2>/dev/null || cksum <"$1"; }}; f'}


def shows_tables(layout: Layout) -> bool:
    """Whether ``git diff`` shows the tables of this repository with this daxa."""
    return all(git.local_setting(layout.root, key) == value for key, value in _settings().items())


def set_table_diff(layout: Layout) -> bool:
    """Make ``git diff`` show the tables of this repository; False if it already did."""
    if shows_tables(layout):
        return False
    for key, value in _settings().items():
        git.plumb(layout.root, "config", "--local", "--replace-all", key, value)
    return True
