"""The sample observatory and a finished archive, made once for all journeys."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from daxa.sample import Observatory, Sky, build_sky
from tests.journey.workbench import Workbench


@pytest.fixture(scope="session")
def shared(tmp_path_factory, worker_id) -> Path:
    """A directory that all test processes of this run share."""
    base = tmp_path_factory.getbasetemp()
    place = (base if worker_id == "master" else base.parent) / "shared"
    place.mkdir(exist_ok=True)
    return place


@pytest.fixture(scope="session")
def sky(shared) -> Sky:
    """The simulated sky."""
    with FileLock(shared / "sky.lock"):
        return build_sky(shared / "sky")


@pytest.fixture
def observatory(sky) -> Iterator[Observatory]:
    """A server of the simulated sky, with a log of its own."""
    with Observatory(sky.root, sky.tables, sky.names) as server:
        yield server


@pytest.fixture(scope="session")
def finished(shared, sky) -> Path:
    """An archive of XMM and NuSTAR that was run, released as v1.0.0 and pushed; never to be changed.

    It stands in ``finished/a907``, its store in ``finished/store``; its remote is not beside it, so that its address
    is absolute and clones anywhere find it.
    """
    place = shared / "finished"
    with FileLock(shared / "finished.lock"):
        if not (place / "complete").exists():
            shutil.rmtree(place, ignore_errors=True)
            with Observatory(sky.root, sky.tables, sky.names) as server:
                bench = Workbench.at(place, server.environ)
                (shared / "remote").mkdir(exist_ok=True)
                bench.daxa(
                    *("init", "a907", "--mission", "xmm", "--mission", "nustar", "--target", "Abell 907"),
                    *("--remote", str(shared / "remote")),
                )
                bench.repro(place / "a907")
                bench.daxa("release", "-m", "first", cwd=place / "a907")
                bench.daxa("push", cwd=place / "a907")
            (place / "complete").touch()
    return place


@pytest.fixture
def bench(tmp_path, observatory) -> Workbench:
    """An environment that talks to the observatory, with an empty store."""
    return Workbench.at(tmp_path, observatory.environ)


@pytest.fixture
def copy(finished, bench) -> Callable[[], Path]:
    """Give a copy of the finished archive, whose files, cache and store are its own."""

    def make() -> Path:
        shutil.copytree(finished / "store", bench.root / "store", symlinks=True)
        return shutil.copytree(finished / "a907", bench.root / "a907", symlinks=True)

    return make
