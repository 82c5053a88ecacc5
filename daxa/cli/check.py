"""``daxa check``: whether what you wrote into the archive's files can be used."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Annotated

import typer

from daxa.cli.show import show_json, show_text
from daxa.errors import ConfigError
from daxa.naming import number_of

__all__ = ["check"]

EXAMPLES = ("daxa check", "daxa check --json")


def check(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object: the files, and the problems in them.")
    ] = False,
) -> None:
    """Check daxa.toml, params/*.toml and software.toml: every table, key, value, unit, region, ObsID and version.

    All problems are shown at once, each with its location and a correction. Nothing is run or changed.
    `daxa run`, `daxa release` and every stage of the pipeline begin with the same check.
    """
    import daxa
    from daxa.archive.check import checked_files, find_problems
    from daxa.archive.layout import Layout

    try:
        layout = daxa.open().layout
    except ConfigError:
        # What is wrong with daxa.toml is shown together with all else.
        layout = Layout(Path.cwd())
    problems = find_problems(layout)
    files = [_name(layout.root, file) for file in checked_files(layout)]
    if as_json:
        records = [
            {
                "file": _name(layout.root, one.file),
                "table": one.table,
                "key": one.key,
                "code": f"{ConfigError.family}.{one.name}",
                "message": one.message,
                "remedy": one.remedy,
            }
            for one in problems
        ]
        show_json([{"files": files, "problems": records}])
    elif not problems:
        show_text(f"{', '.join(files)}\n{len(files)} files are valid")
    for file, found in [] if as_json else groupby(problems, key=lambda one: one.file):
        show_text(_name(layout.root, file))
        for one in found:
            show_text(f"  {one.place + ': ' if one.place else ''}{one.message}\n    -> {one.remedy}")
    if problems:
        counted = number_of(len(problems), "problem")
        raise ConfigError(
            "parameters",
            f"{counted} in {len({one.file for one in problems})} of {len(files)} files of {layout.root}",
            remedy="correct these, then run `daxa check` again",
        )


def _name(root: Path, file: Path) -> str:
    return file.relative_to(root).as_posix()
