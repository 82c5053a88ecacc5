"""Simulated event lists: read by others, and compared with real ones."""

from __future__ import annotations

import filecmp
from pathlib import Path

import fitsio
import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from daxa.missions import find_mission
from daxa.simulator import build_sky, nustar
from daxa.simulator.programme import NUSTAR
from daxa.simulator.sky import CENTRE, FIELD
from daxa.simulator.times import iso_date, mission_seconds, utc_mjd

OBSERVED = {"xmm": ("0900000101", "0900000201"), "chandra": ("90001", "90002"), "nustar": ("90900001002",)}


def event_lists(sky) -> list[Path]:
    names = [*sky.root.rglob("*EVLI0000.FTZ"), *sky.root.rglob("*evt2.fits.gz"), *sky.root.rglob("*_cl.evt.gz")]
    return sorted(names)


def sky_wcs(header, x: int, y: int) -> WCS:
    wcs = WCS(naxis=2)
    for axis, column in ((0, x), (1, y)):
        wcs.wcs.crpix[axis] = header[f"TCRPX{column}"]
        wcs.wcs.crval[axis] = header[f"TCRVL{column}"]
        wcs.wcs.cdelt[axis] = header[f"TCDLT{column}"]
    wcs.wcs.ctype = [header[f"TCTYP{x}"], header[f"TCTYP{y}"]]
    return wcs


@pytest.mark.parametrize("mission", OBSERVED)
def test_the_tree_holds_what_the_mission_declares(sky, mission):
    spec = find_mission(mission)
    for obs_id in OBSERVED[mission]:
        place = sky.root / spec.directory_of(spec.check_obs_id(obs_id))
        paths = [file.relative_to(place).as_posix() for file in place.rglob("*") if file.is_file()]
        for wanted in spec.native_inputs:
            # No timing mode, no HRC: what the sample observatory did not use has no files.
            unused = "TIEVLI" in wanted.pattern or wanted.instrument.startswith("HRC")
            if wanted.kind != "exposure-map" and not unused:
                assert any(wanted.regex(obs_id).fullmatch(path) for path in paths), wanted


def test_the_sky_is_found_again_and_not_built_twice(sky):
    root = sky.root.parents[1]
    before = {file: file.stat().st_mtime_ns for file in root.rglob("*")}
    assert build_sky(root).root == sky.root
    assert {file: file.stat().st_mtime_ns for file in root.rglob("*")} == before


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(sky, tmp_path):
    same = build_sky(tmp_path)
    assert (same.tables, same.names) == (sky.tables, sky.names)
    for file in sky.root.rglob("*"):
        if file.is_file():
            assert filecmp.cmp(file, same.root / file.relative_to(sky.root), shallow=False)
    pointing = NUSTAR[0]
    lists = [tmp_path / str(seed) / "event_cl/nu90900001002A01_cl.evt.gz" for seed in (1, 1, 2)]
    read = []
    for file, seed in zip(lists, (1, 1, 2), strict=True):
        nustar.write_observation(file.parents[1], pointing, FIELD, seed=seed)
        read.append(file.read_bytes())
    assert read[0] == read[1] != read[2]


def test_every_file_is_valid_and_says_that_it_is_simulated(sky):
    files = [*sky.root.rglob("*.FTZ"), *sky.root.rglob("*.gz")]
    assert len(files) == 2 * 7 + 2 * 5 + 2
    for file in files:
        with fits.open(file) as hdus:
            hdus.verify("exception")
            assert all(hdu.header["SIMULATD"] is True for hdu in hdus)
        with fitsio.FITS(str(file)) as again:
            assert all(again[i].has_data() for i in range(1, len(again)))


@pytest.mark.filterwarnings("error")
def test_checksums_hold_where_the_mission_writes_them(sky):
    for file in [*sky.root.rglob("*_cl.evt.gz"), *sky.root.rglob("*N001_*.fits.gz")]:
        with fits.open(file) as hdus:
            for hdu in hdus[1:]:
                assert hdu.verify_checksum() == 1
                assert hdu.verify_datasum() == 1
            assert ("chandra" in file.as_posix()) == (hdus[0].header["DATASUM"].strip() == "")
    for file in sky.root.rglob("*.FTZ"):
        assert "CHECKSUM" not in fits.getheader(file, 1)


