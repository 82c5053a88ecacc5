"""The sample observatory and a finished archive, made once for all journeys."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from daxa.simulator import Observatory
from tests.journey.workbench import Workbench


@pytest.fixture
def observatory(sky) -> Iterator[Observatory]:
    """A server of the simulated sky, with a log of its own."""
    with Observatory(sky.root, sky.tables, sky.names) as server:
        yield server


@pytest.fixture(scope="session")
def finished(make_once, shared, sky) -> Path:
    """An archive of XMM and NuSTAR that was run, released as v1.0.0 and pushed; never to be changed.

    It stands in ``finished/a907``, its store in ``finished/store``; its remote is not beside it, so that its address
    is absolute and clones anywhere find it.  It holds what journeys need and no more: one camera of each mission,
    and images of coarse pixels.  Whole observations are in the demonstration.
    """

    def make(place: Path) -> None:
        with Observatory(sky.root, sky.tables, sky.names) as server:
            bench = Workbench.at(place, server.environ)
            (shared / "remote").mkdir(exist_ok=True)
            bench.init("a907", "--target", "Abell 907", "--remote", str(shared / "remote"), missions=("xmm", "nustar"))
            bench.run("daxa", "run", cwd=place / "a907", DAXA_WORKERS="3", DAXA_DOWNLOADS="3")
            bench.daxa("release", "-m", "first", cwd=place / "a907")
            bench.daxa("push", cwd=place / "a907")

    return make_once("finished", make)


@pytest.fixture(scope="session")
def finished_nustar(make_once, sky) -> Path:
    """An archive of one observation, run and never released: the shortest pipeline that goes all the way."""

    def make(place: Path) -> None:
        with Observatory(sky.root, sky.tables, sky.names) as server:
            bench = Workbench.at(place, server.environ)
            bench.repro(bench.init("a907", "--target", "Abell 907", missions=("nustar",)))

    return make_once("finished-nustar", make)


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
