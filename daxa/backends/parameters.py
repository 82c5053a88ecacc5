"""Parameters of the native steps: validated, with units, defaults from the mission."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from daxa.errors import ConfigError
from daxa.missions import MissionSpec, find_mission
from daxa.run.task import Task
from daxa.xray.cleaning.flares import FLARE_METHODS

__all__ = ["CleanParameters", "EventsParameters", "ImagesParameters", "read_clean", "read_events", "read_images"]

_NUMBER = r"\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?"
_QUANTITY = re.compile(rf"({_NUMBER})(?:\s*-\s*({_NUMBER}))? ?([A-Za-z]+(?:/s)?)", re.ASCII)
_UNITS: Mapping[str, Mapping[str, float]] = {
    "s": {"s": 1.0, "ks": 1000.0, "min": 60.0, "h": 3600.0},
    "arcsec": {"arcsec": 1.0, "arcmin": 60.0},
    "keV": {"keV": 1.0, "eV": 0.001},
    "count/s": {"count/s": 1.0, "ct/s": 1.0},
}
_CLEAN = (
    "screening",
    "flares",
    "mask_sources",
    "flare_sigma",
    "flare_threshold",
    "flare_scale",
    "flare_band",
    "flare_soft_band",
    "flare_bin",
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


def read_events(task: Task) -> EventsParameters:
    """Parameters of an events task.

    Raises
    ------
    ConfigError
        One is unknown or malformed.
    """
    table = _table(task, ("min_ontime",))
    return EventsParameters(_single(task, table, "min_ontime", "s", 0.0, least=0.0))


def read_clean(task: Task) -> CleanParameters:
    """Parameters of a clean task.

    Raises
    ------
    ConfigError
        One is unknown or malformed, or flares are to be cut without what the method needs.
    """
    table = _table(task, _CLEAN)
    facts = find_mission(task.mission).flares
    method = _choice(task, table, "flares", (*FLARE_METHODS, "none"), "histogram" if facts else "none")
    band = _band(task, "flare_band", table["flare_band"]) if "flare_band" in table else (facts and facts.band)
    if method != "none" and not band:
        raise _malformed(task, "flare_band", None, 'give the energies that show flares, such as "10-12 keV"')
    threshold = _single(task, table, "flare_threshold", "count/s", 0.4, least=1e-9)
    if method == "threshold" and "flare_threshold" not in table:
        raise _malformed(task, "flare_threshold", None, 'give the most that is kept, such as "0.4 count/s"')
    return CleanParameters(
        screening=_choice(task, table, "screening", ("standard", "none"), "standard") == "standard",
        flares=method,
        mask_sources=_flag(task, table, "mask_sources", default=True),
        flare_sigma=_plain_number(task, table, "flare_sigma", 3.0, least=0.5, most=100.0),
        flare_threshold=threshold if "flare_threshold" in table else None,
        flare_scale=_plain_number(task, table, "flare_scale", 1.2, least=1.001, most=100.0),
        flare_band=band or None,
        flare_bin=_single(task, table, "flare_bin", "s", facts.bin if facts else 100.0, least=1.0),
        flare_soft_band=_soft_band(task, table, facts and facts.soft),
    )


def read_images(task: Task) -> ImagesParameters:
    """Parameters of an images task.

    Raises
    ------
    ConfigError
        One is unknown or malformed, or a band is named twice.
    """
    table = _table(task, ("bands", "pixel", "lightcurve_bin"))
    spec = find_mission(task.mission)
    return ImagesParameters(
        bands=_bands(task, table, spec),
        pixel=_single(task, table, "pixel", "arcsec", spec.image_pixel, least=0.01),
        lightcurve_bin=_single(task, table, "lightcurve_bin", "s", 100.0, least=1.0),
    )


def _table(task: Task, known: Sequence[str]) -> dict[str, object]:
    table = json.loads(task.parameters)
    for key in sorted(table):
        if key not in known:
            raise ConfigError(
                "unknown-parameter",
                f"{task.step} of {task.mission} has no parameter {key!r} ({task.obs_id})",
                remedy=f"use {', '.join(known)} in [{task.step}] of params/{task.mission}.toml",
            )
    return table


def _bands(task: Task, table: Mapping[str, object], spec: MissionSpec) -> tuple[tuple[float, float], ...]:
    if "bands" not in table:
        return tuple((band.lo, band.hi) for band in spec.bands)
    texts = table["bands"]
    if not isinstance(texts, list) or not texts:
        raise _malformed(task, "bands", texts, 'give a list such as ["0.5-2.0 keV"]')
    bands = tuple(_band(task, "bands", text) for text in texts)
    if len(set(bands)) != len(bands):
        raise _malformed(task, "bands", texts, "name each band once")
    return bands


def _band(task: Task, key: str, text: object) -> tuple[float, float]:
    found = _QUANTITY.fullmatch(text) if isinstance(text, str) else None
    unit = _UNITS["keV"].get(found[3]) if found else None
    if not found or not found[2] or unit is None or float(found[1]) >= float(found[2]):
        raise _malformed(task, key, text, 'write it as "0.5-2.0 keV", the lower energy first')
    # Six digits: 500 eV are 0.5 keV in the name of a product.
    return round(float(found[1]) * unit, 6), round(float(found[2]) * unit, 6)


def _soft_band(
    task: Task, table: Mapping[str, object], default: tuple[float, float] | None
) -> tuple[float, float] | None:
    text = table.get("flare_soft_band")
    if text is None:
        return default
    return None if text == "none" else _band(task, "flare_soft_band", text)


def _single(task: Task, table: Mapping[str, object], key: str, unit: str, default: float, *, least: float) -> float:
    if key not in table:
        return default
    text = table[key]
    found = _QUANTITY.fullmatch(text) if isinstance(text, str) else None
    factor = _UNITS[unit].get(found[3]) if found else None
    if not found or found[2] or factor is None or not least <= float(found[1]) * factor < 1e12:
        raise _malformed(
            task, key, text, f'write a number of at least {least:g} and a unit, such as "{default:g} {unit}"'
        )
    return float(found[1]) * factor


def _plain_number(
    task: Task, table: Mapping[str, object], key: str, default: float, *, least: float, most: float
) -> float:
    value = table.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise _malformed(task, key, value, f"write a number from {least:g} to {most:g}")
    return float(value)


def _flag(task: Task, table: Mapping[str, object], key: str, *, default: bool) -> bool:
    value = table.get(key, default)
    if not isinstance(value, bool):
        raise _malformed(task, key, value, "write true or false")
    return value


def _choice(task: Task, table: Mapping[str, object], key: str, known: Sequence[str], default: str) -> str:
    value = table.get(key, default)
    if value not in known:
        raise _malformed(task, key, value, f"write one of {', '.join(map(repr, known))}")
    return str(value)


def _malformed(task: Task, key: str, value: object, remedy: str) -> ConfigError:
    return ConfigError(
        "bad-parameter",
        f"{task.step}.{key} = {value!r} cannot be used ({task.mission} {task.obs_id})",
        remedy=f"in params/{task.mission}.toml, [{task.step}]: {remedy}",
    )
