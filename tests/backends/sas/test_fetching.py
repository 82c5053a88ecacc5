"""What the backend sas starts from is fetched from the archive's directory of raw files, and nothing else."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import StringIO
from pathlib import Path

from daxa.backends.sas import SAS
from daxa.missions import find_mission
from daxa.run.task import Task, canonical
from daxa.settings import Settings, load_settings
from daxa.simulator.server import Observatory
from daxa.stages.work import FetchWork
from tests.acceptance import check_suite
from tests.backends.sas.observation import OBS_ID, Observation
from tests.stubs.here import run_here


@contextmanager
def served(root: Path, *cameras: str) -> Iterator[Settings]:
    """Settings that lead to an observatory with raw files of these cameras, and more than is wanted."""
    spec = find_mission("xmm")
    made = Observation(root / "made")
    for camera in cameras:
        made.add(camera, "S001" if camera == "M1" else "S003")
    place = root / "tree" / spec.directory_of(OBS_ID)
    (place / "PPS").mkdir(parents=True)
    (place / "PPS" / f"P{OBS_ID}M1S001MIEVLI0000.FTZ").write_bytes(gzip.compress(b"a list"))
    (made.root / "fetch" / "ODF").rename(place / "ODF")
    (place / "ODF" / f"0001_{OBS_ID}_SCX00000SUM.SAS.gz").write_bytes(gzip.compress(b"an old summary"))
    with Observatory(root / "tree", {"xmmmaster": [{"obsid": OBS_ID, "ra": 1.0, "dec": 2.0}]}) as archive:
        environ = {**archive.environ, "DAXA_STORE": str(root / "store")}
        yield replace(load_settings(environ=environ, user_file=None), connect_timeout=2.0, read_timeout=5.0)
        assert not any("/PPS/" in request.path for request in archive.requests)


def test_raw_files_of_the_chosen_cameras_arrive(tmp_path):
    with served(tmp_path, "M1", "PN") as settings:
        (tmp_path / "archive" / ".git").mkdir(parents=True)
        (tmp_path / "target").mkdir()
        task = Task("xmm", "fetch", OBS_ID, "daxa", "1", facts=canonical({"instruments": ["M1"]}))
        work = FetchWork(tmp_path / "archive", settings, SAS.inputs(find_mission("xmm")))
        work(task, tmp_path / "target", StringIO())
    found = sorted(path.relative_to(tmp_path / "target").as_posix() for path in (tmp_path / "target").rglob("*.*"))
    assert found == [
        f"ODF/0001_{OBS_ID}_{name}.gz" for name in ("M1S00110IME.FIT", "SCX00000ATS.FIT", "SCX00000SUM.ASC")
    ]


def test_the_acceptance_of_a_real_installation_tells_all_that_happened(tmp_path, here, monkeypatch):
    """On stand-ins: what `make check-sas` does where SAS is installed."""
    monkeypatch.setattr(check_suite, "run_limited", run_here)
    with served(tmp_path, "M1") as settings:
        (tmp_path / "place").mkdir()
        lines = check_suite.check_suite("sas", "xmm", OBS_ID, tmp_path / "place", settings=settings, instruments=["M1"])
    assert lines[-1] == "all steps ended"
    assert "== emchain M1-S001: done" in lines
    assert "$ espfilt -p" in {line.strip() for line in lines}
    assert "allowsigma = 2.5" in lines
    assert any(line.endswith(f"obsid{OBS_ID}-instM1-subexpS001-en0.5_2.0keV-sourcelist.fits") for line in lines)
    assert (tmp_path / "place" / "report.txt").read_text().splitlines() == "\n".join(lines).splitlines()
