"""Suites of stand-ins in the place of mission software, and raw observations to process with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from daxa.backends.tools import capture
from daxa.backends.tools.environment import Installation
from daxa.simulator.raw import build_raw_sky
from tests.stubs.here import run_here
from tests.stubs.install import install_suite


@pytest.fixture(scope="session")
def raw_sky(make_once):
    """Raw observations in their archives' trees."""
    return build_raw_sky(make_once("raw-sky", build_raw_sky))


@pytest.fixture(scope="module")
def suites(tmp_path_factory) -> dict[str, Installation]:
    """All suites of stand-ins, in their newest releases."""
    place = tmp_path_factory.mktemp("software")
    return {name: install_suite(place / name, name) for name in ("esass", "ciao", "heasoft")}


@pytest.fixture(scope="module")
def stand_ins(suites):
    """Backends find the stand-ins, and run them in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(capture, "find_installation", lambda suite: suites[suite])
        patch.setattr("daxa.backends.tools.container.run_limited", run_here)
        yield suites


def prefix_of(installed: Installation) -> Path:
    """Where a suite of stand-ins is installed."""
    return Path(installed.environ["CALDB"]).parent