@pytest.mark.parametrize(
    ("pattern", "real", "hdus"),
    [
        ("0900000101/PPS/*M1S001MIEVLI*", "xmm/0404910601/eclean/mos1_exp1_clean_evts.fits",
         ("EVENTS", "OFFSETS", "EXPOSU01", "BADPIX01", "STDGTI01", "CALINDEX")),
        ("90001/primary/*evt2*", "chandra/acis_18461_cena_evt2.fits", ("EVENTS", "GTI")),
        ("90900001002/event_cl/*A01*", "nustar/nu30101031002A_cut_evt.fits", ("EVENTS", "GTI", "BADPIX")),
        ("0900000101/PPS/*ATTTSR*", "xmm/0404910601/P0404910601OBX000ATTTSR0000.FIT", ("ATTHK",)),
    ],
)  # fmt: skip
def test_columns_are_those_of_a_real_list(sky, real_data, pattern, real, hdus):
    (file,) = sky.root.rglob(pattern)
    with fits.open(file) as ours, fits.open(real_data / real) as theirs:
        for name in hdus:
            assert [(c.name, c.format) for c in ours[name].columns] == [
                (c.name, c.format) for c in theirs[name].columns
            ]
            header, model = ours[name].header, theirs[name].header
            for i in range(1, len(ours[name].columns) + 1):
                for card in (f"TUNIT{i}", f"TNULL{i}", f"TCTYP{i}", f"TCUNI{i}"):
                    assert header.get(card) == model.get(card), (name, card)
            for card in ("TELESCOP", "INSTRUME", "TIMESYS", "MJDREF", "MJDREFI", "TIMEZERO", "DATAMODE"):
                if card in model:
                    assert header[card] == model[card], (name, card)


def nearest_peak(x: np.ndarray, y: np.ndarray, at: tuple[float, float], reach: float) -> tuple[float, float]:
    """Median position of events, taken again about itself."""
    centre = np.array(at)
    for _ in range(10):
        near = np.hypot(x - centre[0], y - centre[1]) < reach
        centre = np.array([np.median(x[near]), np.median(y[near])])
    return float(centre[0]), float(centre[1])


@pytest.mark.parametrize(
    ("pattern", "columns", "reach", "tolerance"),
    [
        ("0900000101/PPS/*M1S001MIEVLI*", (6, 7), 8.0, 1.5),
        ("0900000101/PPS/*PNS003PIEVLI*", (6, 7), 8.0, 1.5),
        ("90001/primary/*evt2*", (11, 12), 4.0, 0.8),
    ],
)
def test_sources_are_where_they_should_be(sky, pattern, columns, reach, tolerance):
    (file,) = sky.root.rglob(pattern)
    with fits.open(file) as hdus:
        wcs, rows = sky_wcs(hdus[1].header, *columns), hdus[1].data
        found = 0
        for source in FIELD[1:5]:
            at = wcs.wcs_world2pix([[source.ra, source.dec]], 1)[0]
            scale = wcs.wcs.cdelt[1] * 3600
            ex, ey = (np.asarray(rows.field(i - 1), float) for i in columns)
            near = np.hypot(ex - at[0], ey - at[1]) * scale
            counts, background = (near < 15).sum(), ((near > 40) & (near < 60)).sum() * 225 / 2000
            if counts < 60:  # beside a chip
                continue
            assert counts > 5 * background
            peak = nearest_peak(ex, ey, tuple(at), reach / scale)
            assert np.hypot(peak[0] - at[0], peak[1] - at[1]) * scale < tolerance
            found += 1
        assert found >= 3


def test_counts_agree_with_the_flux_of_the_source(sky):
    # Chandra's area and the spectrum of the first source, integrated here on another grid.
    (file,) = sky.root.rglob("90001/primary/*evt2*")
    source = FIELD[1]
    kev = np.linspace(0.5, 7.0, 5000)
    area = np.interp(kev, (0.3, 0.6, 1.0, 1.5, 2.0, 4.0, 6.0, 7.0), (0.0, 20, 220, 560, 420, 370, 260, 180))
    norm = source.flux * 0.8 / (0.5**-0.8 - 10.0**-0.8)
    rate = np.trapezoid(norm * kev**-source.index * area, kev)
    with fits.open(file) as hdus:
        header, rows = hdus[1].header, hdus[1].data
        wcs = sky_wcs(header, 11, 12)
        at = wcs.wcs_world2pix([[source.ra, source.dec]], 1)[0]
        near = np.hypot(rows["x"] - at[0], rows["y"] - at[1]) * 0.492
        kept = (rows["energy"] > 500) & (rows["energy"] < 7000) & np.isin(rows["grade"], (0, 2, 3, 4, 6))
        counts = (kept & (near < 15)).sum() - (kept & (near > 40) & (near < 60)).sum() * 225 / 2000
        offset = np.hypot(*(at - 4096.5)) * 0.492 / 60
    expected = rate * header["LIVETIME"] / (1 + (offset / 16) ** 2)
    assert abs(counts - expected) < 5 * np.sqrt(expected)


