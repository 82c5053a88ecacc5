"""What daxa itself reads from a params file, whatever the backend: ``[fetch]``, and ``backend``."""

from __future__ import annotations

from daxa.backends.parameter_schema import Parameter

__all__ = ["BACKEND", "FETCH", "FETCH_BACKEND", "FETCH_VERSION"]

FETCH_BACKEND = "daxa"
FETCH_VERSION = "1"
"""Version of the way in which files are chosen and fetched."""

BACKEND = "backend"
"""The key that names the backend of a step and of those after it."""

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
