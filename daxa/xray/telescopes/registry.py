"""Find the declared telescopes: those of this package, and those of plug-ins.

A plug-in is an installed distribution with an entry point in the group ``daxa.telescopes``: its
name is the telescope's short name, its value a `Telescope`, such as
``lobster = "lobster_xray.telescope:TELESCOPE"``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType
from typing import TypeVar

from daxa.errors import ConfigError
from daxa.plugins import forget, offered, origin_of, read_declaration
from daxa.xray.telescopes import declared
from daxa.xray.telescopes.contract import check_telescope
from daxa.xray.telescopes.eventformat import EventFormat
from daxa.xray.telescopes.imaging import Imaging
from daxa.xray.telescopes.optics import PsfFacts
from daxa.xray.telescopes.spec import Camera, Telescope

__all__ = [
    "GROUP",
    "LazyDeclarations",
    "camera_of",
    "event_formats",
    "forget_plug_ins",
    "imaging_of",
    "left_out",
    "psf_facts",
    "telescop_names",
    "telescope_of",
    "telescopes",
]

GROUP = "daxa.telescopes"
"""The group of entry points in which plug-ins offer telescopes."""


_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class LazyDeclarations(Mapping[_Key, _Value]):
    """A mapping made of declarations, read when it is first used: importing daxa loads no plug-in.

    Parameters
    ----------
    read
        Gives the mapping.
    """

    def __init__(self, read: Callable[[], Mapping[_Key, _Value]]) -> None:
        self._read = read

    def __getitem__(self, key: _Key) -> _Value:
        return self._read()[key]

    def __iter__(self) -> Iterator[_Key]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())


@cache
def telescopes() -> Mapping[str, Telescope]:
    """Short name to declaration of all telescopes.

    Raises
    ------
    ConfigError
        Two declarations claim one name, one value of TELESCOP or one mission.

    Examples
    --------
    >>> telescopes()["nustar"].missions
    ('nustar',)
    """
    names = sorted(module.name for module in iter_modules(declared.__path__))
    found: dict[str, Telescope] = {name: import_module(f"{declared.__name__}.{name}").TELESCOPE for name in names}
    owners = dict.fromkeys((claim for one in found.values() for claim in _claims(one)), "daxa itself")
    for name, point in offered(GROUP, found).items():
        if (one := read_declaration(point, Telescope, check_telescope)) is None:
            continue
        for claim in _claims(one):
            if claim in owners:
                raise ConfigError(
                    "telescope-clash",
                    f"{claim} is claimed by {owners[claim]} and by {origin_of(point)}",
                    remedy="uninstall one of them, or ask its author for another name",
                )
            owners[claim] = origin_of(point)
        found[name] = one
    return MappingProxyType(found)


def _claims(one: Telescope) -> tuple[str, ...]:
    return (
        *(f"TELESCOP = {value!r}" for value in one.telescop),
        *(f"the mission {mission!r} in event formats" for mission in one.missions),
    )


@cache
def event_formats() -> Mapping[tuple[str, ...], EventFormat]:
    """``(TELESCOP, INSTRUME)``, with the mode where modes differ, to the format of the event lists."""
    return MappingProxyType(
        {(one.telescop[0], *key): form for one in telescopes().values() for key, form in one.formats.items()}
    )


@cache
def telescop_names() -> Mapping[str, str]:
    """Every value of TELESCOP to the one in `event_formats`."""
    return MappingProxyType({name: one.telescop[0] for one in telescopes().values() for name in one.telescop})


def left_out(telescop: str, instrume: str) -> str:
    """Why the lists of an instrument are left to the mission's own software; '' where they are not.

    Examples
    --------
    >>> left_out("SWIFT", "UVOTA")
    "it records no X-ray photons; use the archive's level 2 images"
    """
    for one in telescopes().values():
        for start, reason in one.not_native.items() if telescop in one.telescop else ():
            if instrume.startswith(start):
                return reason
    return ""


@cache
def telescope_of(mission: str) -> Telescope | None:
    """The telescope of a mission; None where nothing is declared of its event lists."""
    return next((one for one in telescopes().values() if mission in one.missions), None)


@cache
def camera_of(mission: str, instrument: str) -> Camera:
    """What is known of an instrument beyond its event lists: nothing, where nothing is declared.

    Parameters
    ----------
    mission, instrument
        As in an `EventFormat`.

    Examples
    --------
    >>> camera_of("swift", "XRT").pile_up[""]
    0.5
    >>> camera_of("maxi", "GSC").detector is None
    True
    """
    one = telescope_of(mission)
    for camera in one.cameras if one else ():
        if instrument in camera.instruments and (not camera.missions or mission in camera.missions):
            return camera
    return Camera((instrument,))


@cache
def imaging_of(mission: str) -> Imaging:
    """How the events of a mission are usually imaged: nothing, where nothing is declared.

    Examples
    --------
    >>> [band.text for band in imaging_of("nustar").bands], imaging_of("maxi").bands
    (['3-10 keV', '10-30 keV'], ())
    """
    one = telescope_of(mission)
    return one.imaging.get(mission, Imaging()) if one else Imaging()


@cache
def psf_facts() -> Mapping[str, PsfFacts]:
    """Name to every point spread function that is declared."""
    known = [camera.psf for one in telescopes().values() for camera in one.cameras if camera.psf]
    return MappingProxyType({facts.name: facts for facts in reversed(known)})


def forget_plug_ins() -> None:
    """Look for plug-ins again the next time, for tests of plug-ins that install one meanwhile."""
    forget()
    for found in (telescopes, event_formats, telescop_names, telescope_of, camera_of, imaging_of, psf_facts):
        found.cache_clear()
