"""The sample observatory: a simulated sky, and a server that gives it out as archives do.

No test and no demonstration needs the internet.  What is simulated says so in its
headers (``SIMULATD``).
"""

from __future__ import annotations

from importlib import import_module

__all__ = ["Fault", "Observatory", "Sky", "build_sky", "real_sky", "serve"]

_HOMES = {
    "Fault": "faults",
    "Observatory": "server",
    "Sky": "sky",
    "build_sky": "simulate",
    "real_sky": "tree",
    "serve": "server",
}


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'daxa.simulator' has no attribute {name!r}")
    return getattr(import_module(f"daxa.simulator.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
