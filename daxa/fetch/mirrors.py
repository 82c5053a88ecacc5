"""Which mirrors hold a mission's files, and how the next one is tried when one fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from daxa.addresses import SERVICES, Mirror, read_mirrors
from daxa.answers import Origin, origin_of
from daxa.errors import ConfigError, DataError, ServiceError
from daxa.fetch.connection import Connection
from daxa.missions.facts import id_parts
from daxa.missions.spec import MissionSpec
from daxa.settings import Settings

__all__ = ["is_down", "mirrors_of", "try_mirrors"]

Result = TypeVar("Result")

_ELSEWHERE = frozenset({
    "service.unreachable",
    "data.absent", "data.listing", "data.not-served", "data.redelivered", "data.redirected", "data.no-directory",
    "data.damaged", "data.truncated", "data.checksum", "data.oversized", "data.no-length",
})  # fmt: skip
"""Errors that another mirror may not have: they are about one copy, not about the observation."""

_FORGIVEN = 300.0
_DOWN: dict[Origin, float] = {}


def mirrors_of(spec: MissionSpec, settings: Settings) -> tuple[Mirror, ...]:
    """The mirrors of a mission in the order in which they are tried.

    Parameters
    ----------
    spec
        The mission, which declares its own.
    settings
        ``mirrors_<mission>``, else ``mirrors``, replaces or precedes them.  ``heasarc_tree`` takes the place
        of HEASARC's tree and of all that the missions in it declare beside it; ``heasarc_datalink`` that of
        its DataLink service.

    Raises
    ------
    ConfigError
        A layout of the settings has fields that the mission does not know.

    Examples
    --------
    >>> from daxa.missions import find_mission
    >>> [mirror.root for mirror in mirrors_of(find_mission("nustar"), Settings())]
    ['https://heasarc.gsfc.nasa.gov/FTP', 'https://nasa-heasarc.s3.amazonaws.com']
    """
    declared = tuple(_placed(mirror, settings) for mirror in _declared(spec, settings))
    own = dict(settings.mirrors)
    text = own.get(spec.name, own.get("", ""))
    if not text:
        return declared
    mirrors = read_mirrors(text, declared)
    known = dict.fromkeys([*id_parts(""), "yyyy_mm", *spec.directory_columns, "directory"], "")
    for mirror in mirrors:
        try:
            mirror.layout.format_map(known)
        except (KeyError, ValueError, IndexError):
            raise ConfigError(
                "bad-setting",
                f"the layout {mirror.layout!r} of a mirror of {spec.title} has unknown fields",
                remedy=f"use {', '.join(f'{{{name}}}' for name in known)}",
            ) from None
    return mirrors


def _declared(spec: MissionSpec, settings: Settings) -> tuple[Mirror, ...]:
    """The declared mirrors, without those that the user's own copy of HEASARC's tree takes the place of."""
    at_heasarc = tuple(mirror for mirror in spec.mirrors if mirror.root == SERVICES["heasarc_tree"])
    return at_heasarc if at_heasarc and settings.heasarc_tree != SERVICES["heasarc_tree"] else spec.mirrors


def _placed(mirror: Mirror, settings: Settings) -> Mirror:
    root = settings.heasarc_tree if mirror.root == SERVICES["heasarc_tree"] else mirror.root
    link = settings.heasarc_datalink if mirror.datalink == SERVICES["heasarc_datalink"] else mirror.datalink
    return replace(mirror, root=root, datalink=link)


def try_mirrors(
    connection: Connection, bring: Callable[[Connection], Result], say: Callable[[str], None] = lambda line: None
) -> Result:
    """What the first working mirror gives.

    A mirror that could not be reached is tried last for some minutes.

    Parameters
    ----------
    connection
        Its mirrors are tried.
    bring
        Fetches from the mirror that its argument is connected to.
    say
        Receives lines for the log.

    Raises
    ------
    DaxaError
        No mirror works; this is the error of the first one.
    """
    failures: dict[Mirror, DataError | ServiceError] = {}
    why = ""
    for mirror in sorted(connection.mirrors, key=lambda one: is_down(one.root)):
        connection.check_stop()
        if why:
            say(f"{why}; asking {mirror.root}")
        try:
            brought = bring(replace(connection, mirror=mirror, stop=threading.Event()))
        except (DataError, ServiceError) as error:
            if error.code not in _ELSEWHERE and not _lacking(error):
                raise
            if error.code == "service.unreachable":
                _DOWN[_server(mirror.root)] = time.monotonic()
            failures[mirror], why = error, error.message
        else:
            _DOWN.pop(_server(mirror.root), None)
            return brought
    # A copy that lacks something says less than a first mirror that cannot be reached.
    raise next(failures[mirror] for mirror in connection.mirrors if mirror in failures)


def _lacking(error: DataError | ServiceError) -> bool:
    """Whether files of some kind are not there, as in a copy that is not whole."""
    return error.code.startswith("data.no-") and error.code != "data.no-room"


def is_down(address: str) -> bool:
    """Whether a server could not be reached a short while ago."""
    return time.monotonic() - _DOWN.get(_server(address), -_FORGIVEN) < _FORGIVEN


def _server(address: str) -> Origin:
    return (address, 0) if address.startswith("file:") else origin_of(address)
