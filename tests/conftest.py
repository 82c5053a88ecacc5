"""Shared fixtures."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings

# Test processes run side by side, as tasks do: threads of linear algebra inside them would compete.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Tests start a thousand programs, each of which would otherwise compile all of daxa for itself.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Examples are the same in every run, so that no change is stopped by a draw that it did not cause.
# `make random` (DAXA_TEST_RANDOM=1, or a seed of an earlier run) draws new ones.
RANDOM = int(os.environ.get("DAXA_TEST_RANDOM") or 0)
settings.register_profile(
    "ci", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("random", deadline=None, database=None, print_blob=True)
settings.load_profile("random" if RANDOM else "ci")

# A shell that runs the tests in the background lets them, and all that they start, ignore interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Choose the seed of random examples before Hypothesis reads it; workers of pytest-xdist get the same."""
    if RANDOM and config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = str(RANDOM if RANDOM > 1 else secrets.randbits(32) + 2)


def pytest_report_header(config: pytest.Config) -> str | None:
    """Name the seed of random examples, with which they come again."""
    return f"random examples: again with DAXA_TEST_RANDOM={config.option.hypothesis_seed}" if RANDOM else None


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    """Name it also where a quiet run shows no header."""
    if line := pytest_report_header(config):
        terminalreporter.line(line)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The directory of real observations; tests that need it skip where it is absent."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    place = Path(os.environ.get("DAXA_TEST_DATA", beside))
    if not (place / "SOURCES.md").is_file():
        pytest.skip("no real data: set DAXA_TEST_DATA to the directory that holds SOURCES.md")
    return place


@pytest.fixture(scope="session")
def shared(tmp_path_factory, worker_id) -> Path:
    """A directory that all test processes of this run share."""
    base = tmp_path_factory.getbasetemp()
    place = (base if worker_id == "master" else base.parent) / "shared"
    place.mkdir(exist_ok=True)
    return place


@pytest.fixture(scope="session")
def make_once(shared) -> Callable[[str, Callable[[Path], object]], Path]:
    """Have a directory made by the first test process that asks for it; never to be changed."""

    def make(name: str, fill: Callable[[Path], object]) -> Path:
        place = shared / name
        with FileLock(shared / f"{name}.lock"):
            if not (shared / f"{name}.complete").exists():
                shutil.rmtree(place, ignore_errors=True)
                place.mkdir()
                fill(place)
                (shared / f"{name}.complete").touch()
        return place

    return make


@pytest.fixture(scope="session")
def sky(make_once):
    """The simulated sky."""
    from daxa.simulator import build_sky

    return build_sky(make_once("sky", build_sky))


@pytest.fixture(scope="session")
def demonstration(make_once) -> Path:
    """What ``daxa demo`` makes, in ``a demo``, by one worker and for a committer whom Git does not know.

    What it said is in ``said.txt``.
    """
    from tests.cli.commandline import daxa

    unknown = {f"GIT_{role}_{what}": "" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    unknown |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "EMAIL": ""}

    def make(place: Path) -> None:
        single = {"DAXA_WORKERS": "1", "DAXA_DOWNLOADS": "1"}
        ended = daxa("demo", str(place / "a demo"), cwd=place, environ=unknown | single)
        assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
        (place / "said.txt").write_text(ended.stdout)

    return make_once("demonstration", make)


@pytest.fixture(scope="session")
def installed(make_once) -> Path:
    """The directory in which the plug-in of `tests.plugins` is installed."""
    from tests.plugins import install_plugin

    return make_once("plugin", install_plugin) / "installed"


@pytest.fixture(scope="session")
def forked_dvc():
    """What runs DVC for tests of other things."""
    from tests.warm_dvc import warm_dvc

    with warm_dvc() as run:
        yield run


@pytest.fixture(scope="module")
def quick_dvc(forked_dvc):
    """Let daxa have DVC from a process that has imported it, for the tests of a file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("daxa.archive.dvc.run_program", forked_dvc)
        yield


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
