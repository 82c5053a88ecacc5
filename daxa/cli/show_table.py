"""``daxa show-table``: what ``git diff`` calls to show a table as rows."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from daxa.cli.show import show_text
from daxa.errors import DataError

__all__ = ["show_table"]

EXAMPLES = ("daxa show-table ledger/xmm-clean.parquet",)


def show_table(file: Annotated[Path, typer.Argument(help="A Parquet file.")]) -> None:
    """Write a Parquet table as text, the same for the same rows.

    `git diff` calls this for the tables of an archive; `daxa init` and `daxa doctor --fix` set that up.
    """
    from daxa.parquet_text import table_lines

    if file.exists() and not file.is_file():
        # Elsewhere such a thing is in the way, and is removed; here it was only named.
        raise DataError("not-a-file", f"{file} is not a regular file", remedy="name a Parquet file")
    lines = table_lines(file)
    try:
        while some := list(islice(lines, 10_000)):
            show_text("\n".join(some))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise DataError(
            "absent", f"{file} cannot be read: {(error.strerror or '').lower()}", remedy="name a Parquet file"
        ) from None
