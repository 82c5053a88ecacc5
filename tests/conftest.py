"""Shared fixtures."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The directory of real observations; tests that need it skip where it is absent."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    place = Path(os.environ.get("DAXA_TEST_DATA", beside))
    if not (place / "SOURCES.md").is_file():
        pytest.skip("no real data: set DAXA_TEST_DATA to the directory that holds SOURCES.md")
    return place
