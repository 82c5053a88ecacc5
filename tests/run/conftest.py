"""One process that forks the workers of many short stages."""

from __future__ import annotations

import os
import sys

import pytest

from daxa.run import forkserver, worker_identity

_OF_PYTEST = "PYTEST_CURRENT_TEST"


@pytest.fixture(scope="module")
def shared_forks():
    """Keep what forks workers between stages, as `daxa run` does: starting it costs more than these stages do."""
    environ = {name: value for name, value in os.environ.items() if name != _OF_PYTEST}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker_identity, "CHANGING", {*worker_identity.CHANGING, _OF_PYTEST})
        for module in (forkserver, worker_identity):
            patch.setattr(module, "library_paths", lambda: sys.path)
        with forkserver.share(environ):
            patch.setenv(worker_identity.SHARED, environ[worker_identity.SHARED])
            server = forkserver.connect()
            assert server, "stages would start their own"
            server.close()
            yield
