"""daxa: archives of X-ray observations as Git repositories.

Choose observations with `Mission`, make an archive with `Archive.create`, or open
one with `open`; `search` asks many missions at once.  Importing the package reads nothing and imports nothing heavy.
"""

from __future__ import annotations

from importlib import import_module

# Type checkers know this name; importing `typing` would slow `daxa --help` down.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from daxa.api import Archive, open  # noqa: A004 - the name that users see
    from daxa.query import Mission, search

__all__ = ["Archive", "Mission", "__version__", "open", "search"]

__version__ = "0.1.0"

_HOMES = {"Archive": "daxa.api", "Mission": "daxa.query", "open": "daxa.api", "search": "daxa.query"}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'daxa' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
