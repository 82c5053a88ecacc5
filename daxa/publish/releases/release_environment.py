"""The Python, packages and platform that a release was made with, and how another one differs.

``environment.json`` is written by each release and tracked by Git.  It is neither an input nor
an output of a stage: a certificate shows that products do not depend on it.
"""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from daxa.archive import git
from daxa.archive.layout import Layout
from daxa.files import replace_file

__all__ = [
    "DISTRIBUTION",
    "compare_environments",
    "environment_at",
    "installed_environment",
    "needed_packages",
    "read_environment",
    "record_environment",
]

DISTRIBUTION = "daxa-archive"
"""The name of daxa's own distribution."""

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,80}[A-Za-z0-9])?")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.!+_-]{0,80}")
_FACT = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._+-]{0,80}")
_FACTS = ("python", "implementation", "system", "machine", "libc")
_LARGEST = 1 << 20
_MOST = 5000


def installed_environment() -> dict[str, Any]:
    """Python, platform, and the version of each package that daxa needs, on this machine.

    Examples
    --------
    >>> found = installed_environment()
    >>> found["python"].count("."), "numpy" in found["packages"]
    (2, True)
    """
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": platform.system(),
        "machine": platform.machine(),
        "libc": " ".join(platform.libc_ver()).strip(),
        "packages": {name: version for name, version in needed_packages().items() if version},
    }


def needed_packages(place: Path | None = None) -> dict[str, str]:
    """Name and version of daxa and of everything that it needs, without what only extras require.

    Parameters
    ----------
    place
        A directory of installed packages; by default those that this Python finds.

    Returns
    -------
    dict
        Names, sorted, to versions; those that are not there, since they are asked for on other machines or
        are missing, have the version ''.
    """
    return dict(sorted(_walk(place)))


def _walk(place: Path | None) -> Iterator[tuple[str, str]]:
    waiting, seen = [DISTRIBUTION], set()
    while waiting:
        name = _plain_name(waiting.pop())
        if name in seen:
            continue
        seen.add(name)
        all_found = metadata.distributions(name=name, path=[str(place)]) if place else metadata.distributions(name=name)
        found = next(iter(all_found), None)
        yield name, found.version if found else ""
        waiting += _requirements(found)


def _requirements(found: metadata.Distribution | None) -> list[str]:
    """Names of the packages that one needs, without what only its extras require."""
    lines = (found.requires or ()) if found else ()
    named = [_NAME.match(line) for line in lines if not re.search(r";.*\bextra\s*==", line)]
    return [one[0] for one in named if one]


def _plain_name(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def record_environment(layout: Layout) -> None:
    """Write ``environment.json``, unless it is up to date."""
    content = (json.dumps(installed_environment(), indent=1, sort_keys=True) + "\n").encode()
    if not layout.environment.is_file() or layout.environment.read_bytes() != content:
        replace_file(layout.environment, content)


def environment_at(layout: Layout, commit: str) -> dict[str, Any] | None:
    """The environment that a commit records, every value checked; None if it has no valid one."""
    content = git.read_file(layout.root, commit, layout.environment.name)
    return read_environment(content) if content and len(content) <= _LARGEST else None


def read_environment(content: bytes) -> dict[str, Any] | None:
    """The content of an ``environment.json``; None if it is not valid."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or not isinstance(value.get("packages"), dict) or len(value["packages"]) > _MOST:
        return None
    facts = {name: value.get(name, "") for name in _FACTS}
    sound = all(isinstance(fact, str) and (not fact or _FACT.fullmatch(fact)) for fact in facts.values())
    packages = value["packages"]
    sound &= all(_NAME.fullmatch(name) for name in packages)
    sound &= all(isinstance(version, str) and bool(_VERSION.fullmatch(version)) for version in packages.values())
    return {**facts, "packages": dict(sorted(packages.items()))} if sound else None


def compare_environments(recorded: Mapping[str, Any] | None, here: Mapping[str, Any]) -> list[str]:
    """The differences of two environments, each as "name: recorded -> here".

    Python and the platform come first, then daxa and the packages that it uses itself, which can change results;
    last those that these need in turn.

    Examples
    --------
    >>> one = {"python": "3.12.1", "packages": {"numpy": "2.1.0"}}
    >>> compare_environments(one, {"python": "3.12.1", "packages": {"numpy": "2.2.0", "scipy": "1.16"}})
    ['numpy: 2.1.0 -> 2.2.0', 'scipy: none -> 1.16']
    >>> compare_environments(None, one)
    ['the release does not record its environment']
    """
    if recorded is None:
        return ["the release does not record its environment"]
    pairs = [(name, recorded.get(name, ""), here.get(name, "")) for name in _FACTS]
    before, after = recorded["packages"], here["packages"]
    names = sorted({*before, *after}, key=lambda name: (name not in _used_packages(), name))
    pairs += [(name, before.get(name, ""), after.get(name, "")) for name in names]
    return [f"{name}: {old or 'none'} -> {new or 'none'}" for name, old, new in pairs if old != new]


@cache
def _used_packages() -> frozenset[str]:
    """Daxa, and the packages that it uses itself."""
    found = next(iter(metadata.distributions(name=DISTRIBUTION)), None)
    return frozenset({DISTRIBUTION, *map(_plain_name, _requirements(found))})
