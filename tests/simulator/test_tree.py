"""Real files under the paths of an archive."""

from __future__ import annotations

import gzip

import httpx
import pytest
from astropy.io import fits

from daxa.missions import find_mission
from daxa.simulator import Observatory, real_sky


@pytest.fixture(scope="module")
def real(real_data, tmp_path_factory):
    """The real files as an archive."""
    return real_sky(real_data, tmp_path_factory.mktemp("real"))


def test_every_path_is_one_that_the_mission_declares(real):
    missions = {"xmm": "xmmmaster", "chandra": "chanmaster", "nustar": "numaster"}
    seen = 0
    for name, table in missions.items():
        spec = find_mission(name)
        for row in real.tables[table]:
            directory = spec.directory_of(spec.check_obs_id(row["obsid"]))
            paths = [path.removeprefix(directory + "/") for path in real.files if path.startswith(directory)]
            assert paths
            for path in paths:
                assert any(wanted.regex(row["obsid"]).fullmatch(path) for wanted in spec.native_inputs), path
            seen += len(paths)
    assert seen == len(real.files)


def test_the_bytes_are_those_of_the_real_files(real):
    with Observatory(real.root, real.tables, real.names) as server:
        for path, file in real.files.items():
            answer = httpx.get(f"{server.url}/FTP/{path}")
            assert gzip.decompress(answer.content) == file.read_bytes()


def test_rows_come_from_the_headers(real, real_data):
    (row,) = real.tables["numaster"]
    header = fits.getheader(real_data / "nustar/nu30101031002A_cut_evt.fits", 1)
    # The header counts in terrestrial time, 68.184 s ahead of UTC in 2015.
    assert row["time"] == pytest.approx(header["MJD-OBS"] - 68.184 / 86400, abs=1e-6)
    assert row["exposure_a"] == header["EXPOSURE"]
    exposures = {path[-18:-14] for path in real.files if "0201901401" in path}
    assert exposures == {"U002"}
