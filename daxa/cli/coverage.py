"""``daxa coverage``: what the archive says about the objects of a sample."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daxa.cli.options import Instruments, Missions, ObsIds
from daxa.cli.show import note, progress, seconds_text, show_table
from daxa.errors import CriteriaError, DataError

if TYPE_CHECKING:
    import pandas as pd

    from daxa.report.coverage import Coverage

__all__ = ["coverage", "read_bands"]

EXAMPLES = (
    "daxa coverage clusters.csv",
    "daxa coverage agn.fits --band 0.5-2 --radius 15 -o ../agn-coverage.vot",
    "daxa coverage clusters.csv --mission xmm --instrument PN --csv",
)

_TITLE = "Coverage of a sample by the observations of an archive"
_NUMBERS = (("background", ".1f"), ("rate", ".3g"), ("limit", ".3g"))


def coverage(
    sample: Annotated[
        Path, typer.Argument(metavar="SAMPLE", help="Table with columns ra and dec, and as wanted name and radius.")
    ],
    *,
    missions: Missions = None,
    obs_ids: ObsIds = None,
    instruments: Instruments = None,
    bands: Annotated[
        list[str] | None, typer.Option("--band", metavar="FROM-TO", help="Energies in keV. May be repeated.")
    ] = None,
    radius: Annotated[
        float, typer.Option(metavar="ARCSEC", help="Circle in which counts are taken, where the sample gives none.")
    ] = 20.0,
    ring: Annotated[
        str,
        typer.Option(metavar="IN,OUT", help="Ring that tells the background, arcsec; it moves out with the circle."),
    ] = "60,120",
    enclosed: Annotated[float, typer.Option(metavar="SHARE", help="Share of a source's light in the circle.")] = 1.0,
    level: Annotated[float, typer.Option(metavar="SHARE", help="Confidence of upper limits.")] = 0.9,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON per row.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Comma-separated values.")] = False,
    as_votable: Annotated[bool, typer.Option("--votable", help="A VOTable with units, for TOPCAT.")] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE", help="Write it all, as the name ends: .csv, .vot, .xml, .jsonl."
        ),
    ] = None,
) -> None:
    """Tell exposure, counts, and rate or upper limit of every object of a sample, in every image that shows it.

    Rates are net of the background in a ring, and per second of the exposure map. The quality says what to
    know before a value is used: "flat" is an exposure without vignetting, "edge" an aperture that is cut.
    """
    import daxa
    from daxa.report.imaged import outside_archive
    from daxa.xray.imaging.positions import Aperture

    if as_json + as_csv + as_votable + (output is not None) > 1:
        raise CriteriaError("output", "one output has one form", remedy="choose one of --json, --csv, --votable and -o")
    archive = daxa.open()
    place = None if output is None else outside_archive(archive.layout, output)
    form = _form(place, as_json=as_json, as_csv=as_csv, as_votable=as_votable)
    inner, outer = _read_ring(ring)
    use = Aperture(radius, max(inner, radius), max(outer, 2 * radius), enclosed, level)
    with progress("coverage", "observations") as observe:
        found = archive.coverage(
            sample,
            missions=missions or (),
            obs_ids=obs_ids or (),
            instruments=instruments or (),
            bands=read_bands(bands or ()),
            aperture=use,
            observe=observe,
        )
    if place is not None:
        _write(place, _content(found.table, form))
        note(f"wrote {len(found.table)} rows to {output}")
    elif form == "table":
        _show(found.table)
    else:
        sys.stdout.buffer.write(_content(found.table, form))
    _tell(found)


def read_bands(texts: list[str] | tuple[str, ...]) -> tuple[tuple[float, float], ...]:
    """Bands as they stand on a command line.

    Raises
    ------
    CriteriaError
        One is no band.

    Examples
    --------
    >>> read_bands(["0.5-2", "2-10keV"])
    ((0.5, 2.0), (2.0, 10.0))
    """
    return tuple(
        _read_pair(text.removesuffix("keV").strip(), "-", "band", "give it in keV, as 0.5-2") for text in texts
    )


def _read_ring(text: str) -> tuple[float, float]:
    return _read_pair(text, ",", "ring", "give two radii in arcsec, as 60,120")


def _read_pair(text: str, mark: str, what: str, remedy: str) -> tuple[float, float]:
    try:
        first, last = map(float, text.split(mark))
    except ValueError:
        first, last = math.nan, math.nan
    if not 0 <= first < last < math.inf:
        raise CriteriaError(what, f"{text!r} is no {what}", remedy=remedy)
    return first, last


def _form(place: Path | None, *, as_json: bool, as_csv: bool, as_votable: bool) -> str:
    if place is None:
        return "json" if as_json else "csv" if as_csv else "votable" if as_votable else "table"
    forms = {".csv": "csv", ".vot": "votable", ".xml": "votable", ".jsonl": "json"}
    if place.suffix.lower() not in forms:
        raise CriteriaError(
            "export", f"{place.name} does not say what to write", remedy=f"give a name that ends in {', '.join(forms)}"
        )
    return forms[place.suffix.lower()]


def _content(table: pd.DataFrame, form: str) -> bytes:
    if form == "votable":
        from daxa.report.coverage import COLUMNS
        from daxa.selection.export import votable_bytes

        return votable_bytes(table, _TITLE, COLUMNS)
    if form == "csv":
        return table.to_csv(index=False, lineterminator="\n").encode()
    return "".join(f"{json.dumps(row, ensure_ascii=False, allow_nan=False)}\n" for row in _records(table)).encode()


def _records(table: pd.DataFrame) -> Iterator[dict[str, object]]:
    for row in table.to_dict("records"):
        yield {key: None if isinstance(cell, float) and math.isnan(cell) else cell for key, cell in row.items()}


def _write(place: Path, content: bytes) -> None:
    from daxa.errors import StorageError

    part = place.with_name(f".{place.name}.part")
    try:
        part.write_bytes(content)
        part.replace(place)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise StorageError(
            "unwritable", f"{place} cannot be written: {error.strerror}", remedy="choose another place"
        ) from None


def _show(table: pd.DataFrame) -> None:
    heads = [
        "target",
        "mission",
        "ObsID",
        "instrument",
        "keV",
        "off axis",
        "exposure",
        "counts",
        "background",
        "rate",
        "limit",
        "quality",
    ]
    show_table(heads, map(_line, table.to_dict("records")))


def _line(row: dict) -> list[object]:
    return [
        row["target"] or f"row {row['row']}",
        *(row[name] for name in ("mission", "obs_id", "instrument")),
        f"{row['lo_kev']:g}-{row['hi_kev']:g}",
        f"{row['off_axis']:.2f}",
        seconds_text(row["exposure"]),
        row["counts"],
        *("" if math.isnan(row[name]) else format(row[name], form) for name, form in _NUMBERS),
        row["quality"],
    ]


def _tell(found: Coverage) -> None:
    """Say how many objects were seen; an answer that is not whole is an error all the same."""
    note(f"{found.seen} of {found.objects} objects lie in an image ({found.images} images were asked)")
    if found.failures:
        first = found.failures[0]
        more = f" (and {len(found.failures) - 1} more)" if len(found.failures) > 1 else ""
        raise DataError(
            "unread",
            f"{len(found.failures)} of {found.images} images could not be used: {first.reason}{more}",
            remedy="`daxa verify` says which files differ from the release; `dvc checkout` brings them back",
        )
