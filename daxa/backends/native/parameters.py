"""Parameters of the native steps: tables from which they are read and checked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from daxa.backends.native.clean_parameters import CleanParameters, clean_parameters
from daxa.backends.native.source_parameters import SOURCES
from daxa.backends.parameter_schema import Parameter, ParameterProblem, read_parameters
from daxa.errors import ConfigError, NotPossible
from daxa.missions import MissionSpec, find_mission
from daxa.naming import did_you_mean
from daxa.quantities import band_text
from daxa.run.task import Task

if TYPE_CHECKING:
    from daxa.xray.eventlists.formats import EventFormat

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


@cache
def native_parameters(mission: str) -> Mapping[str, tuple[Parameter, ...]]:
    """The parameters in a mission's params file, by step; defaults are the mission's.

    Examples
    --------
    >>> [parameter.name for parameter in native_parameters("xmm")["images"]]
    ['bands', 'pixel', 'lightcurve_bin', 'out_of_time']
    """
    spec = find_mission(mission)
    return {
        "events": (
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
        "clean": clean_parameters(spec),
        "images": _images(spec),
        "sources": SOURCES,
    }


def _images(spec: MissionSpec) -> tuple[Parameter, ...]:
    from daxa.xray.telescopes.registry import camera_of, imaging_of

    usual = imaging_of(spec.name)
    titles = [one.title for item in spec.instruments if (one := camera_of(spec.name, item.name).readout)]
    return (
        Parameter(
            "bands",
            "bands",
            tuple((band.lo, band.hi) for band in usual.bands),
            "energy bands of the images",
            unit="keV",
        ),
        Parameter(
            "pixel",
            "quantity",
            usual.pixel,
            "pixel size",
            unit="arcsec",
            least=0.01,
            most=_LONGEST,
            example=f"{usual.pixel or 4:g} arcsec",
            shown="line" if usual.pixel else "hidden",
        ),
        Parameter(
            "lightcurve_bin", "quantity", 100.0, "bin width of the light curve", unit="s", least=1.0, most=_LONGEST
        ),
        Parameter(
            "out_of_time",
            "choice",
            "none",
            (f"{titles[0]}: " if titles else "")
            + '"product" adds an image of the expected out-of-time events; "subtract" also subtracts it',
            choices=("none", "product", "subtract"),
            shown="line" if titles else "hidden",
        ),
    )


@dataclass(frozen=True)
class EventsParameters:
    """Parameters of the step events: least good time of an exposure, s."""

    min_ontime: float


@dataclass(frozen=True)
class ImagesParameters:
    """Parameters of the step images: bands (keV), pixel (arcsec), bin of the light curve (s), out-of-time events."""

    bands: tuple[tuple[float, float], ...]
    pixel: float
    lightcurve_bin: float
    out_of_time: str = "none"


@dataclass(frozen=True)
class SourcesParameters:
    """Parameters of the step sources.

    Parameters
    ----------
    search
        Whether to search for sources.
    false_per_field
        Spurious sources expected in an image, on average.
    band
        Energies (keV) of the images to search; None takes those of lowest energy.
    scales
        Scales of the wavelets, pixels; None takes those that fit the point spread function.
    regions
        Regions to leave out, as text of a DS9 region file; '' for none.
    realisations
        Simulated fields in which false sources within extended light are counted.
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
        One is unknown or malformed, or the flare method lacks a parameter.
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
) -> list[ParameterProblem]:
    """All problems of the parameters of one observation, or of all that share them.

    Parameters
    ----------
    mission
        Whose params file it is.
    tables
        Step to its parameters, overrides included, as `daxa.quantities.normalise` gives them; of the steps
        that are done natively.
    instruments
        Chosen instruments: bands that one of them cannot have are problems.
    """
    spec = find_mission(mission)
    known = native_parameters(spec.name)
    values: dict[str, dict[str, Any]] = {}
    faults: list[ParameterProblem] = []
    for step in known:
        values[step], wrong = read_parameters(step, known[step], tables.get(step, {}))
        faults += wrong or _lacking(step, values[step])
    faulty = {(fault.step, fault.key) for fault in faults}
    # Another backend may name its bands as it likes.
    faulty |= {("images", "bands")} - {(step, "bands") for step in tables}
    bands, searched = values["images"]["bands"], values["sources"]["band"]
    known_bands = not faulty & {("images", "bands"), ("sources", "band")} and values["sources"]["search"] != "none"
    if known_bands and searched is not None and searched not in bands:
        made = ", ".join(f'"{band_text(band)}"' for band in bands)
        message = f"there are no images of {band_text(searched)}"
        faults.append(ParameterProblem("sources", "band", message, f"choose from {made}, or add it to [images]"))
    if ("images", "bands") not in faulty:
        faults += _impossible(spec, "images", "bands", bands, instruments)
    clean = values["clean"]
    looked_at = ("flare_band", "flare_bands") if clean["flares"] != "none" else ()
    for key in (*looked_at, "energy"):
        asked = clean[key] if key == "flare_bands" else (clean[key],) if clean[key] else ()
        if asked and ("clean", key) not in faulty:
            faults += _impossible(spec, "clean", key, asked, instruments)
    if clean["energy"] and not faulty & {("images", "bands"), ("clean", "energy")}:
        faults += _beyond(clean["energy"], bands)
    if clean["chips"] and ("clean", "chips") not in faulty:
        faults += _without_chips(spec, clean["chips"])
    return faults


