"""The stage gives the fetch of an observation what its directory depends on besides its ObsID."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest

from daxa.archive.layout import Layout
from daxa.errors import DataError
from daxa.run.task import Input, ProductFile, Task, canonical
from daxa.selection.selection_file import write_selection
from daxa.settings import load_settings
from daxa.simulator.server import Observatory
from daxa.stages.step import _origins
from daxa.stages.work import FetchWork, ProcessWork
from tests.backends.native.packing import compressed
from tests.fetch.conftest import events_file, sha256, tree
from tests.selection.observations import observations
from tests.xray.madelists import make_list

OBS = "00092220001"
LISTS = {f"xrt/event/sw{OBS}x{window}po_cl.evt.gz" for window in ("pcw3", "wtw2")}


@pytest.fixture
def settings(tmp_path):
    with Observatory(tmp_path / "tree", {}) as running:
        found = load_settings(environ={**running.environ, "DAXA_STORE": str(tmp_path / "store")}, user_file=None)
        yield replace(found, connect_timeout=2.0, read_timeout=5.0, downloads=1)


def plant(root: Path, directory: str, files: dict[str, bytes]) -> dict[str, bytes]:
    for name, content in files.items():
        path = root / "tree" / directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return files


def fetch(root: Path, settings, observation: tuple[str, str, str], start: float) -> dict[str, bytes]:
    """What the stage fetches of an observation that began then."""
    mission, obs_id, instrument = observation
    layout, target = Layout(root / "archive"), root / "out"
    # What is private to the archive is in its Git directory.
    (layout.root / ".git").mkdir(parents=True)
    layout.selection(mission).parent.mkdir(parents=True, exist_ok=True)
    table = observations({"obs_id": obs_id, "instruments": instrument, "start": start, "end": start + 1})
    write_selection(layout.selection(mission), table, mission=mission, criteria="{}", snapshot="0" * 64)
    target.mkdir()
    origin = canonical(_origins(layout, mission).get(obs_id, {}))
    task = Task(mission, "fetch", obs_id, "native", "1", "{}", canonical({"instruments": [instrument]}), origin=origin)
    FetchWork(layout.root, settings)(task, target, io.StringIO())
    return tree(target)


def test_swift_is_found_by_the_month_in_which_it_began(tmp_path, settings):
    there = plant(tmp_path, f"swift/data/obs/2006_05/{OBS}", {name: events_file(7) for name in sorted(LISTS)})
    assert fetch(tmp_path, settings, ("swift", OBS, "XRT"), 53886.99) == there


def test_another_month_is_another_directory(tmp_path, settings):
    plant(tmp_path, f"swift/data/obs/2006_05/{OBS}", {name: events_file(7) for name in sorted(LISTS)})
    with pytest.raises(DataError) as caught:
        fetch(tmp_path, settings, ("swift", OBS, "XRT"), 53887.01)
    assert caught.value.code == "data.absent"
    assert "2006_06" in caught.value.message


def test_what_is_lost_comes_back_from_the_same_month(tmp_path, settings):
    there = plant(tmp_path, f"swift/data/obs/2006_05/{OBS}", {name: events_file(7) for name in sorted(LISTS)})
    fetch(tmp_path, settings, ("swift", OBS, "XRT"), 53882.4)
    for path in sorted((tmp_path / "store").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    inputs = tuple(
        Input("fetch", ProductFile(path, len(content), sha256(content), "")) for path, content in there.items()
    )
    layout = Layout(tmp_path / "archive")
    origin = canonical(_origins(layout, "swift")[OBS])
    task = Task("swift", "events", OBS, "native", "1", "{}", canonical({"instruments": ["XRT"]}), inputs, "", origin)
    (tmp_path / "made").mkdir()
    # The planted files are not lists of Swift, and the events step says so: they were brought back, and read.
    with pytest.raises(DataError, match="TELESCOP"):
        ProcessWork(layout.root, settings)(task, tmp_path / "made", io.StringIO())
    assert tree(layout.products("swift", "fetch") / OBS) == there


def test_rosat_is_fetched_in_lower_case_and_packed(tmp_path, settings):
    content = compressed(make_list("rosat-hri", tmp_path / "list.fits", count=200).read_bytes())
    there = plant(tmp_path, "rosat/data/hri/processed_data/800000/rh800446n00", {"rh800446n00_bas.fits.Z": content})
    assert fetch(tmp_path, settings, ("rosat", "RH800446N00", "HRI"), 49000.0) == there
