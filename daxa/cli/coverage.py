"""``daxa coverage``: what the archive says about the objects of a sample."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daxa.cli.options import Bands, Instruments, Missions, ObsIds
from daxa.cli.show import note, progress, say, show_table
from daxa.errors import CriteriaError, DataError
from daxa.selection.headings import band_cell, cell, headings
from daxa.text import json_escaped

if TYPE_CHECKING:
    import pandas as pd

    from daxa.analysis.coverage import Coverage

__all__ = ["coverage"]

EXAMPLES = (
    "daxa coverage 149.59,-11.06 --band 0.5-2",
    'daxa coverage "Abell 907" --mission xmm --instrument PN',
    'daxa coverage "Abell 907" --radius 15 --ring 40,90 -o ../coverage.vot',
)

_TITLE = "Coverage of a sample by the observations of an archive"
_COLUMNS = (
    "target",
    "mission",
    "obs_id",
    "instrument",
    "band",
    "off_axis",
    "exposure",
    "counts",
    "background",
    "rate",
    "limit",
    "quality",
)

_OFF_AXIS = (
    "off-axis: from the pointing of the observation (RA_PNT, DEC_PNT), or the middle of a survey's tile; "
    "vignetting and the mark far count from the optical axis"
)
_MARKS = {
    "good": "no restrictions",
    "outside": "no exposure at the position",
    "edge": "more than a tenth of the circle has no exposure",
    "flat": "the exposure map has no vignetting: the rate is too low away from the axis",
    "far": "farther from the optical axis than the vignetting has been verified",
    "no-background": "too little exposure around the object to measure the background: the limit assumes none",
    "not-measured": "the observed part of the sky is not known: no exposure, rate or limit",
}
"""What the words of the column quality mean."""


def coverage(
    sample: Annotated[
        str,
        typer.Argument(
            metavar="SAMPLE",
            help="File with columns ra, dec, and optionally name, radius_arcmin; or RA,DEC; or the name of an object.",
        ),
    ],
    *,
    missions: Missions = None,
    obs_ids: ObsIds = None,
    instruments: Instruments = None,
    bands: Bands = None,
    radius: Annotated[
        float, typer.Option(metavar="ARCSEC", help="Radius of the source circle, where the sample gives none.")
    ] = 20.0,
    ring: Annotated[
        str,
        typer.Option(metavar="IN,OUT", help="Background ring, arcsec; it moves outwards with the circle."),
    ] = "60,120",
    enclosed: Annotated[
        float, typer.Option(metavar="SHARE", help="Fraction of a source's counts within the circle.")
    ] = 1.0,
    level: Annotated[float, typer.Option(metavar="SHARE", help="Confidence level of upper limits.")] = 0.9,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON per row.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values.")] = False,
    as_votable: Annotated[bool, typer.Option("--votable", help="Print a VOTable with units, for TOPCAT.")] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="Write all columns to a file; its name decides the format: .csv, .vot, .xml, .jsonl.",
        ),
    ] = None,
) -> None:
    """Show exposure, counts, and rate or upper limit of every object of a sample, in every image that covers it.

    Rates are net of the background in a ring, and per second of the exposure map. Off-axis angles are measured from
    the pointing. The column quality warns of what limits the use of a value; a legend follows the table.
    """
    import daxa
    from daxa.analysis.image_sets import outside_archive
    from daxa.xray.imaging.positions import Aperture

    if as_json + as_csv + as_votable + (output is not None) > 1:
        raise CriteriaError(
            "output", "only one output format can be chosen", remedy="choose one of --json, --csv, --votable and -o"
        )
    archive = daxa.open()
    place = None if output is None else outside_archive(archive.layout, output)
    form = _form(place, as_json=as_json, as_csv=as_csv, as_votable=as_votable)
    inner, outer = _read_ring(ring)
    use = Aperture(radius, max(inner, radius), max(outer, 2 * radius), enclosed, level)
    with progress("coverage", "observations") as observe:
        found = archive.coverage(
            sample,
            missions=missions,
            obs_ids=obs_ids,
            instruments=instruments,
            bands=bands,
            aperture=use,
            observe=observe,
        )
    if place is not None:
        from daxa.selection.table_formats import write_whole

        write_whole(place, _content(found.table, form))
        note(f"wrote {len(found.table)} rows to {output}")
    elif form == "table":
        _show(found.table)
    else:
        sys.stdout.buffer.write(_content(found.table, form))
    _report(found)


def _read_ring(text: str) -> tuple[float, float]:
    try:
        first, last = map(float, text.split(","))
    except ValueError:
        first, last = math.nan, math.nan
    if not 0 <= first < last < math.inf:
        raise CriteriaError("ring", f"{text!r} is not a ring", remedy="give two radii in arcsec, such as 60,120")
    return first, last


def _form(place: Path | None, *, as_json: bool, as_csv: bool, as_votable: bool) -> str:
    if place is None:
        return "json" if as_json else "csv" if as_csv else "votable" if as_votable else "table"
    forms = {".csv": "csv", ".vot": "votable", ".xml": "votable", ".jsonl": "json"}
    if place.suffix.lower() not in forms:
        raise CriteriaError(
            "export", f"{place.name} has no known file ending", remedy=f"give a name that ends in {', '.join(forms)}"
        )
    return forms[place.suffix.lower()]


def _content(table: pd.DataFrame, form: str) -> bytes:
    if form == "votable":
        from daxa.analysis.coverage_table import COLUMNS
        from daxa.selection.table_formats import votable_bytes

        return votable_bytes(table, _TITLE, COLUMNS)
    if form == "csv":
        from daxa.selection.table_formats import csv_text

        return csv_text(table).encode()
    lines = (json.dumps(row, ensure_ascii=False, allow_nan=False) for row in _records(table))
    return "".join(f"{json_escaped(line)}\n" for line in lines).encode()


def _records(table: pd.DataFrame) -> Iterator[dict[str, object]]:
    for row in table.to_dict("records"):
        yield {str(key): None if isinstance(cell, float) and math.isnan(cell) else cell for key, cell in row.items()}


def _show(table: pd.DataFrame) -> None:
    records = table.to_dict("records")
    show_table(headings(_COLUMNS), map(_line, records))
    words = {word for record in records for word in record["quality"].split()}
    if words:
        say("\n".join(["", _OFF_AXIS, *(f"{word}: {text}" for word, text in _MARKS.items() if word in words)]))


def _line(row: dict) -> list[object]:
    known = {"target": row["target"] or f"row {row['row']}", "band": band_cell(row["lo_kev"], row["hi_kev"])}
    return [known[name] if name in known else cell(name, row[name]) for name in _COLUMNS]


def _report(found: Coverage) -> None:
    """Say how many objects were seen; an incomplete answer is still an error."""
    note(f"{found.seen} of {found.objects} objects lie in an image ({found.images} images were searched)")
    if found.failures:
        first = found.failures[0]
        more = f" (and {len(found.failures) - 1} more)" if len(found.failures) > 1 else ""
        raise DataError(
            "unread",
            f"{len(found.failures)} of {found.images} images could not be used: {first.reason}{more}",
            remedy="`daxa verify` shows which files differ from the release; `dvc checkout` restores them",
        )
