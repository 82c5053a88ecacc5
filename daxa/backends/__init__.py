"""What carries out the steps that follow fetching: native Python so far."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daxa.errors import ConfigError

if TYPE_CHECKING:
    from daxa.run.task import Backend

__all__ = ["find_backend"]


def find_backend(name: str) -> Backend:
    """The backend of this name.

    Raises
    ------
    ConfigError
        There is none.

    Examples
    --------
    >>> find_backend("native").version("clean") != ""
    True
    """
    if name == "native":
        from daxa.backends.native import NATIVE

        return NATIVE
    raise ConfigError("backend", f"there is no backend called {name!r}", remedy='write backend = "native"')
