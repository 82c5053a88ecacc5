"""MAXI: nothing of it is processed natively."""

from __future__ import annotations

from daxa.xray.telescopes.spec import Telescope

__all__ = ["TELESCOPE"]

TELESCOPE = Telescope(
    name="maxi",
    telescop=("MAXI",),
    formats={},
    not_native={"": "its slits scan the sky, so that good time is not the exposure of a place"},
)
