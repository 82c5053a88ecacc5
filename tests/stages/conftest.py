"""The plug-in of `tests.plugins`, installed once, and an archive whose events it makes."""

from __future__ import annotations

import sys

import pytest

from daxa import plugins
from daxa.backends import find_backend, registry
from daxa.run import steps as steps_module
from tests.stages.archives import make_archive, run, set_parameter


@pytest.fixture
def forget():
    """A function that looks for plug-ins anew."""

    def act() -> None:
        for cache in (plugins.points, steps_module._offered, registry._offered):
            cache.cache_clear()
        for name in [name for name in sys.modules if name.partition(".")[0] == "spectral"]:
            del sys.modules[name]

    act()
    yield act
    act()


@pytest.fixture
def plugin(installed, monkeypatch, tmp_path, forget):
    """The plug-in on the path of this process and of its workers; the file with its calibration."""
    monkeypatch.syspath_prepend(str(installed))
    known = tmp_path / "calibration.json"
    monkeypatch.setenv("SPECTRAL_CALIBRATION", str(known))
    forget()
    return known


@pytest.fixture
def archive(plugin, tmp_path):
    """An archive whose events are made by the plug-in, everything else natively; its files are fetched."""
    return make_foreign(tmp_path / "a907", "spectral", "7")


@pytest.fixture
def parted(plugin, tmp_path):
    """Such an archive, in which each exposure has a task of its own."""
    return make_foreign(tmp_path / "a907", "parted", "3")


def make_foreign(root, backend: str, version: str):
    layout = make_archive(root)
    set_parameter(layout, "events", "backend", backend)
    path = layout.params("xmm")
    path.write_text(path.read_text().replace('min_ontime = "0 s"', 'quality = "good"'))
    set_parameter(layout, "clean", "backend", "native")
    lock = '[xmm.events]\nbackend = "{}"\nversion = "{}"'
    text = layout.software.read_text()
    native = lock.format("native", find_backend("native").version("xmm", "events"))
    assert native in text
    locked = f'{lock.format(backend, version)}\ncalibration = "epoch-1"  # accepted'
    layout.software.write_text(text.replace(native, locked))
    run(layout, "fetch")
    return layout
