"""Find a backend by name: daxa's own, and those of plug-ins; and the one that does a step."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, cast

from daxa import plugins
from daxa.backends.shared_parameters import BACKEND
from daxa.errors import ConfigError
from daxa.naming import did_you_mean

if TYPE_CHECKING:
    from daxa.backends.protocol import Backend
    from daxa.run.steps import Step

__all__ = [
    "AS_OF",
    "GROUP",
    "backend_names",
    "backend_of_step",
    "calibration_to_accept",
    "find_backend",
    "installed_calibration",
    "same_calibration",
    "steps_served",
]

GROUP = "daxa.backends"
"""The group of entry points in which plug-ins offer backends."""

_HOMES = {
    "native": ("daxa.backends.native", "NATIVE"),
    "sas": ("daxa.backends.sas", "SAS"),
    "esass": ("daxa.backends.esass", "ESASS"),
    "ciao": ("daxa.backends.ciao", "CIAO"),
    "heasoft": ("daxa.backends.heasoft", "HEASOFT"),
}
"""Module and name of daxa's own backends."""

_OWN = tuple(_HOMES)
_METHODS = ("version", "parameters", "check", "inputs", "locate", "calibration", "tasks", "resources", "run")


def backend_names() -> tuple[str, ...]:
    """Names of all backends: daxa's own, then those that plug-ins offer."""
    return (*_OWN, *plugins.offered(GROUP, (*_OWN, "daxa")))


def find_backend(name: str) -> Backend:
    """The backend of this name.

    Raises
    ------
    ConfigError
        No installed package provides such a backend, or the one that does cannot be used.

    Examples
    --------
    >>> find_backend("native").version("xmm", "clean") != ""
    True
    """
    if name in _HOMES:
        module, value = _HOMES[name]
        return cast("Backend", getattr(import_module(module), value))
    return _offered(name)


@cache
def _offered(name: str) -> Backend:
    point = plugins.offered(GROUP, (*_OWN, "daxa")).get(name)
    if point is None:
        known = backend_names()
        raise ConfigError(
            "backend",
            f"there is no backend {name[:100]!r}{did_you_mean(name, known)}",
            remedy=f"install the package that provides it, or choose from {', '.join(known)}",
        )
    backend = plugins.load(point)
    lacking = [word for word in _METHODS if not callable(getattr(backend, word, None))]
    if lacking or getattr(backend, "name", "") != name or not hasattr(backend, "calibrated"):
        why = f"it lacks {', '.join(lacking)}" if lacking else f"its name is not {name}, or it has no `calibrated`"
        raise ConfigError(
            "plugin",
            f"the backend {name!r} of {plugins.origin_of(point)} cannot be used: {why}",
            remedy="update or uninstall that package",
        )
    # It has all that is asked of one.
    return cast("Backend", backend)


def steps_served(backend: str, mission: str, steps: Collection[str]) -> tuple[str, ...]:
    """Which of some steps of a mission a backend does.

    Examples
    --------
    >>> steps_served("heasoft", "nustar", ("events", "clean"))
    ('events',)
    """
    found = find_backend(backend)
    return tuple(step for step in steps if found.version(mission, step))


def installed_calibration(backend: Backend, step: str) -> str | None:
    """The installed calibration of a step, as recorded in ``software.toml``.

    Returns
    -------
    str or None
        '' if the step needs none; None if the software is not installed.

    Examples
    --------
    >>> installed_calibration(find_backend("native"), "clean")
    ''
    """
    if step not in backend.calibrated:
        return ""
    located = backend.locate()
    return located.calibration if located.found else None


AS_OF = "; as of "
"""Stands between a calibration and the date at which it was accepted."""


def same_calibration(accepted: str, installed: str | None) -> bool:
    """Whether the calibration that an archive has accepted, at whatever date, is the one on this machine.

    Examples
    --------
    >>> same_calibration("SAS 22.1.0, CCF 5f; as of 2026-11-30", "SAS 22.1.0, CCF 5f")
    True
    """
    return accepted.partition(AS_OF)[0] == installed


def calibration_to_accept(backend: Backend, calibration: str) -> str:
    """What ``software.toml`` keeps of a calibration that is accepted today.

    Examples
    --------
    >>> calibration_to_accept(find_backend("native"), "part of daxa")
    'part of daxa'
    """
    if not calibration or not getattr(backend, "dated", False):
        return calibration
    return f"{calibration}{AS_OF}{datetime.now(UTC):%Y-%m-%d}"


def backend_of_step(tables: Mapping[str, Mapping[str, object]], step: Step, steps: Sequence[Step]) -> str:
    """The name of the backend that does a step, according to the params file.

    Parameters
    ----------
    tables
        Step to its parameters.
    step
        Which.
    steps
        All steps of the archive.

    Returns
    -------
    str
        The one in the step's own table; else its default; else that of the first step that it needs.

    Examples
    --------
    >>> from daxa.run.steps import OWN_STEPS, find_step
    >>> tables = {"events": {"backend": "sas"}, "images": {"backend": "native"}}
    >>> [backend_of_step(tables, find_step(name), OWN_STEPS) for name in ("fetch", "clean", "images", "sources")]
    ['daxa', 'sas', 'native', 'native']
    """
    named = {} if step.fetches else tables.get(step.name, {})
    if (name := named.get(BACKEND, step.backend)) or not step.needs:
        return str(name)
    return backend_of_step(tables, next(one for one in steps if one.name == step.needs[0]), steps)
