"""The sample observatory: a simulated sky, and a server that serves it as archives do.

No test and no demonstration needs the internet.  What is simulated says so in its
headers (``SIMULATD``).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from daxa.simulator.faults import Fault
    from daxa.simulator.server import Observatory, serve
    from daxa.simulator.simulate import build_sky
    from daxa.simulator.sky import Sky
    from daxa.simulator.tree import real_sky

__all__ = ["Fault", "Observatory", "Sky", "build_sky", "real_sky", "serve"]

_HOMES = {
    "Fault": "faults",
    "Observatory": "server",
    "Sky": "sky",
    "build_sky": "simulate",
    "real_sky": "tree",
    "serve": "server",
}


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module 'daxa.simulator' has no attribute {name!r}")
        return getattr(import_module(f"daxa.simulator.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
