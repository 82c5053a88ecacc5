"""What the backend sas starts from is fetched from the archive's directory of raw files, and nothing else."""

from __future__ import annotations

import gzip
from dataclasses import replace
from io import StringIO

from daxa.backends.sas import SAS
from daxa.missions import find_mission
from daxa.run.task import Task, canonical
from daxa.settings import load_settings
from daxa.simulator.server import Observatory
from daxa.stages.work import FetchWork
from tests.backends.sas.observation import OBS_ID, Observation


def test_raw_files_of_the_chosen_cameras_arrive(tmp_path):
    spec = find_mission("xmm")
    made = Observation(tmp_path / "made")
    made.add("M1", "S001")
    made.add("PN", "S003")
    place = tmp_path / "tree" / spec.directory_of(OBS_ID)
    (place / "PPS").mkdir(parents=True)
    (place / "PPS" / f"P{OBS_ID}M1S001MIEVLI0000.FTZ").write_bytes(gzip.compress(b"a list"))
    (made.root / "fetch" / "ODF").rename(place / "ODF")
    (place / "ODF" / f"0001_{OBS_ID}_SCX00000SUM.SAS.gz").write_bytes(gzip.compress(b"an old summary"))
    with Observatory(tmp_path / "tree", {"xmmmaster": [{"obsid": OBS_ID, "ra": 1.0, "dec": 2.0}]}) as archive:
        environ = {**archive.environ, "DAXA_STORE": str(tmp_path / "store")}
        settings = replace(load_settings(environ=environ, user_file=None), connect_timeout=2.0, read_timeout=5.0)
        (tmp_path / "archive" / ".git").mkdir(parents=True)
        (tmp_path / "target").mkdir()
        task = Task("xmm", "fetch", OBS_ID, "daxa", "1", facts=canonical({"instruments": ["M1"]}))
        work = FetchWork(tmp_path / "archive", settings, SAS.inputs(spec))
        work(task, tmp_path / "target", StringIO())
    found = sorted(path.relative_to(tmp_path / "target").as_posix() for path in (tmp_path / "target").rglob("*.*"))
    assert found == [
        f"ODF/0001_{OBS_ID}_{name}.gz" for name in ("M1S00110IME.FIT", "SCX00000ATS.FIT", "SCX00000SUM.ASC")
    ]
    assert not any("/PPS/" in request.path for request in archive.requests)
