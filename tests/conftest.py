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


@pytest.fixture
def identity(monkeypatch) -> None:
    """Let Git know who commits, whatever this machine's configuration says."""
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "Henrietta Leavitt")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "leavitt@example.org")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
