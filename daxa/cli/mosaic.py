"""``daxa mosaic``: observations added on one grid of the sky."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from daxa.cli.options import Band, Instruments, Missions, ObsIds
from daxa.cli.show import note, progress, show_json, show_table
from daxa.errors import CriteriaError
from daxa.naming import number_of

__all__ = ["mosaic"]

EXAMPLES = (
    "daxa mosaic --mission xmm --band 0.5-2 -o ../mosaic",
    "daxa mosaic --obs 0900000101 --obs 0900000201 --band 0.5-2 --weight PN=2.6 -o ../weighted",
    "daxa mosaic --instrument M1 --instrument M2 --band 0.5-2 -o ../mos --moc ../a907.moc.fits --healpix 12",
)


def mosaic(
    *,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Directory for the files, outside the archive.")
    ],
    missions: Missions = None,
    obs_ids: ObsIds = None,
    instruments: Instruments = None,
    band: Band = None,
    pixel: Annotated[
        float,
        typer.Option(metavar="ARCSEC", show_default=False, help="Pixel size; by default that of the coarsest image."),
    ] = 0.0,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            "--weight",
            metavar="INSTRUMENT=NUMBER",
            help="Weight of an instrument's exposure (ratio of effective areas), such as PN=2.6. May be repeated.",
        ),
    ] = None,
    moc: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write the exposed area as a MOC (FITS).")
    ] = None,
    healpix: Annotated[
        int | None,
        typer.Option(metavar="ORDER", min=0, max=29, help="Also write counts and exposure in HEALPix cells."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON per file.")] = False,
) -> None:
    """Add the cleaned events and exposure maps of observations, and write counts, exposure, rate and a picture.

    --band may be omitted if all images are in one band. Nothing in the archive is changed. Events in overlapping tiles
    of a survey are counted once.
    """
    import daxa
    from daxa.analysis.image_sets import outside_archive
    from daxa.analysis.mosaic import write_sky
    from daxa.errors import StorageError

    archive = daxa.open()
    more: dict[str, tuple[Path | None, int | None]] = {"moc": (moc, None), "healpix": (None, None)}
    if healpix is not None:
        more["healpix"] = (output / f"mosaic-healpix{healpix}.fits", healpix)
    extra = {kind: (outside_archive(archive.layout, path), order) for kind, (path, order) in more.items() if path}
    if there := [path for path, _ in extra.values() if path.exists()]:
        raise StorageError("exists", f"{there[0]} already exists", remedy="choose another file, or remove it")
    with progress("mosaic", "images") as observe:
        made = archive.mosaic(
            output,
            missions=missions,
            obs_ids=obs_ids,
            instruments=instruments,
            band=band,
            pixel_arcsec=pixel,
            weights=_read_weights(weights or []),
            observe=observe,
        )
    for path, order in extra.values():
        write_sky(path, made.mosaic, healpix_order=order)
    files = {**made.files, **{kind: path for kind, (path, _) in extra.items()}}
    if as_json:
        show_json({"kind": kind, "path": str(path)} for kind, path in files.items())
    else:
        show_table(["kind", "path"], [[kind, str(path)] for kind, path in files.items()])
    note(f"{number_of(len(made.members), 'image')}, {round(float(made.mosaic.counts.sum(dtype=float)))} counts")
    if made.without_events:
        note(
            f"{len(made.without_events)} of them lack an event list with the image's cuts, "
            f"such as {made.without_events[0]}"
        )
    if not weights and len({name.split("/")[1] for name in made.members}) > 1:
        note("exposures of different instruments were added with equal weights: --weight changes that")


def _read_weights(texts: list[str]) -> dict[str, float]:
    weights = {}
    for text in texts:
        name, _, number = text.partition("=")
        try:
            weights[name.strip()] = float(number)
        except ValueError:
            raise CriteriaError("weight", f"{text!r} is not a weight", remedy="give it as PN=2.6") from None
    return weights
