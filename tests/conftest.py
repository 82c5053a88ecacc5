"""Shared fixtures."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

# A shell that runs the tests in the background lets them, and all that they start, ignore interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)


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


@pytest.fixture(autouse=True, scope="session")
def no_cache_of_the_user(tmp_path_factory):
    """Whoever names no cache gets an empty one: neither the user's tables nor those of another test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("daxa.settings._default_cache", lambda: tmp_path_factory.mktemp("cache"))
        yield
