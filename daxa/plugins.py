"""What installed distributions offer through entry points, found by name and loaded only when it is named.

An archive names a step or a backend; which code that is, is decided by what the user has installed.
Nothing in an archive can name a module.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Mapping
from functools import cache
from typing import TYPE_CHECKING, Protocol, TypeVar

from daxa.errors import ConfigError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["forget", "load", "offered", "origin_of", "points", "read_declaration"]


class _Named(Protocol):
    @property
    def name(self) -> str: ...


_Declaration = TypeVar("_Declaration", bound=_Named)


@cache
def points(group: str) -> tuple[EntryPoint, ...]:
    """What plug-ins offer in a group, sorted by name; nothing is imported."""
    from importlib.metadata import entry_points

    return tuple(sorted(entry_points(group=group), key=lambda point: (point.name, point.value)))


def offered(group: str, own: Collection[str]) -> Mapping[str, EntryPoint]:
    """Name to entry point of what plug-ins offer in a group; nothing is imported.

    Parameters
    ----------
    group
        Such as ``daxa.backends``.
    own
        Names that are daxa's own.

    Raises
    ------
    ConfigError
        A name is claimed twice.

    Examples
    --------
    >>> offered("daxa.nothing", ())
    {}
    """
    claimed: dict[str, EntryPoint] = {}
    for point in points(group):
        if point.name in own or point.name in claimed:
            owner = "daxa itself" if point.name in own else origin_of(claimed[point.name])
            raise ConfigError(
                "plugin-clash",
                f"the name {point.name!r} in {group} is claimed by {owner} and by {origin_of(point)}",
                remedy="uninstall one of them, or ask its author for another name",
            )
        claimed[point.name] = point
    return claimed


def forget() -> None:
    """Look for installed distributions again the next time, for tests that install one meanwhile."""
    points.cache_clear()


def origin_of(point: EntryPoint) -> str:
    """The distribution and the object behind an entry point, for messages."""
    return f"the plug-in {point.dist.name if point.dist else 'without distribution'} ({point.value})"


def load(point: EntryPoint) -> object:
    """The object that an entry point names.

    Raises
    ------
    ConfigError
        It cannot be imported.
    """
    try:
        found: object = point.load()
    except Exception as error:  # somebody else's module may raise anything
        raise ConfigError(
            "plugin",
            f"{origin_of(point)} cannot be loaded: {type(error).__name__}: {error}",
            remedy="update or reinstall that package",
        ) from error
    return found


def read_declaration(
    point: EntryPoint, kind: type[_Declaration], check: Callable[[_Declaration], None]
) -> _Declaration | None:
    """What a plug-in declares; None, with a warning, when it cannot be used.

    Parameters
    ----------
    point
        Its name is that of the declaration.
    kind
        What it must be.
    check
        Raises what is wrong with it.
    """
    try:
        found = point.load()
        if not isinstance(found, kind):
            raise TypeError(f"it is not a {kind.__name__} but {type(found).__name__}")
        check(found)
        if found.name != point.name:
            raise ValueError(f"it declares {found.name!r}, not {point.name!r}")
    except Exception as error:  # somebody else's module may raise anything, and must not stop the others
        warnings.warn(f"{origin_of(point)} is left out: {type(error).__name__}: {error}", RuntimeWarning, stacklevel=3)
        return None
    return found
