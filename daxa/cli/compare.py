"""``daxa compare``: whether two files agree."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from daxa.cli.show import show_json, show_text
from daxa.errors import CriteriaError, VerifyError
from daxa.naming import number_of
from daxa.text import plain

__all__ = ["compare"]

EXAMPLES = (
    "daxa compare data/xmm/images/0404910601/image.fits ../other/image.fits",
    "daxa compare events.fits events.fits.gz --json",
)

_SHOWN = 50


def compare(
    first: Annotated[Path, typer.Argument(metavar="FILE", help="A file, packed by gzip or not.")],
    second: Annotated[Path, typer.Argument(metavar="FILE", help="What it is compared with.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, including the differences.")] = False,
) -> None:
    """Compare two files, FITS files HDU by HDU: cards and data.

    The verdict is "identical bytes"; "identical science" if only the packing, or cards that record when, where and by
    whom a file was written, differ; "equal within counting noise" if the backend that made the files declares that it
    uses random numbers; or "different", with the HDUs and how they differ.

    Exits with code 7 if the files are different.
    """
    from daxa.backends.randomised import is_randomised
    from daxa.run.comparison import compare_files

    for path in (first, second):
        if not path.exists():
            raise CriteriaError("file", f"there is no file {path}", remedy="give the paths of two files")
    found = compare_files(first, second, randomised=is_randomised(first) and is_randomised(second))
    if as_json:
        show_json([{"same": found.same, **found.as_dict()}])
    else:
        for difference in found.differences[:_SHOWN]:
            show_text(plain(str(difference)))
        if len(found.differences) > _SHOWN:
            show_text(f"... and {number_of(len(found.differences) - _SHOWN, 'more difference')}; --json lists all")
        names = ", ".join(name or "blank cards" for name in found.set_aside)
        aside = f"; set aside: {names}" if names else ""
        show_text(f"{found.verdict}{' (packed differently)' if found.packing else ''}{aside}")
    if found.verdict == "different":
        raise VerifyError(
            "different",
            f"{first} and {second} are different",
            remedy="the manifest.json beside each product says what it was made with",
        )
