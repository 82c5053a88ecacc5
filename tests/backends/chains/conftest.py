"""Stand-ins of SAS for small chains, and what counts their calls."""

from __future__ import annotations

from pathlib import Path

import pytest

from daxa.backends.chains import execution
from daxa.backends.tools import capture
from tests.backends.chains.example import Bench
from tests.stubs.here import run_here
from tests.stubs.install import install_suite


@pytest.fixture(scope="module")
def prefix(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("software")


@pytest.fixture(scope="module")
def installed(prefix):
    return install_suite(prefix, "sas", "22.1")


@pytest.fixture
def bench(tmp_path, installed, monkeypatch) -> Bench:
    made = Bench(tmp_path)
    monkeypatch.setattr(capture, "find_installation", lambda suite: installed)
    monkeypatch.setattr("daxa.backends.tools.container.run_limited", run_here)
    run_call = execution.run_call

    def counted(call, *args, name: str, **more):
        made.calls.append(name.partition("-")[2])
        return run_call(call, *args, name=name, **more)

    monkeypatch.setattr(execution, "run_call", counted)
    return made
