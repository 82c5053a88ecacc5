"""Find a mission's declaration by name."""

from __future__ import annotations

from importlib import import_module

from daxa.errors import CriteriaError
from daxa.missions.spec import MissionSpec

__all__ = ["find_mission", "mission_names"]

_DECLARED = ("xmm", "chandra", "nustar")


def mission_names() -> tuple[str, ...]:
    """Short names of all missions.

    Examples
    --------
    >>> mission_names()
    ('xmm', 'chandra', 'nustar')
    """
    return _DECLARED


def find_mission(name: str) -> MissionSpec:
    """The declaration of a mission, by its short name or an alias.

    Raises
    ------
    CriteriaError
        No mission has this name.

    Examples
    --------
    >>> find_mission("XMM-Newton").name
    'xmm'
    """
    wanted = name.strip().lower()
    if wanted in _DECLARED:
        return _load(wanted)
    for declared in _DECLARED:
        spec = _load(declared)
        if wanted in (alias.lower() for alias in spec.aliases):
            return spec
    raise CriteriaError("mission", f"there is no mission called {name!r}", remedy=f"choose from {', '.join(_DECLARED)}")


def _load(name: str) -> MissionSpec:
    return import_module(f"daxa.missions.{name}").SPEC
