"""Parameters of the step sources: validated, with units."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from daxa.errors import ConfigError, DataError, NotPossible
from daxa.run.task import Task

__all__ = ["SourcesParameters", "read_sources"]

_KNOWN = ("search", "false_per_field", "band", "scales", "regions")
_SEARCHES = ("wavelets", "none")
_LOWEST = "lowest"
_BAND = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*-\s*(\d+(?:\.\d*)?|\.\d+) ?(keV|eV)", re.ASCII)
_MOST_FALSE = 1000.0


@dataclass(frozen=True)
class SourcesParameters:
    """Of the step sources.

    Parameters
    ----------
    search
        False: no source is looked for.
    false_per_field
        Sources that noise alone may make in an image, in the mean.
    band
        Energies (keV) of the images to search; None takes those of lowest energy.
    scales
        Scales of the wavelets, pixels; None takes those that fit the point spread function.
    regions
        Areas to leave out, text of a DS9 region file, '' for none.
    """

    search: bool
    false_per_field: float
    band: tuple[float, float] | None
    scales: tuple[float, ...] | None
    regions: str


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
    table = json.loads(task.parameters)
    for key in sorted(table):
        if key not in _KNOWN:
            raise ConfigError(
                "unknown-parameter",
                f"{task.step} of {task.mission} has no parameter {key!r} ({task.obs_id})",
                remedy=f"use {', '.join(_KNOWN)} in [{task.step}] of params/{task.mission}.toml",
            )
    search = table.get("search", _SEARCHES[0])
    if search not in _SEARCHES:
        raise _malformed(task, "search", search, f"write one of {', '.join(map(repr, _SEARCHES))}")
    return SourcesParameters(
        search=search == _SEARCHES[0],
        false_per_field=_number_of_false(task, table.get("false_per_field", 1.0)),
        band=_band(task, table.get("band", _LOWEST)),
        scales=_scales(task, table),
        regions=_regions(task, table.get("regions", "")),
    )


def _number_of_false(task: Task, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _MOST_FALSE:
        remedy = f'write a number above 0, at most {_MOST_FALSE:g}; to look for no sources write search = "none"'
        raise _malformed(task, "false_per_field", value, remedy)
    return float(value)


def _band(task: Task, text: object) -> tuple[float, float] | None:
    if text == _LOWEST:
        return None
    found = _BAND.fullmatch(text) if isinstance(text, str) else None
    if not found or float(found[1]) >= float(found[2]):
        remedy = f'write "{_LOWEST}", or one of the bands of [images] such as "0.5-2.0 keV"'
        raise _malformed(task, "band", text, remedy)
    unit = 0.001 if found[3] == "eV" else 1.0
    # Six digits, as in the names of the images.
    return round(float(found[1]) * unit, 6), round(float(found[2]) * unit, 6)


def _scales(task: Task, table: Mapping[str, object]) -> tuple[float, ...] | None:
    if "scales" not in table:
        return None
    from daxa.xray.detection.wavelet import make_wavelets

    values = table["scales"]
    if not isinstance(values, list) or not all(isinstance(v, float) and math.isfinite(v) for v in values):
        raise _malformed(task, "scales", values, "give a list of pixels such as [1, 1.414, 2, 2.828, 4]")
    try:
        return tuple(wavelet.scale for wavelet in make_wavelets(tuple(values)))
    except NotPossible as problem:
        raise _malformed(task, "scales", values, problem.remedy) from None


def _regions(task: Task, text: object) -> str:
    if not isinstance(text, str):
        raise _malformed(task, "regions", text, "give the text of a DS9 region file, in three quotation marks")
    if not text.strip():
        return ""
    from daxa.xray.lists.regions import parse_regions

    try:
        parse_regions(text, f"sources.regions of {task.mission} {task.obs_id}", say=lambda _: None)
    except DataError as problem:
        raise ConfigError("bad-parameter", problem.message, remedy="copy the text of a region file of DS9") from None
    return text


def _malformed(task: Task, key: str, value: object, remedy: str) -> ConfigError:
    return ConfigError(
        "bad-parameter",
        f"{task.step}.{key} = {value!r} cannot be used ({task.mission} {task.obs_id})",
        remedy=f"in params/{task.mission}.toml, [{task.step}]: {remedy}",
    )
