"""The conditions that users may state, each stated once.

An entry is the keyword of `daxa.Mission.filter`, the key in TOML and JSON, the option of the command
line, and the line of the documentation.  What a condition means is defined by its class: a value with ``to_plain``,
``text`` and ``holds``.  A new condition is such a class with its reader, and an entry here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from daxa.missions.facts import CATEGORIES
from daxa.missions.spec import MissionSpec
from daxa.query.criteria.conditions import AccessKind, Condition, read_access, read_everything, read_min_exposure
from daxa.query.criteria.labels import read_category, read_mode
from daxa.query.criteria.sky_conditions import MatchKind, read_box, read_moc_area, read_region_area

if TYPE_CHECKING:
    from daxa.query.criteria.accepted_types import (
        AngleLike,
        BoxLike,
        DurationLike,
        MocLike,
        ObsIdsLike,
        PositionsLike,
        RegionLike,
        TableLike,
        TextsLike,
        WindowLike,
    )
    from daxa.query.criteria.sample import Sample

__all__ = [
    "CONDITIONS",
    "CliOption",
    "Conditions",
    "Keyword",
    "conditions_page",
    "parameters_text",
    "read_alone",
]


class Conditions(TypedDict, total=False):
    """The keywords of `daxa.Mission.filter`; None leaves a condition out."""

    target: TextsLike | None
    position: PositionsLike | None
    sample: TableLike | Sample | None
    radius: AngleLike | None
    match: MatchKind | None
    margin: float | None
    region: RegionLike | None
    moc: MocLike | None
    box: BoxLike | None
    time: WindowLike | None
    inside: bool | None
    min_exposure: DurationLike | None
    category: TextsLike | None
    mode: TextsLike | None
    access: AccessKind | None
    instruments: TextsLike | None
    obs_ids: ObsIdsLike | None
    everything: bool | None


@dataclass(frozen=True)
class CliOption:
    """An option of the command line.

    Parameters
    ----------
    name
        With its dashes.
    metavar
        Stands for its value in the help; '' for a flag.
    help
        One line.
    kind
        ``texts`` may be repeated.
    older
        Another spelling that is understood, and not shown.
    """

    name: str
    metavar: str
    help: str
    kind: Literal["text", "texts", "number", "flag", "file"] = "text"
    older: str = ""

    @property
    def key(self) -> str:
        """Its name as that of a parameter."""
        return self.name.lstrip("-").replace("-", "_")


Reader = Callable[[Any, MissionSpec, bool], Condition | None]


@dataclass(frozen=True)
class Keyword:
    """One condition.

    Parameters
    ----------
    name
        Keyword of `daxa.Mission.filter`, and key in TOML and JSON.
    about
        For the documentation.
    options
        Of the command line; one, or a pair whose values together are the condition's.
    read
        Gives the condition of a value, of a mission, and whether files may be read; None for what is read
        together with others.
    of_some
        Some missions' tables cannot say whether it holds.
    """

    name: str
    about: str
    options: tuple[CliOption, ...]
    read: Reader | None = None
    of_some: bool = False


def _one(name: str, about: str, option: CliOption, read: Reader | None = None, *, of_some: bool = False) -> Keyword:
    return Keyword(name, about, (option,), read, of_some)


CONDITIONS: tuple[Keyword, ...] = (
    _one(
        "target",
        "Name or names known to Simbad, NED or VizieR; they are used like `position`.",
        CliOption("--target", "NAME", "Name of an object known to Simbad, NED or VizieR. *", "texts"),
    ),
    _one(
        "position",
        "An `~astropy.coordinates.SkyCoord`, (ra, dec) in degrees, a text, or many of them: the observation lies "
        "within `radius` of any.",
        CliOption("--position", "RA,DEC", "ICRS, in degrees or sexagesimal. *", "texts"),
    ),
    _one(
        "sample",
        "Objects with their own radii and time windows: a CSV, FITS, VOTable or Parquet file, or a table.",
        CliOption(
            "--sample", "FILE", "Table of objects: ra, dec, and optionally name, radius_arcmin, start, end.", "file"
        ),
    ),
    _one(
        "radius",
        'Search radius with its unit, such as ``"15 arcmin"``; by default the instrument\'s field of view.',
        CliOption(
            "--radius",
            "SIZE",
            "Search radius around targets and positions, such as 15arcmin; by default the field of view.",
        ),
    ),
    _one(
        "match",
        "``covers``: the field of view holds the place and its radius; ``overlaps``: it overlaps the radius; "
        "``centre``: the pointing lies within the radius.  By default ``centre`` with a radius, ``covers`` without, "
        "``overlaps`` for a sample.",
        CliOption("--match", "HOW", "How the field of view must match the object: covers, overlaps or centre."),
    ),
    _one(
        "margin",
        "Factor by which the field of view is enlarged, such as 1.2.",
        CliOption("--margin", "FACTOR", "Factor by which the field of view is enlarged, such as 1.2.", "number"),
    ),
    _one(
        "region",
        "A DS9 region, as a file or text, in which the pointing must lie.",
        CliOption("--region", "FILE", "DS9 region file in which the pointing must lie.", "file"),
        lambda value, _, files: read_region_area(value, files=files),
    ),
    _one(
        "moc",
        "A coverage map (MOC), as a file, text or `mocpy.MOC`, in which the pointing must lie.",
        CliOption("--moc", "FILE", "Coverage map (MOC) in which the pointing must lie.", "file"),
        lambda value, _, files: read_moc_area(value, files=files),
    ),
    _one(
        "box",
        'Box in which the pointing must lie, in degrees: ``{"ra": (350, 10), "dec": (-5, 5)}``; RA runs eastwards.',
        CliOption(
            "--box", "RA1,RA2,DEC1,DEC2", "Box in which the pointing must lie, in degrees; RA1 to RA2 eastwards."
        ),
        lambda value, *_: read_box(value),
    ),
    Keyword(
        "time",
        "(start, end) as dates, `~astropy.time.Time` or MJD; the observation must overlap this window.",
        (
            CliOption("--start", "DATE", "Observed after this date (or MJD)."),
            CliOption("--end", "DATE", "Observed before this date (or MJD)."),
        ),
    ),
    _one(
        "inside",
        "The observation must lie entirely within `time`, or within the windows of the sample.",
        CliOption("--inside", "", "Observed entirely between --start and --end.", "flag"),
    ),
    _one(
        "min_exposure",
        'Minimum exposure with its unit, such as ``"5 ks"``; of each instrument where the table lists them separately.',
        CliOption("--min-exposure", "TIME", "Minimum exposure, such as 20ks."),
        lambda value, *_: read_min_exposure(value),
    ),
    _one(
        "category",
        'Kind of target: one or more codes of `daxa.missions.facts.CATEGORIES`, such as ``"GCL"``.',
        CliOption("--category", "CODE", f"Kind of target: {', '.join(CATEGORIES)}. *", "texts"),
        lambda value, spec, _: read_category(value, spec),
        of_some=True,
    ),
    _one(
        "mode",
        'Mode or modes of an instrument as the archive writes them, such as ``"VFAINT"``, in upper or lower case.',
        CliOption("--mode", "WORD", "Mode of an instrument, such as VFAINT. *", "texts"),
        lambda value, spec, _: read_mode(value, spec),
        of_some=True,
    ),
    _one(
        "access",
        "``public`` (the default), ``proprietary`` or ``any``.",
        CliOption("--access", "KIND", "public (default), proprietary or any."),
        lambda value, *_: read_access(value),
    ),
    _one(
        "instruments",
        "Name or names; several filters keep the instruments that all of them name.",
        CliOption("--instrument", "[MISSION:]NAME,...", "Only this instrument, such as PN. *", "texts"),
    ),
    _one(
        "obs_ids",
        "ObsID or ObsIDs, as strings; or a table of observations with a column of them, such as "
        "`astroquery.heasarc` returns.",
        CliOption("--obs", "[MISSION:]OBSID", "Only this observation. *", "texts", "--obsid"),
    ),
    _one(
        "everything",
        "True selects all observations of the mission, which must be requested explicitly.",
        CliOption("--everything", "", "Select all observations of the mission.", "flag"),
        lambda value, *_: read_everything(value),
    ),
)
"""All of them, in the order in which they are shown."""


def read_alone(given: Mapping[str, Any], spec: MissionSpec, *, files: bool) -> Iterator[Condition]:
    """The conditions of the values that are read each for itself."""
    for declared in CONDITIONS:
        value = given.get(declared.name)
        if declared.read is not None and value is not None:
            condition = declared.read(value, spec, files)
            if condition is not None:
                yield condition


def parameters_text(indent: str) -> str:
    """The conditions as a numpydoc section of parameters holds them."""
    from textwrap import fill

    lines = []
    for declared in CONDITIONS:
        lines.append(f"{indent}{declared.name}")
        inner = indent + "    "
        lines.append(fill(declared.about, 118, initial_indent=inner, subsequent_indent=inner))
    return "\n".join(lines)


_EXAMPLES = """\
```console
$ daxa search --mission xmm --target "Abell 907" --radius 15arcmin --min-exposure 5ks
```

```python
import daxa

print(daxa.Mission("xmm").filter(target="Abell 907", radius="15 arcmin", min_exposure="5 ks").observations)
```

```toml
[missions.xmm]
target = ["Abell 907"]
radius = "15 arcmin"
min_exposure = "5 ks"
```

"""


def conditions_page() -> str:
    """The page ``docs/conditions.md``."""
    head = (
        "# Conditions\n\nWhat an observation must meet to be chosen, the same in Python, on the command line, in "
        "`daxa.toml` and in JSON.\nAn observation must meet all of them; `--or` and `--not` on the command line, and "
        "`&`, `|` and `~` in Python, combine them. The same selection three times:\n\n"
        + _EXAMPLES
        + "| `Mission.filter`, TOML | option | meaning |\n|---|---|---|\n"
    )
    rows = []
    for declared in CONDITIONS:
        options = " ".join(
            f"`{option.name}{' ' * bool(option.metavar)}{option.metavar}`" for option in declared.options
        )
        about = declared.about.replace("``", "`").replace("`~astropy", "`astropy").replace("  ", " ")
        rows.append(f"| `{declared.name}` | {options} | {about} |\n")
    return head + "".join(rows)
