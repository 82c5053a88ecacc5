"""An observatory that serves the simulated sky."""

from __future__ import annotations

import pytest

from daxa.simulator import Observatory


@pytest.fixture
def observatory(sky):
    """A server with its own faults and request log."""
    with Observatory(sky.root, sky.tables, sky.names) as server:
        yield server
