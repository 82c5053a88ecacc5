"""Find a mission's declaration by name: those of this package, and those of plug-ins.

A plug-in is an installed distribution with an entry point in the group
``daxa.missions``: its name is the mission's short name, its value a `MissionSpec`, such
as ``lobster = "lobster_xray.mission:SPEC"``.
"""

from __future__ import annotations

import warnings
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from daxa.errors import ConfigError, CriteriaError
from daxa.missions.contract import check_declaration
from daxa.missions.spec import MissionSpec
from daxa.naming import did_you_mean

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["GROUP", "find_mission", "forget_plug_ins", "mission_names"]

GROUP = "daxa.missions"
"""The group of entry points in which plug-ins offer missions."""


@cache
def _declared() -> tuple[str, ...]:
    """Short names of the missions in the folder `daxa.missions.declared`."""
    from pkgutil import iter_modules

    from daxa.missions import declared

    return tuple(sorted(module.name for module in iter_modules(declared.__path__)))


def mission_names(*, processed: bool = False) -> tuple[str, ...]:
    """Short names of all missions.

    Parameters
    ----------
    processed
        Only those whose data the native backend processes today.

    Raises
    ------
    ConfigError
        Two declarations claim one name.

    Examples
    --------
    >>> mission_names(processed=True)[:3]
    ('asca', 'chandra', 'erass1')
    """
    names = (*_declared(), *_offered())
    return tuple(name for name in names if find_mission(name).processed) if processed else names


def find_mission(name: str) -> MissionSpec:
    """The declaration of a mission, by its short name or an alias.

    Raises
    ------
    CriteriaError
        No mission has this name.
    ConfigError
        Two declarations claim one name.

    Examples
    --------
    >>> find_mission("XMM-Newton").name
    'xmm'
    """
    if not isinstance(name, str):
        raise CriteriaError("mission", f"{name!r:.100} does not name a mission", remedy="give its name, such as 'xmm'")
    wanted = name.strip().lower()
    offered = _offered()
    if wanted in _declared():
        return _load(wanted)
    if wanted in offered:
        return offered[wanted]
    for spec in (*map(_load, _declared()), *offered.values()):
        if wanted in _names_of(spec):
            return spec
    names = (*_declared(), *offered)
    message = f"there is no mission called {name!r:.100}{did_you_mean(name, names)}"
    raise CriteriaError("mission", message, remedy=f"choose from {', '.join(names)}")


def _load(name: str) -> MissionSpec:
    return import_module(f"daxa.missions.declared.{name}").SPEC


@cache
def _offered() -> dict[str, MissionSpec]:
    """Short name to declaration of the missions that plug-ins offer."""
    from importlib.metadata import entry_points

    points = sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value))
    if not points:
        return {}
    claimed = {name: "daxa itself" for spec in map(_load, _declared()) for name in _names_of(spec)}
    offered: dict[str, MissionSpec] = {}
    for point in points:
        _claim(claimed, {point.name.lower()}, _origin(point))
        if spec := _read(point):
            _claim(claimed, _names_of(spec) - {point.name.lower()}, _origin(point))
            offered[spec.name] = spec
    return offered


def forget_plug_ins() -> None:
    """Look for plug-ins anew the next time, for tests of plug-ins that install one meanwhile."""
    _offered.cache_clear()


def _names_of(spec: MissionSpec) -> set[str]:
    return {spec.name, *(alias.lower() for alias in spec.aliases)}


def _claim(claimed: dict[str, str], names: set[str], owner: str) -> None:
    for name in sorted(names):
        if name in claimed:
            raise ConfigError(
                "mission-clash",
                f"the mission name {name!r} is claimed by {claimed[name]} and by {owner}",
                remedy="uninstall one of them, or ask its author for another name",
            )
        claimed[name] = owner


def _origin(point: EntryPoint) -> str:
    return f"the plug-in {point.dist.name if point.dist else 'without distribution'} ({point.value})"


def _read(point: EntryPoint) -> MissionSpec | None:
    """The plug-in's declaration; None, with a warning, when it cannot be used."""
    try:
        spec = point.load()
        if not isinstance(spec, MissionSpec):
            raise TypeError(f"it is not a MissionSpec but {type(spec).__name__}")
        check_declaration(spec)
        if spec.name != point.name:
            raise ValueError(f"it declares {spec.name!r}, not {point.name!r}")
    except Exception as error:  # a stranger's module may raise anything, and must not stop the others
        warnings.warn(f"{_origin(point)} is left out: {type(error).__name__}: {error}", RuntimeWarning, stacklevel=2)
        return None
    return spec
