"""The whole path on real observations: choose, fetch, process, release, share, prove.

Which archive name stands for which real file is said by `daxa.simulator.real_sky`; the
cleaned MOS lists stand for the pipeline's calibrated ones.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
from astropy.io import fits

from daxa.simulator import Observatory, real_sky
from tests.journey.workbench import Workbench, contents, few_realisations, make_cheap

pytestmark = pytest.mark.journey

STANDS_FOR = {
    "xmm/data/rev0/0404910601/PPS/P0404910601M1S001MIEVLI0000.FTZ": "xmm/0404910601/eclean/mos1_exp1_clean_evts.fits",
    "xmm/data/rev0/0404910601/PPS/P0404910601M2S002MIEVLI0000.FTZ": "xmm/0404910601/eclean/mos2_exp1_clean_evts.fits",
    "xmm/data/rev0/0404910601/PPS/P0404910601OBX000ATTTSR0000.FTZ": "xmm/0404910601/P0404910601OBX000ATTTSR0000.FIT",
    "xmm/data/rev0/0201901401/PPS/P0201901401M1U002MIEVLI0000.FTZ": "xmm/0201901401/eclean/mos1_exp1_clean_evts.fits",
    "chandra/data/byobsid/1/18461/primary/acisf18461N001_evt2.fits.gz": "chandra/acis_18461_cena_evt2.fits",
    "nustar/data/obs/01/3/30101031002/event_cl/nu30101031002A01_cl.evt.gz": "nustar/nu30101031002A_cut_evt.fits",
}


def test_from_the_archives_to_a_verified_clone(tmp_path, real_data):
    sky = real_sky(real_data, tmp_path / "tree")
    served = {archive: str(file) for archive, file in sky.files.items()}
    for name, file in STANDS_FOR.items():
        assert served[name].endswith(file), f"{name} stands for {served.get(name)}"

    with Observatory(sky.root, sky.tables, sky.names) as observatory:
        bench = Workbench.at(tmp_path, observatory.environ)
        (tmp_path / "remote").mkdir()
        bench.daxa(
            *("init", "real", "--remote", str(tmp_path / "remote")),
            *("--mission", "xmm", "--mission", "chandra", "--mission", "nustar"),
            *("--obsid", "xmm:0404910601", "--obsid", "xmm:0201901401"),
            *("--obsid", "chandra:18461", "--obsid", "nustar:30101031002"),
        )
        archive = tmp_path / "real"
        make_cheap(archive, ("chandra", "nustar"), fields=0)
        # Those of XMM are compared pixel by pixel with what others made.
        params = archive / "params" / "xmm.toml"
        params.write_text(few_realisations(params.read_text(), 0))
        params = archive / "params" / "xmm.toml"
        params.write_text(params.read_text().replace('flares = "histogram"', 'flares = "none"'))
        bench.repro(archive)
        status = bench.status(archive)
        assert len(status) == 4 * 5
        assert {record["status"] for record in status} == {"done"}, [r for r in status if r["status"] != "done"]
        assert "didn't change" in bench.repro(archive).stdout
        bench.daxa("release", "-m", "first light", cwd=archive)
        bench.daxa("push", cwd=archive)

    # From here on no archive can be reached: the release is enough.
    clone = tmp_path / "clone"
    bench.run("git", "clone", "--quiet", "--branch", "v1.0.0", str(archive), str(clone))
    bench.run("dvc", "pull", "--quiet", cwd=clone)
    verdict = json.loads(bench.daxa("verify", "v1.0.0", "--json", cwd=clone).stdout.splitlines()[-1])
    assert verdict["problems"] == []
    assert bench.clean(clone)
    for step in ("events", "clean", "images", "sources"):
        for mission in ("xmm", "chandra", "nustar"):
            made = contents(archive, f"data/{mission}/{step}")
            assert made
            assert contents(clone, f"data/{mission}/{step}") == made
    _check_science(clone, real_data)


def _check_science(archive, real_data):
    """What others measured on the same lists, found again at the end of the path."""
    [image] = (archive / "data/xmm/images/0404910601").glob("*-instM1-subexpS001-en0.5_2.0keV-image.fits")
    sas = real_data / "xmm/0404910601/images/0404910601_mos1_exp1-0.50-2.00keVimg.fits"
    assert np.array_equal(fits.getdata(image), fits.getdata(sas))
    assert fits.getdata(image).sum() == 27_546
    assert fits.getheader(image)["ONTIME"] == pytest.approx(12914.866, abs=0.001)
    [nustar] = (archive / "data/nustar/clean/30101031002").glob("*-finalevents.fits")
    assert fits.getheader(nustar, 1)["LIVETIME"] == pytest.approx(38221.4, abs=0.1)
    assert list((archive / "data/chandra/images/18461").glob("*.png"))
