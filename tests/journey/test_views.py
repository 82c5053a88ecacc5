"""What is made of an archive without changing it: coverage of a sample, and mosaics of its events."""

from __future__ import annotations

import json
import sys

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits

import daxa
from tests.journey.workbench import contents
from tests.test_readme import session_with, typed

pytestmark = [pytest.mark.journey, pytest.mark.usefixtures("quick_dvc")]


def test_a_sample_and_a_mosaic_of_events(copy, bench, tmp_path):
    root = copy()
    before = contents(root, "data", "ledger", "selection")
    (tmp_path / "sample.csv").write_text("name,ra,dec\ncluster,149.59,-11.06\nelsewhere,10,20\n")
    ended = bench.daxa("coverage", str(tmp_path / "sample.csv"), "--json", cwd=root)
    rows = pd.DataFrame(json.loads(line) for line in ended.stdout.splitlines())
    assert set(rows["target"]) == {"cluster"}
    assert set(rows["mission"]) == {"xmm", "nustar"}
    assert len(rows) == len(daxa.open(root).products(kind="image"))
    soft = rows[(rows["mission"] == "xmm") & (rows["hi_kev"] == 2.0)]
    assert (soft["chance"] < 1e-10).all()
    assert (soft["nearest"] < 60.0).all()  # arcsec: the cluster is a source of every list

    asked = ("--mission", "xmm", "--band", "0.5-2", "--json")
    ended = bench.daxa("mosaic", *asked, "-o", str(tmp_path / "own"), "--moc", str(tmp_path / "sky.fits"), cwd=root)
    # The events are those of the images, so that none had to stand in for its list.
    assert "lack an event list" not in ended.stderr
    files = {record["kind"]: record["path"] for record in map(json.loads, ended.stdout.splitlines())}
    images = daxa.open(root).products("xmm", kind="image")
    single = [fits.getdata(root / path) for path in images[images["hi_kev"] == 2.0]["path"]]
    counts, header = fits.getdata(files["image"]), fits.getheader(files["image"])
    assert header["MOSN"] == len(single) > 1
    assert header["MOSDUP"] == 0
    assert counts.sum() == sum(int(image.sum()) for image in single)
    seconds, rate = fits.getdata(files["expmap"]), fits.getdata(files["ratemap"])
    seen = np.isfinite(rate)
    np.testing.assert_allclose(rate[seen], counts[seen] / seconds[seen], rtol=1e-6)

    (root.parent / "clusters.csv").write_text("name,ra,dec,radius_arcmin\nAbell 907,149.59,-11.06,1\n")
    for command in typed(session_with("daxa mosaic", "console")):
        bench.run(*command, cwd=root)
    assert (root.parent / "clusters.vot").stat().st_size > 1000
    told = bench.run(sys.executable, "-c", session_with("archive.mosaic(", "python"), cwd=root.parent).stdout
    assert "0900000101" in told
    assert contents(root, "data", "ledger", "selection") == before
    assert bench.clean(root)
