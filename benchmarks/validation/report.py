"""The page: figures as a table, sources, and what is not verified."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.validation.checks import Check
from benchmarks.validation.optics import SOURCES

__all__ = ["DOCS", "NOT_VERIFIED", "read_results", "write_results"]

DOCS = Path(__file__).resolve().parents[2] / "docs"

NOT_VERIFIED: Mapping[str, str] = {
    "Mission software itself": "SAS, CIAO, eSASS and HEASoft are not on the machine where this page is made: images, "
    "maps and live times that they made earlier are the oracle, no run beside them.",
    "pn on real events": "no event list of pn is at hand: its chips, screening and live time are tested on simulated "
    "lists only, and its exposure map beyond 12 arcmin is marked UNVERIF in the header.",
    "MOS1 and pn above 2 keV": "no map of SAS is at hand: their vignetting is that of MOS2 transferred, "
    "marked UNVERIF.",
    "Vignetting of ACIS, NuSTAR, eROSITA, Suzaku, XRISM, IXPE": "published as calibration files only: their maps are "
    "flat and say so (VIGNET = F), so that rates off the axis are too low there.",
    "Point spread functions by energy and azimuth": "all fits use one round function at the mean energy of the band; "
    "published encircled energies differ among each other by as much as the row of the point spread functions says, "
    "and every rate hangs on them.",
    "Core of EPIC's point spread functions": "the FWHM and half-energy width of the mirrors are figures of the Users "
    "Handbook as they are commonly quoted; its table was not at hand.  How long images are off the axis is a round "
    "figure of the simulation: errors of positions follow from the photons, not from it.",
    "Places of events within ACIS pixels": "lists since 2011 place events better than at random (EDSER); by how much "
    "no document at hand tells, so that the function that is fitted to them is a little too wide on the axis.",
    "NuSTAR, Swift, eROSITA, Suzaku, ASCA, ROSAT, XRISM, IXPE, Einstein": "their detection is tested by the same code "
    "on simple images, not on simulations of the mirrors; the shape of some point spread functions is a guess that the "
    "source list names.",
    "Flares of real lists": "the truth is unknown: the residual is daxa's own measure.  The real lists at hand were "
    "cleaned of flares before they were published.",
    "Pulls beside gaps and clusters": "measured in MOS1 only; those of pn and ACIS in the field alone.",
    "Pile-up, stray light, bad columns that come and go": "not simulated.",
    "Clusters other than smooth ones": "the simulated cluster is one round beta model; substructure and cool cores of "
    "real ones are seen on A907 only.",
}
"""What no check covers, and why."""

_INTRODUCTION = (
    "This page is written by `make validation` (`python -m benchmarks.validation`), with the figures of its last run; "
    "`validation.json` beside it holds the same for programs.  `--only NAME` repeats one check.  Every figure that a "
    "requirement is set for stands beside it; those that miss it come first."
)


def read_results(folder: Path) -> dict[str, dict]:
    """Figures of an earlier run, by check; none where there is no file."""
    path = folder / "validation.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def write_results(folder: Path, checks: Sequence[Check], results: Mapping[str, dict]) -> None:
    """Write the figures (JSON) and the page made of them."""
    folder.mkdir(parents=True, exist_ok=True)
    known = {check.name: results[check.name] for check in checks if check.name in results}
    text = json.dumps(known, indent=1, ensure_ascii=False) + "\n"
    (folder / "validation.json").write_text(text, encoding="utf-8")
    (folder / "validation.md").write_text(page(checks, known), encoding="utf-8")


def page(checks: Sequence[Check], results: Mapping[str, dict]) -> str:
    """The page."""
    figures = [
        (check, figure) for check in checks if check.name in results for figure in results[check.name]["figures"]
    ]
    asked = [figure for _, figure in figures if figure["met"] is not None]
    missed = [(check, figure) for check, figure in figures if figure["met"] is False]
    absent = [check for check in checks if check.name not in results]
    lines = [
        "# What daxa's science is checked against",
        "",
        _INTRODUCTION,
        "",
        f"{len(asked) - len(missed)} of {len(asked)} figures meet what is asked.",
        "",
        "## What misses what is asked",
        "",
        *(_table(missed, named=True) if missed else ["Nothing."]),
        "",
    ]
    for check in checks:
        if check.name in results:
            own = [(check, figure) for figure in results[check.name]["figures"]]
            lines += [f"## {check.title}", "", f"`{check.name}`: {check.data}; oracle: {check.oracle}.  "]
            lines += [f"Native steps: {results[check.name]['steps']}.", ""]
            lines += [*_table(own), ""]
    lines += ["## What is simulated, and where its figures come from", ""]
    lines += [f"- {what}: {source}." for what, source in SOURCES.items()]
    lines += ["", "## What is not verified, and why", ""]
    lines += [f"- **{what}**: {why}" for what, why in NOT_VERIFIED.items()]
    lines += [f"- **{check.title}** (`{check.name}`): not run yet." for check in absent]
    return "\n".join(lines) + "\n"


def _table(figures: Sequence[tuple[Check, dict]], *, named: bool = False) -> list[str]:
    first = "| check | figure |" if named else "| figure |"
    lines = [f"{first} measured | asked | met |", "|" + " --- |" * (5 if named else 4)]
    for check, figure in figures:
        met = {True: "yes", False: "**no**", None: ""}[figure["met"]]
        cells = [figure["what"], figure["measured"], figure["asked"], met]
        lines.append("| " + " | ".join([check.name, *cells] if named else cells) + " |")
    return lines
