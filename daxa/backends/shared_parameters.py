"""What daxa itself reads in a params file, whatever backend carries out a step: ``[fetch]``, and ``backend``."""

from __future__ import annotations

from daxa.backends.parameter_schema import Parameter

__all__ = ["BACKEND", "FETCH", "FETCH_BACKEND", "FETCH_VERSION"]

FETCH_BACKEND = "daxa"
FETCH_VERSION = "1"
"""Of the way in which files are chosen and fetched."""

BACKEND = "backend"
"""The key that names what carries out a step and those after it."""

FETCH = (
    Parameter(
        "extra",
        "patterns",
        (),
        "further files to fetch: regular expressions for paths below the observation's directory",
        example='["ODF/.*"]',
    ),
)
"""The table [fetch] of a params file; the same for every mission and backend."""
