"""The software that a paper must credit for a release, from the backends in its ``software.toml``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from daxa.archive.config import FETCH_SOFTWARE
from daxa.errors import DataError
from daxa.files import parse_toml

__all__ = ["SoftwareCredit", "credit_software", "used_software"]

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+:-]{0,63}")

# Bibcodes that were found in addresses of ADS on 2026-11-30; packages whose references were not found have none.
_LIBRARIES = MappingProxyType(
    {
        "Astropy": ("2018AJ....156..123A", "2022ApJ...935..167A"),
        "NumPy": ("2020Natur.585..357H",),
        "SciPy": ("2020NatMe..17..261V",),
    }
)
_NEEDED = MappingProxyType({"daxa": (), "native": ("Astropy", "NumPy", "SciPy")})
"""Backend of daxa itself to the libraries that do its work."""

_HEASOFT = "ascl:1408.004"
_REGISTERED = MappingProxyType({"heasoft": _HEASOFT})
"""Backend to its entry in the Astrophysics Source Code Library, if a citation of it was found on the same day."""


@dataclass(frozen=True)
class SoftwareCredit:
    """One package to be named.

    Parameters
    ----------
    name
        That of the package, or of a backend about which nothing else is known.
    versions
        Those that ``software.toml`` locks, sorted; empty for libraries, which it does not lock.
    references
        Bibcodes, or identifiers of the Astrophysics Source Code Library.
    """

    name: str
    versions: tuple[str, ...] = ()
    references: tuple[str, ...] = ()


def used_software(content: bytes, path: Path) -> dict[tuple[str, str], tuple[str, str]]:
    """Mission and step to backend and version, from a ``software.toml``.

    Parameters
    ----------
    content
        Of the file.
    path
        For messages.

    Raises
    ------
    DataError
        It is not what daxa writes.

    Examples
    --------
    >>> used_software(b'[xmm.clean]' + bytes([10]) + b'backend = "native"' + bytes([10]) + b'version = "6"', Path("x"))
    {('xmm', 'clean'): ('native', '6')}
    """
    try:
        tables = parse_toml(content, path)
        found = {
            (mission, step): (lock["backend"], lock["version"])
            for mission, steps in tables.items()
            for step, lock in steps.items()
        }
    except (ValueError, TypeError, KeyError, AttributeError):
        raise _damaged(path) from None
    for key, lock in found.items():
        if not all(isinstance(word, str) and _WORD.fullmatch(word) for word in (*key, *lock)):
            raise _damaged(path)
    return found


def credit_software(used: Mapping[tuple[str, str], tuple[str, str]]) -> tuple[SoftwareCredit, ...]:
    """The packages to be named, daxa first.

    Parameters
    ----------
    used
        As `used_software` gives it.

    Examples
    --------
    >>> [one.name for one in credit_software({("xmm", "fetch"): ("daxa", "1"), ("xmm", "clean"): ("native", "6")})]
    ['daxa', 'Astropy', 'NumPy', 'SciPy']
    >>> credit_software({("xmm", "clean"): ("heasoft", "6.34")})[1]
    SoftwareCredit(name='heasoft', versions=('6.34',), references=('ascl:1408.004',))
    """
    own = sorted({f"{step} {version}" for (_, step), (backend, version) in used.items() if backend in _NEEDED})
    backends = sorted({backend for backend, _ in used.values()})
    others = [
        SoftwareCredit(
            name,
            tuple(sorted({version for backend, version in used.values() if backend == name})),
            (_REGISTERED[name],) if name in _REGISTERED else (),
        )
        for name in backends
        if name not in _NEEDED
    ]
    needed = sorted({library for name in backends for library in _NEEDED.get(name, ())})
    libraries = [SoftwareCredit(name, (), _LIBRARIES[name]) for name in needed]
    return (SoftwareCredit(FETCH_SOFTWARE.backend, tuple(own)), *others, *libraries)


def _damaged(path: Path) -> DataError:
    return DataError("software", f"{path} is not what daxa writes", remedy=f"restore it: `git checkout -- {path.name}`")
