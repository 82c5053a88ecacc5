"""Find a mission's declaration by name: those of this package, and those of plug-ins.

A plug-in is an installed distribution with an entry point in the group
``daxa.missions``: its name is the mission's short name, its value a `MissionSpec`, such
as ``lobster = "lobster_xray.mission:SPEC"``.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module

from daxa import plugins
from daxa.errors import ConfigError, CriteriaError
from daxa.missions.contract import check_declaration
from daxa.missions.spec import MissionSpec
from daxa.naming import did_you_mean

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
    key = name.strip().lower()
    offered = _offered()
    if key in _declared():
        return _load(key)
    if key in offered:
        return offered[key]
    for spec in (*map(_load, _declared()), *offered.values()):
        if key in _names_of(spec):
            return spec
    names = (*_declared(), *offered)
    message = f"there is no mission called {name!r:.100}{did_you_mean(name, names)}"
    raise CriteriaError("mission", message, remedy=f"choose from {', '.join(names)}")


def _load(name: str) -> MissionSpec:
    spec: MissionSpec = import_module(f"daxa.missions.declared.{name}").SPEC
    return spec


@cache
def _offered() -> dict[str, MissionSpec]:
    """Short name to declaration of the missions that plug-ins offer."""
    if not plugins.points(GROUP):
        return {}
    claimed = {name: "daxa itself" for spec in map(_load, _declared()) for name in _names_of(spec)}
    offered: dict[str, MissionSpec] = {}
    for point in plugins.points(GROUP):
        _claim(claimed, {point.name.lower()}, plugins.origin_of(point))
        if spec := plugins.read_declaration(point, MissionSpec, check_declaration):
            _claim(claimed, _names_of(spec) - {point.name.lower()}, plugins.origin_of(point))
            offered[spec.name] = spec
    return offered


def forget_plug_ins() -> None:
    """Look for plug-ins again the next time, for tests of plug-ins that install one meanwhile."""
    plugins.forget()
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
