"""A release made again from one file, elsewhere: what is the same, and exactly what is not."""

from __future__ import annotations

import gzip
import io
import json
import shutil
from pathlib import Path

import pytest
from astropy.io import fits

from daxa.simulator import Observatory
from tests.journey.workbench import Workbench, contents

pytestmark = [pytest.mark.journey, pytest.mark.usefixtures("quick_dvc")]

ALTERED, MISSING, REPACKED = "90900001002", "0900000201", "0900000101"


@pytest.fixture(scope="module")
def bundle(finished, tmp_path_factory) -> Path:
    """What `daxa export` writes of the finished archive."""
    place = tmp_path_factory.mktemp("bundle")
    Workbench.at(place, {}).daxa("export", "v1.0.0", "-o", str(place / "a907.bundle"), cwd=finished / "a907")
    return place / "a907.bundle"


def verdicts(bench: Workbench) -> dict[str, str]:
    predicate = json.loads((bench.root / "again.certificate.json").read_text())["predicate"]
    return {one["obs_id"]: one["verdict"] for one in predicate["observations"]}


def test_everything_comes_out_the_same_on_another_machine(bundle, finished, bench):
    (bench.root / "home").mkdir()
    ended = bench.run("daxa", "recreate", str(bundle), "again", HOME=str(bench.root / "home"))
    assert "the same as those of the release" in ended.stdout
    assert verdicts(bench) == dict.fromkeys((ALTERED, MISSING, REPACKED), "identical bytes")
    archive = bench.root / "again"
    assert contents(archive, "data") == contents(finished / "a907", "data")
    assert not bench.run("git", "status", "--porcelain", cwd=archive).stdout
    # Logs say when and where: those of the release are where its data are.
    assert json.loads(bench.run("dvc", "status", "--json", cwd=archive).stdout).keys() == {"logs.dvc"}
    assert {row["status"] for row in bench.status(archive)} == {"done"}
    bench.daxa("certificate", "add", "../again.certificate.json", cwd=archive)
    (line,) = bench.daxa("certificate", "list", "--json", cwd=archive).stdout.splitlines()
    assert json.loads(line)["verdict"] == "identical bytes"


def test_what_is_altered_or_missing_upstream_is_named_and_nothing_else(bundle, sky, tmp_path):
    corrupt(sky.root, tmp_path / "sky")
    with Observatory(tmp_path / "sky", sky.tables, sky.names) as server:
        bench = Workbench.at(tmp_path / "work", server.environ)
        ended = bench.daxa("recreate", str(bundle), "again", ok=False)
        assert ended.returncode == 7, ended.stderr
        assert verdicts(bench) == {
            ALTERED: "redelivered",
            MISSING: "no longer available",
            REPACKED: "identical science",
        }
        changed = bench.run("git", "status", "--porcelain", cwd=bench.root / "again").stdout.split()
        assert changed == ["M", "ledger/xmm-fetch.parquet", "M", "upstream/xmm.parquet"]


def corrupt(source: Path, target: Path) -> None:
    """A sky in which one list has another event, one is gone, and one was packed anew."""
    shutil.copytree(source, target)
    (altered,) = target.rglob("nu90900001002A01_cl.evt.gz")
    with fits.open(io.BytesIO(gzip.decompress(altered.read_bytes()))) as hdus:
        hdus[1].data["PI"][0] += 1
        stream = io.BytesIO()
        hdus.writeto(stream)
    altered.write_bytes(gzip.compress(stream.getvalue(), mtime=0))
    (missing,) = target.rglob("P0900000201M1S001MIEVLI0000.FTZ")
    missing.unlink()
    (repacked,) = target.rglob("P0900000101M1S001MIEVLI0000.FTZ")
    repacked.write_bytes(gzip.compress(gzip.decompress(repacked.read_bytes()), 1, mtime=5))
