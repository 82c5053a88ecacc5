"""The simulated sky, built once, and an observatory that serves it."""

from __future__ import annotations

import pytest

from daxa.sample import Observatory, build_sky


@pytest.fixture(scope="session")
def sky(tmp_path_factory):
    """The sample sky."""
    return build_sky(tmp_path_factory.mktemp("skies"))


@pytest.fixture
def observatory(sky):
    """A server with its own faults and request log."""
    with Observatory(sky.root, sky.tables, sky.names) as server:
        yield server
