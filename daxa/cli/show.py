"""The one place that writes to the terminal: tables, JSON lines, CSV, progress, errors.

Results go to standard output; progress and errors go to standard error, and it is not an error
when nobody can read those.  Nothing that came from an archive service or a log reaches the
terminal with control characters or invisible ones.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from numbers import Real
from typing import TYPE_CHECKING

from daxa.errors import DaxaError, StorageError
from daxa.records import Observe, Outcome
from daxa.text import json_escaped, plain

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "counted",
    "note",
    "progress",
    "progress_of_missions",
    "say",
    "show_csv",
    "show_error",
    "show_json",
    "show_table",
    "show_text",
    "size_text",
]

_SECONDS_BETWEEN_LINES = 1.0


def show_text(text: str) -> None:
    """Write lines of a result."""
    _result(f"{plain(text)}\n")


def say(text: str) -> None:
    """Write a line that is not a result, such as what to do next; not with ``-q``."""
    if not _quiet():
        show_text(text)


def note(text: str) -> None:
    """Write a remark to standard error, so that results stay pure; not with ``-q``."""
    if not _quiet():
        _remark(plain(text))


def show_json(records: Iterable[Mapping[str, object]]) -> None:
    """Write one line of JSON per record; numbers that are not finite become null.

    Examples
    --------
    >>> show_json([{"obs_id": "0404910601", "lo_kev": float("nan")}])
    {"obs_id": "0404910601", "lo_kev": null}
    """
    for record in records:
        values = {key: _json_value(value) for key, value in record.items()}
        _result(f"{json_escaped(json.dumps(values, ensure_ascii=False, allow_nan=False))}\n")


def show_csv(table: pd.DataFrame) -> None:
    """Write a table as comma-separated values, without formulas."""
    from daxa.selection.table_formats import csv_text

    _result(csv_text(table))


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write aligned columns, numbers to the right; the last column is never padded.

    Examples
    --------
    >>> show_table(["mission", "done"], [["xmm", 12], ["chandra", 3]])
    mission  done
    xmm        12
    chandra     3
    """
    body = [list(row) for row in rows]
    numeric = [bool(body) and all(isinstance(row[at], Real) for row in body) for at in range(len(columns))]
    lines = [[_cell(column) for column in columns], *([_cell(value) for value in row] for row in body)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(columns))]
    for line in lines:
        cells = [
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(line, widths, numeric, strict=True)
        ]
        _result(f"{'  '.join(cells).rstrip()}\n")


def show_error(error: DaxaError, *, as_json: bool = False) -> None:
    """Write what went wrong and what to do about it to standard error."""
    with suppress(OSError):
        sys.stdout.flush()  # Keeps the order of what was written before.
    if as_json:
        answer = {"code": error.code, "message": error.message, "remedy": error.remedy}
        _remark(json_escaped(json.dumps(answer, ensure_ascii=False)))
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True, highlight=False, markup=False, emoji=False)
    with suppress(OSError):
        console.print(Text.assemble(("error: ", "bold red"), plain(error.message)), soft_wrap=True)
        if error.remedy:
            console.print(Text(f"  -> {plain(error.remedy)}"), soft_wrap=True)


@contextmanager
def progress(mission: str, step: str) -> Iterator[Observe]:
    """Give an observer of a stage: a bar on a terminal, else at most one line a second and a last one."""
    if _quiet():
        yield lambda outcome, ended, total: None
    elif sys.stderr.isatty():
        with _bar(f"{mission} {step}") as observe:
            yield observe
    else:
        yield _lines(f"{mission} {step}")


def counted(observe: Observe) -> Callable[[int, int], None]:
    """A counting observer, from one that `progress` gives."""
    ended_well = Outcome("", "", "", "done")
    return lambda ended, total: observe(ended_well, ended, total)


@contextmanager
def progress_of_missions(names: Sequence[str]) -> Iterator[Callable[[str], None]]:
    """Give an observer of missions that have answered: on a terminal, a line shows which ones have not."""
    if _quiet() or not sys.stderr.isatty() or len(names) < 2:
        yield lambda name: None
        return
    from rich.console import Console

    waiting = list(names)

    def status_line() -> str:
        return f"{len(names) - len(waiting)} of {len(names)} missions have answered; waiting for {', '.join(waiting)}"

    with Console(stderr=True, highlight=False, markup=False, emoji=False).status(status_line()) as status:

        def observe(name: str) -> None:
            waiting[:] = [other for other in waiting if other != name]
            status.update(status_line())

        yield observe


def size_text(size: float) -> str:
    """A number of bytes as people read it.

    Examples
    --------
    >>> size_text(999), size_text(27_546_000)
    ('999 B', '27.5 MB')
    """
    if size < 1000:
        return f"{size:.0f} B"
    power = min(int(math.log10(size) // 3), 4)
    return f"{size / 1000**power:.1f} {('kB', 'MB', 'GB', 'TB')[power - 1]}"


def _quiet() -> bool:
    return bool(os.environ.get("DAXA_QUIET"))


def _result(text: str) -> None:
    try:
        sys.stdout.write(text)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise StorageError(
            "output", f"the results cannot be written: {error.strerror}", remedy="redirect standard output elsewhere"
        ) from None


def _remark(line: str) -> None:
    with suppress(OSError):
        print(line, file=sys.stderr, flush=True)


def _cell(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return plain(str(value)).replace("\n", " ").replace("\t", " ")


def _json_value(value: object) -> object:
    if isinstance(value, str | bool | int) or value is None:
        return value
    if isinstance(value, Mapping):
        return {str(key): _json_value(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [_json_value(item) for item in value]
    if isinstance(value, Real):
        number = float(value)
        whole = not isinstance(value, float) and number.is_integer()
        return (int(number) if whole else number) if math.isfinite(number) else None
    return str(value)


def _lines(name: str) -> Observe:
    written, failed = -math.inf, 0

    def observe(outcome: Outcome, ended: int, total: int) -> None:
        nonlocal written, failed
        failed += outcome.status == "failed"
        now = time.monotonic()
        if ended < total and now - written < _SECONDS_BETWEEN_LINES:
            return
        written = now
        note = f", {failed} failed" if failed else ""
        _remark(f"{name}: {ended} of {total}{note}")

    return observe


@contextmanager
def _bar(name: str) -> Iterator[Observe]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description:<15}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}", style="red"),
        TimeElapsedColumn(),
    )
    failed = 0
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(name, total=None, note="")

        def observe(outcome: Outcome, ended: int, total: int) -> None:
            nonlocal failed
            failed += outcome.status == "failed"
            bar.update(task, completed=ended, total=total, note=f"{failed} failed" if failed else "")

        yield observe
