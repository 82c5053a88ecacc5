"""Stand-ins of SAS, which run in this process."""

from __future__ import annotations

from pathlib import Path

import pytest

from daxa.backends.tools import capture
from tests.backends.sas.observation import Observation
from tests.stubs.here import run_here
from tests.stubs.install import install_suite


@pytest.fixture(scope="module")
def prefix(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("sas")


@pytest.fixture
def here(monkeypatch, prefix):
    """SAS 22.1 is here; the function lets it be another release."""

    def be(release: str) -> None:
        installed = install_suite(prefix, "sas", release)
        monkeypatch.setattr(capture, "find_installation", lambda suite: installed)

    monkeypatch.setattr("daxa.backends.tools.container.run_limited", run_here)
    be("22.1")
    return be


@pytest.fixture
def observation(tmp_path, here) -> Observation:
    """Two exposures of MOS1, of which the later has the smaller name, and one of pn."""
    made = Observation(tmp_path)
    made.add("M1", "S001", start=265_010_000.0)
    made.add("M1", "U002")
    made.add("PN", "S003")
    return made
