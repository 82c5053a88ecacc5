"""daxa: archives of X-ray observations as Git repositories.

Choose observations with `Mission`, make an archive with `Archive.create`, or open
one with `open`; `search` asks many missions at once, and `compare` compares two files.
Importing the package reads nothing and imports nothing heavy.
"""

from __future__ import annotations

from importlib import import_module

# Type checkers know this name; importing `typing` would slow `daxa --help` down.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from daxa.api import Archive, open  # noqa: A004 - the name that users see
    from daxa.query import Mission, search
    from daxa.run.comparison import compare_files as compare

__all__ = ["Archive", "Mission", "__version__", "compare", "open", "search"]

__version__ = "0.1.0"

_HOMES = {
    "Archive": ("daxa.api", "Archive"),
    "Mission": ("daxa.query", "Mission"),
    "compare": ("daxa.run.comparison", "compare_files"),
    "open": ("daxa.api", "open"),
    "search": ("daxa.query", "search"),
}
"""Public name to the module that has it, and its name there."""


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'daxa' has no attribute {name!r}")
    module, there = _HOMES[name]
    return getattr(import_module(module), there)


def __dir__() -> list[str]:
    return sorted(__all__)