def _without_chips(spec: MissionSpec, text: str) -> Iterator[ParameterProblem]:
    """Instruments whose chips cannot be chosen: choosing them would have no effect."""
    from daxa.xray.cleaning.chips import parse_chips
    from daxa.xray.eventlists.formats import FORMATS

    forms = FORMATS.values()
    known = list(dict.fromkeys(form.instrument for form in forms if form.mission == spec.name and form.chip_column))
    for name, _ in parse_chips(text):
        if known and name and name not in known:
            message = f"{spec.title} has no instrument {name} whose chips can be chosen{did_you_mean(name, known)}"
            yield ParameterProblem("clean", "chips", message, f"choose from {', '.join(known)}")
    if not known:
        yield ParameterProblem("clean", "chips", f"the chips of {spec.title} cannot be chosen", "leave it out")


def _beyond(energy: tuple[float, float], bands: Sequence[tuple[float, float]]) -> Iterator[ParameterProblem]:
    """Bands of images that the cleaned lists would cover only partly."""
    for band in bands:
        if band[0] < energy[0] or band[1] > energy[1]:
            message = f"the lists would be limited to {band_text(energy)}, and images of {band_text(band)} incomplete"
            yield ParameterProblem("clean", "energy", message, "give energies that include all bands of [images]")


def _lacking(step: str, values: Mapping[str, Any]) -> Iterator[ParameterProblem]:
    """Parameters that a method needs and that have no default."""
    if step != "clean" or values["flares"] == "none":
        return
    method = values["flares"]
    if not values["flare_band"]:
        yield ParameterProblem(
            step, "flare_band", f'flares = "{method}" needs it', 'give energies, such as "10-12 keV"'
        )
    if method == "threshold" and values["flare_threshold"] is None:
        yield ParameterProblem(
            step, "flare_threshold", f'flares = "{method}" needs it', 'give a rate, such as "0.4 count/s"'
        )


def _impossible(
    spec: MissionSpec, step: str, key: str, bands: Sequence[tuple[float, float]], instruments: Sequence[str]
) -> Iterator[ParameterProblem]:
    """Bands that an instrument's events cannot be cut to in any mode."""
    from daxa.xray.telescopes.registry import imaging_of

    usual = imaging_of(spec.name)
    named = {(band.lo, band.hi) for band in usual.bands} | ({usual.flares.band} if usual.flares else set())
    if named.issuperset(bands):
        return
    from daxa.xray.eventlists.formats import FORMATS

    refused: dict[str, NotPossible] = {}
    for name in instruments:
        # An instrument without a declaration of its own has been renamed since: nothing is known of it.
        names = next(({one.name, *one.aliases} for one in spec.instruments if one.name == name), {name})
        forms = [form for form in FORMATS.values() if form.mission == spec.name and form.instrument in names]
        # A flare filter leaves out instruments without energies, and says so.
        if step == "clean":
            forms = [form for form in forms if form.pi_to_kev is not None]
        refusals = [refusal for form in forms if (refusal := _refusal(form, bands))]
        if forms and len(refusals) == len(forms):
            refused[name] = refusals[0]
    if refused:
        first = next(iter(refused.values()))
        others = f"; the same applies to {', '.join(list(refused)[1:])}" if len(refused) > 1 else ""
        yield ParameterProblem(step, key, f"{first.message}{others}", first.remedy, "impossible")


def _refusal(form: EventFormat, bands: Sequence[tuple[float, float]]) -> NotPossible | None:
    from daxa.xray.eventlists.channels import adjacent_ranges

    try:
        adjacent_ranges(form, bands)
    except NotPossible as refusal:
        return refusal
    return None