def test_screening_has_something_to_remove(sky):
    for file in event_lists(sky):
        with fits.open(file) as hdus:
            rows, header = hdus[1].data, hdus[1].header
            good = [h.data for h in hdus if h.name.startswith(("STDGTI", "GTI"))]
            inside = np.any([(rows.field(0) >= a) & (rows.field(0) < b) for t in good for a, b in zip(
                t["START"], t["STOP"], strict=True)], axis=0)  # fmt: skip
            if header["TELESCOP"] == "XMM":
                wrong = {"flag": rows["FLAG"] != 0, "pattern": rows["PATTERN"] > 12}
            elif header["TELESCOP"] == "CHANDRA":
                wrong = {"grade": np.isin(rows["grade"], (1, 5, 7)), "status": rows["status"].any(axis=1)}
            else:
                wrong = {"grade": rows["GRADE"] > 26, "shield": rows["SHIELD"] != 0, "status": rows["STATUS"].any(1)}
            for name, bad in {**wrong, "time": ~inside}.items():
                assert 0.0005 < bad.mean() < 0.35, (file.name, name)
            assert 5_000 < len(rows) < 90_000


def test_only_the_second_xmm_observation_flares(sky):
    for obs_id, flares in (("0900000101", False), ("0900000201", True)):
        (file,) = sky.root.rglob(f"P{obs_id}M2S002MIEVLI0000.FTZ")
        with fits.open(file) as hdus:
            rows, header = hdus[1].data, hdus[1].header
            hard = rows["TIME"][(rows["PI"] > 10000) & (rows["PATTERN"] <= 12)]
            counts = np.histogram(hard, np.arange(header["TSTART"], header["TSTOP"], 400.0))[0]
        assert bool(counts.max() > 5 * np.median(counts)) is flares


def test_live_times_follow_from_frames_and_good_time(sky):
    (file,) = sky.root.rglob("P0900000101M1S001MIEVLI0000.FTZ")
    with fits.open(file) as hdus:
        header = hdus["EVENTS"].header
        for chip in (1, 2, 3, 4, 5, 7):
            frames, good = hdus[f"EXPOSU{chip:02d}"].data, hdus[f"STDGTI{chip:02d}"].data
            half = frames["TIMEDEL"].astype(float) / 2
            inside = np.any([(frames["TIME"] - half >= a - 1e-6) & (frames["TIME"] + half <= b + 1e-6)
                             for a, b in zip(good["START"], good["STOP"], strict=True)], axis=0)  # fmt: skip
            live = np.sum(frames["TIMEDEL"][inside].astype(float) * frames["FRACEXP"][inside].astype(float))
            assert header[f"LIVETI{chip:02d}"] == pytest.approx(live, rel=1e-9)
            assert header[f"ONTIME{chip:02d}"] == pytest.approx(float((good["STOP"] - good["START"]).sum()))
        assert "EXPOSU06" not in hdus


def test_no_event_falls_on_a_bad_pixel(sky):
    for file in sky.root.rglob("P0900000101*EVLI0000.FTZ"):
        with fits.open(file) as hdus:
            rows = hdus["EVENTS"].data
            for chip in np.unique(rows["CCDNR"]):
                mine = rows[rows["CCDNR"] == chip]
                for x, y, _, extent, _ in hdus[f"BADPIX{chip:02d}"].data:
                    assert not ((mine["RAWX"] == x) & (mine["RAWY"] >= y) & (mine["RAWY"] < y + extent)).any()


def test_tables_agree_with_headers(sky):
    rows = {row["obsid"]: row for rows in sky.tables.values() for row in rows}
    for mission, name, reference in (("xmm", "0900000101", 50814.0), ("chandra", "90001", 50814.0)):
        place = sky.root / find_mission(mission).directory_of(name)
        (file,) = [*place.rglob("*M1S001MIEVLI*"), *place.rglob("*evt2*")]
        header = fits.getheader(file, 1)
        assert abs(utc_mjd(header["TSTART"], reference) - rows[name]["time"]) * 86400 < 5
        assert header["OBS_ID"] == name
    assert rows["90900001002"]["exposure_a"] == pytest.approx(
        fits.getheader(next(sky.root.rglob("nu90900001002A01_cl.evt.gz")), 1)["EXPOSURE"]
    )


def test_traps_are_in_the_tables(sky):
    rows = {name: {row["obsid"]: row for row in rows} for name, rows in sky.tables.items()}
    assert rows["numaster"]["90900003002"]["exposure_a"] < 0
    assert rows["xmmmaster"]["0900000701"]["public_date"] == 416422.0
    assert rows["xmmmaster"]["0900000501"]["ra"] is None
    assert rows["numaster"]["90900005002"]["public_date"] is None
    near = [row for row in rows["xmmmaster"].values() if row["ra"] and abs(row["ra"] - CENTRE[0]) < 0.5]
    assert len(near) == 5


def test_mission_clocks():
    from astropy.time import Time

    for mjd in (53000.25, 54000.5, 57202.9, 57204.001, 58258.25):
        tt = (Time(mjd, format="mjd", scale="utc").tt - Time(50814.0, format="mjd", scale="tt")).to_value("s")
        assert mission_seconds(mjd, 50814.0) == pytest.approx(tt, abs=1e-4)
        assert utc_mjd(tt, 50814.0) == pytest.approx(mjd, abs=1e-9)
        assert iso_date(tt, 50814.0) == Time(mjd, format="mjd").isot[:19]
