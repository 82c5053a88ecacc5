"""Parameters of the native steps: a table of what there is, from which they are read and checked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from daxa.backends.schema import Fault, Parameter, read_parameters
from daxa.backends.source_parameters import SOURCES
from daxa.errors import ConfigError, NotPossible
from daxa.missions import MissionSpec, find_mission
from daxa.quantities import band_text
from daxa.run.task import Task

if TYPE_CHECKING:
    from daxa.xray.lists.formats import EventFormat

__all__ = [
    "CleanParameters",
    "EventsParameters",
    "ImagesParameters",
    "SourcesParameters",
    "check_parameters",
    "native_parameters",
    "read_clean",
    "read_events",
    "read_images",
    "read_sources",
    "read_values",
]

_LONGEST = 1e12  # s
_BACKENDS = ("native",)
_METHODS = ("histogram", "threshold", "clip", "scale", "none")
"""Those of `daxa.xray.cleaning.flares`, whose import takes half a second, and none."""


@cache
def native_parameters(mission: str) -> Mapping[str, tuple[Parameter, ...]]:
    """What may stand in the params file of a mission, by step; defaults are the mission's.

    Examples
    --------
    >>> [parameter.name for parameter in native_parameters("xmm")["images"]]
    ['bands', 'pixel', 'lightcurve_bin']
    """
    spec = find_mission(mission)
    return {
        "fetch": (
            Parameter(
                "extra",
                "patterns",
                (),
                "more files to fetch: regular expressions of paths below the observation's directory",
                example='["ODF/.*"]',
            ),
        ),
        "events": (
            Parameter(
                "backend", "choice", "native", "what carries out this step and those after it", choices=_BACKENDS
            ),
            Parameter(
                "min_ontime",
                "quantity",
                0.0,
                "exposures with less good time are left out",
                unit="s",
                least=0.0,
                most=_LONGEST,
            ),
        ),
        "clean": _clean(spec),
        "images": _images(spec),
        "sources": SOURCES,
    }


def _clean(spec: MissionSpec) -> tuple[Parameter, ...]:
    facts = spec.flares
    return (
        Parameter(
            "screening",
            "choice",
            "standard",
            "the mission's standard event screening, or none",
            choices=("standard", "none"),
        ),
        Parameter(
            "flares",
            "choice",
            "histogram" if facts else "none",
            "how times of high particle background are found and cut",
            choices=_METHODS,
        ),
        Parameter("mask_sources", "flag", True, "look for flares beside the sources of the field"),
        Parameter(
            "flare_sigma",
            "number",
            3.0,
            "histogram, clip: keep rates within so many widths of the quiet level",
            least=0.5,
            most=100.0,
        ),
        Parameter(
            "flare_threshold",
            "quantity",
            None,
            "threshold: the most that is kept, of the whole field",
            unit="count/s",
            least=1e-9,
            most=_LONGEST,
            example="0.4 count/s",
        ),
        Parameter(
            "flare_scale", "number", 1.2, "scale: keep rates within this factor of the mean", least=1.001, most=100.0
        ),
        Parameter(
            "flare_band",
            "band",
            facts.band if facts else None,
            "energies whose light curve shows the flares",
            unit="keV",
            example="10-12 keV",
        ),
        Parameter(
            "flare_soft_band",
            "band",
            facts.soft if facts else None,
            "energies of a second pass, for flares that the first does not show",
            unit="keV",
            choices=("none",),
            example="2.5-8.5 keV",
        ),
        Parameter(
            "flare_bin",
            "quantity",
            facts.bin if facts else 100.0,
            "bin of that light curve",
            unit="s",
            least=1.0,
            most=_LONGEST,
        ),
    )


def _images(spec: MissionSpec) -> tuple[Parameter, ...]:
    return (
        Parameter("bands", "bands", tuple((band.lo, band.hi) for band in spec.bands), "energies of images", unit="keV"),
        Parameter(
            "pixel",
            "quantity",
            spec.image_pixel,
            "side of a pixel",
            unit="arcsec",
            least=0.01,
            most=_LONGEST,
            example=f"{spec.image_pixel or 4:g} arcsec",
        ),
        Parameter("lightcurve_bin", "quantity", 100.0, "bin of the light curve", unit="s", least=1.0, most=_LONGEST),
    )


@dataclass(frozen=True)
class EventsParameters:
    """Of the step events: least good time of an exposure, s."""

    min_ontime: float


@dataclass(frozen=True)
class CleanParameters:
    """Of the step clean.

    Parameters
    ----------
    screening
        True for the mission's standard screening.
    flares
        The method that finds flares, one of `daxa.xray.cleaning.flares.flare_gti`'s, or ``none``.
    mask_sources
        Whether flares are looked for beside the sources, not among them.
    flare_sigma, flare_threshold, flare_scale
        Widths of the cut; count/s of the whole field, None where none is given; factor about the mean.
    flare_band, flare_bin
        Energies (keV) and bins (s) of the light curve in which flares are found.
    flare_soft_band
        Energies (keV) of a second pass, beside the sources, for flares that the first does not show; None for none.
    """

    screening: bool
    flares: str
    mask_sources: bool
    flare_sigma: float
    flare_threshold: float | None
    flare_scale: float
    flare_band: tuple[float, float] | None
    flare_bin: float
    flare_soft_band: tuple[float, float] | None = None


@dataclass(frozen=True)
class ImagesParameters:
    """Of the step images: energy bands (keV), pixel (arcsec), bin of the light curve (s)."""

    bands: tuple[tuple[float, float], ...]
    pixel: float
    lightcurve_bin: float


@dataclass(frozen=True)
class SourcesParameters:
    """Of the step sources.

    Parameters
    ----------
    search
        False: no source is looked for.
    false_per_field
        Spurious sources expected in an image, on average.
    band
        Energies (keV) of the images to search; None takes those of lowest energy.
    scales
        Scales of the wavelets, pixels; None takes those that fit the point spread function.
    regions
        Areas to leave out, text of a DS9 region file, '' for none.
    realisations
        Made fields in which false sources within extended light are counted.
    """

    search: bool
    false_per_field: float
    realisations: int
    band: tuple[float, float] | None
    scales: tuple[float, ...] | None
    regions: str


def read_events(task: Task) -> EventsParameters:
    """Parameters of an events task.

    Raises
    ------
    ConfigError
        One is unknown or malformed.
    """
    return EventsParameters(read_values(task)["min_ontime"])


def read_clean(task: Task) -> CleanParameters:
    """Parameters of a clean task.

    Raises
    ------
    ConfigError
        One is unknown or malformed, or flares are to be cut without what the method needs.
    """
    values = read_values(task)
    return CleanParameters(screening=values.pop("screening") == "standard", **values)


def read_images(task: Task) -> ImagesParameters:
    """Parameters of an images task.

    Raises
    ------
    ConfigError
        One is unknown or malformed, or a band is named twice.
    """
    return ImagesParameters(**read_values(task))


def read_sources(task: Task) -> SourcesParameters:
    """Parameters of a sources task.

    Raises
    ------
    ConfigError
        One is unknown or malformed.

    Examples
    --------
    >>> read_sources(Task("xmm", "sources", "0404910601", "native", "1", '{"band":"500-2000 eV"}')).band
    (0.5, 2.0)
    """
    values = read_values(task)
    return SourcesParameters(search=values.pop("search") != "none", **values)


def read_values(task: Task) -> dict[str, Any]:
    """The value of every parameter of a task's step.

    Raises
    ------
    ConfigError
        One is unknown, malformed or lacking.
    """
    known = native_parameters(find_mission(task.mission).name)[task.step]
    values, faults = read_parameters(task.step, known, json.loads(task.parameters))
    for fault in faults or _lacking(task.step, values):
        raise ConfigError(
            fault.name,
            f"{task.step}.{fault.key}: {fault.message} ({task.mission} {task.obs_id})",
            remedy=f"in params/{task.mission}.toml, [{task.step}]: {fault.remedy}",
        )
    return values


def check_parameters(
    mission: str, tables: Mapping[str, Mapping[str, object]], instruments: Sequence[str] = ()
) -> list[Fault]:
    """Everything that is wrong with the parameters of one observation, or of all that share them.

    Parameters
    ----------
    mission
        Whose params file it is.
    tables
        Step to its parameters, overrides included, as `daxa.quantities.normalise` gives them.
    instruments
        Chosen instruments: bands that one of them cannot have are faults.
    """
    spec = find_mission(mission)
    known = native_parameters(spec.name)
    values, faults = {}, []
    for step in known:
        values[step], wrong = read_parameters(step, known[step], tables.get(step, {}))
        faults += wrong or _lacking(step, values[step])
    faulty = {(fault.step, fault.key) for fault in faults}
    bands, searched = values["images"]["bands"], values["sources"]["band"]
    known_bands = not faulty & {("images", "bands"), ("sources", "band")} and values["sources"]["search"] != "none"
    if known_bands and searched is not None and searched not in bands:
        made = ", ".join(f'"{band_text(band)}"' for band in bands)
        message = f"there are no images of {band_text(searched)}"
        faults.append(Fault("sources", "band", message, f"choose from {made}, or add it to [images]"))
    if ("images", "bands") not in faulty:
        faults += _impossible(spec, "images", "bands", bands, instruments)
    clean = values["clean"]
    if clean["flares"] != "none" and clean["flare_band"] and ("clean", "flare_band") not in faulty:
        faults += _impossible(spec, "clean", "flare_band", (clean["flare_band"],), instruments)
    return faults


def _lacking(step: str, values: Mapping[str, Any]) -> Iterator[Fault]:
    """Parameters that a method needs and that have no default."""
    if step != "clean" or values["flares"] == "none":
        return
    method = values["flares"]
    if not values["flare_band"]:
        yield Fault(step, "flare_band", f'flares = "{method}" needs it', 'give energies, such as "10-12 keV"')
    if method == "threshold" and values["flare_threshold"] is None:
        yield Fault(step, "flare_threshold", f'flares = "{method}" needs it', 'give a rate, such as "0.4 count/s"')


def _impossible(
    spec: MissionSpec, step: str, key: str, bands: Sequence[tuple[float, float]], instruments: Sequence[str]
) -> Iterator[Fault]:
    """Bands that an instrument's events cannot be cut to, whatever its mode."""
    usual = {(band.lo, band.hi) for band in spec.bands} | ({spec.flares.band} if spec.flares else set())
    if usual.issuperset(bands):
        return
    from daxa.xray.lists.formats import FORMATS

    refused: dict[str, NotPossible] = {}
    for name in instruments:
        # An instrument without a declaration of its own has been renamed since: nothing is known of it.
        names = next(({one.name, *one.aliases} for one in spec.instruments if one.name == name), {name})
        forms = [form for form in FORMATS.values() if form.mission == spec.name and form.instrument in names]
        # A flare filter leaves out instruments without energies, and says so.
        if key == "flare_band":
            forms = [form for form in forms if form.pi_to_kev is not None]
        refusals = [refusal for form in forms if (refusal := _refusal(form, bands))]
        if forms and len(refusals) == len(forms):
            refused[name] = refusals[0]
    if refused:
        first = next(iter(refused.values()))
        others = f"; the same holds for {', '.join(list(refused)[1:])}" if len(refused) > 1 else ""
        yield Fault(step, key, f"{first.message}{others}", first.remedy, "impossible")


def _refusal(form: EventFormat, bands: Sequence[tuple[float, float]]) -> NotPossible | None:
    from daxa.xray.lists.bands import adjacent_ranges

    try:
        adjacent_ranges(form, bands)
    except NotPossible as refusal:
        return refusal
    return None
