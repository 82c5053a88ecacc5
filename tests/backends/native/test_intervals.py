"""Lists that share an observation: interleaved frames stay apart, several observing intervals are refused by name."""

from __future__ import annotations

import gzip
from dataclasses import replace

import pytest
from astropy.io import fits

from daxa.errors import DataError
from tests.backends.native.observations import CHANDRA, Fetched, run_step
from tests.xray.imaging.test_vignetting import write_bad_pixels

REAL = "chandra/acis_18461_cena_evt2.fits"


def test_interleaved_frames_are_two_exposures_to_the_end(real_data, tmp_path, monkeypatch):
    files = {f"primary/acisf18461_000N001_{part}_evt2.fits.gz": REAL for part in ("e1", "e2")}
    pixels = {f"primary/acisf18461_000N001_{part}_bpix1.fits.gz": REAL for part in ("e1", "e2")}
    both = replace(CHANDRA, files=files | pixels)
    both.lay_out(real_data, tmp_path)
    for number, name in enumerate(pixels, start=1):
        write_bad_pixels(tmp_path / f"{number}.fits", 3, [(number, number, 1, 1024)])
        plain = (tmp_path / f"{number}.fits").read_bytes()
        (tmp_path / "fetch" / name).write_bytes(gzip.compress(plain, 1, mtime=0))
    events, _ = run_step(both, "events", tmp_path)
    assert sorted(path.name for path in events.iterdir() if "acisf" not in path.name) == [
        f"obsid18461-instACIS-subexp{part}-en-events.fits" for part in ("e1", "e2")
    ]
    assert (events / "acisf18461_000N001_e1_bpix1.fits").is_file()
    clean, _ = run_step(both, "clean", tmp_path, flares="none")
    finals = sorted(path.name for path in clean.glob("*finalevents*"))
    assert [part for part in ("e1", "e2") if any(f"subexp{part}-" in name for name in finals)] == ["e1", "e2"]
    # Each has the bad pixels of its own frames.
    used = {}

    def see(exposure, sources, parameters, attitude, bad):
        used[exposure.product.exposure] = bad[3].x0.tolist()
        return []

    monkeypatch.setattr("daxa.backends.native.images._image_one", see)
    run_step(both, "images", tmp_path)
    assert used == {"e1": [1], "e2": [2]}


@pytest.mark.parametrize("gone", ["ROLL_NOM", "SIM_Z"])
def test_a_list_of_several_observing_intervals_is_refused_by_name(real_data, tmp_path, gone):
    name = "primary/acisf18461N001_evt2.fits.gz"
    one = replace(CHANDRA, files={name: REAL})
    one.lay_out(real_data, tmp_path)
    path = tmp_path / "fetch" / name
    plain = tmp_path / "plain.fits"
    plain.write_bytes(gzip.decompress(path.read_bytes()))
    with fits.open(plain, mode="update") as units:
        for unit in units:
            unit.header.pop(gone, None)
    path.write_bytes(gzip.compress(plain.read_bytes(), 1, mtime=0))
    with pytest.raises(DataError, match=f"{gone}.*several observing intervals"):
        run_step(one, "events", tmp_path)


def test_two_lists_of_intervals_are_refused_by_name(real_data, tmp_path):
    two = Fetched("chandra", "18461", ("ACIS",), {f"primary/acisf18461_00{n}N001_evt2.fits.gz": REAL for n in (1, 2)})
    two.lay_out(real_data, tmp_path)
    with pytest.raises(DataError, match="two files would both become"):
        run_step(two, "events", tmp_path)


def test_a_list_without_the_name_of_its_observation_is_taken_by_the_task_s_and_said(real_data, tmp_path):
    name = "primary/acisf18461N001_evt2.fits.gz"
    one = replace(CHANDRA, files={name: REAL})
    one.lay_out(real_data, tmp_path)
    path = tmp_path / "fetch" / name
    plain = tmp_path / "plain.fits"
    plain.write_bytes(gzip.decompress(path.read_bytes()))
    with fits.open(plain, mode="update") as units:
        for unit in units:
            unit.header.pop("OBS_ID", None)
    path.write_bytes(gzip.compress(plain.read_bytes(), 1, mtime=0))
    run_step(one, "events", tmp_path)
    clean, log = run_step(one, "clean", tmp_path, flares="none")
    assert "18461, whose name it does not hold" in log
    (final,) = clean.glob("*finalevents.fits")
    header = fits.getheader(final, "EVENTS")
    assert header["OBS_ID"] == "18461"
    assert "18461" in header["ASSUME1"]
