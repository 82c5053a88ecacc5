"""The native chain on real observations: fetched files in, images out."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from daxa.backends import find_backend
from daxa.errors import ConfigError, DataError, NotPossible
from daxa.run.product import parse_product
from daxa.xray.cleaning.cut import standard_cut
from daxa.xray.cleaning.livetime import livetime, ontime
from daxa.xray.eventlists.gti import intersect, total
from daxa.xray.eventlists.opening import open_events
from tests.backends.native.observations import ALL, CHANDRA, NUSTAR, XMM, XMM_ONE, digests, run_step, task_for

STEPS = ("events", "clean", "images")


@pytest.fixture(scope="module", params=ALL)
def chain(request, real_data, tmp_path_factory):
    """An observation processed with the default parameters: (what was fetched, its directory, log per step)."""
    fetched = ALL[request.param]
    root = fetched.lay_out(real_data, tmp_path_factory.mktemp(request.param))
    logs = {step: run_step(fetched, step, root)[1] for step in STEPS}
    return fetched, root, logs


def finals(root: Path) -> list[Path]:
    return sorted((root / "clean").glob("*-finalevents.fits"))


def test_event_lists_are_the_archives_own(chain, real_data):
    fetched, root, _ = chain
    made = sorted((root / "events").glob("obsid*"))
    real = [name for path, name in fetched.files.items() if "ATTTSR" not in path]
    assert sorted(path.read_bytes() for path in made) == sorted((real_data / name).read_bytes() for name in real)
    assert {parse_product(path.name).obs_id for path in made} == {fetched.obs_id}


def test_auxiliary_files_travel(chain, real_data):
    fetched, root, _ = chain
    if fetched is XMM:
        original = (real_data / "xmm/0404910601/P0404910601OBX000ATTTSR0000.FIT").read_bytes()
        for step in ("events", "clean"):
            assert (root / step / "P0404910601OBX000ATTTSR0000.fits").read_bytes() == original


def test_every_band_has_image_map_and_rate(chain):
    _, root, _ = chain
    kinds = {}
    for path in (root / "images").iterdir():
        product = parse_product(path.name)
        kinds.setdefault((product.instrument, product.exposure), []).append((product.kind, product.lo))
    together = kinds.pop(("ALL", "ALL"), None)
    assert (together is not None) == (len(finals(root)) > 1)
    assert len(kinds) == len(finals(root))
    for made in kinds.values():
        bands = {lo for _, lo in made if lo}
        assert len(bands) == 2
        assert sorted(made) == sorted(
            [(kind, lo) for kind in ("image", "expmap", "ratemap") for lo in bands]
            + [("quicklook", ""), ("lightcurve", next(lo for kind, lo in made if kind == "lightcurve"))]
        )


def test_cameras_together_are_the_sum_of_each(chain):
    """What another reader of the products finds, pixel by pixel, by way of the event pixels of their headers."""
    _, root, _ = chain
    together = sorted((root / "images").glob("*-combinedimage.fits"))
    assert bool(together) == (len(finals(root)) > 1)
    for path in together:
        energies = parse_product(path.name)
        header = fits.getheader(path)
        names = {kind: Path(str(path).replace("combinedimage", f"combined{kind}")) for kind in ("expmap", "ratemap")}
        seconds, rate = (fits.getdata(names[kind]).astype(float) for kind in ("expmap", "ratemap"))
        counts = fits.getdata(path)
        summed = {kind: np.zeros(counts.shape) for kind in ("image", "expmap")}
        parts = sorted((root / "images").glob(f"*-en{energies.lo}_{energies.hi}keV-image.fits"))
        assert len(parts) == header["MOSN"] == 2
        for number, part in enumerate(parts, start=1):
            own = fits.getheader(part)
            dx, dy = (round((own[f"CRVAL{n}L"] - header[f"CRVAL{n}L"]) / own[f"CDELT{n}L"]) for n in (1, 2))
            place = slice(dy, dy + own["NAXIS2"]), slice(dx, dx + own["NAXIS1"])
            for kind, total_of in summed.items():
                total_of[place] += fits.getdata(str(part).replace("-image", f"-{kind}"))
            assert header[f"MOSW{number:04d}"] == 1.0
            assert header[f"MOSC{number:04d}"] == own["CUTID"]
            assert header[f"MOSE{number:04d}"] == fits.getheader(str(part).replace("-image", "-expmap"))["EXPMETH"]
            for wcs in (" ", "L"):
                places = [WCS(one, key=wcs).wcs_pix2world([[5.0 + x, 7.0 + y]], 0) for one, x, y in
                          ((own, 0, 0), (header, dx, dy))]  # fmt: skip
                np.testing.assert_allclose(*places, rtol=0, atol=1e-6)
        assert (counts == summed["image"]).all()
        np.testing.assert_allclose(seconds, summed["expmap"], rtol=1e-6)
        seen = np.isfinite(rate)
        np.testing.assert_allclose(rate[seen], counts[seen] / seconds[seen], rtol=1e-5)
        assert header["INSTRUME"] == "COMBINED"
        assert header["VIGNET"]


def test_good_times_read_back_as_they_were_used(chain):
    _, root, _ = chain
    for path in finals(root):
        events = open_events(path)
        before = open_events(Path(str(path).replace("/clean/", "/events/").replace("finalevents", "events")))
        flares = sorted((root / "clean").glob(f"{path.name.split('-en-')[0]}-en[0-9]*-lightcurve.fits"))
        allowed = None
        # One light curve for each pass; what all of them leave is kept.
        for table in (fits.getdata(one, "GTI") for one in flares):
            left = np.column_stack([table["START"], table["STOP"]]).astype(float)
            allowed = left if allowed is None else intersect(allowed, left)
        assert set(events.gtis) == set(before.gtis)
        for chip, gti in events.gtis.items():
            expected = before.gtis[chip] if allowed is None else intersect(before.gtis[chip], allowed)
            assert gti.shape == expected.shape
            assert (gti == expected).all()
        alone = fits.open(Path(str(path).replace("finalevents", "gti")))
        with alone:
            assert sum(len(unit.data) for unit in alone[1:]) == sum(map(len, events.gtis.values()))


def test_every_kept_event_is_a_row_of_the_archive(chain):
    _, root, _ = chain
    for path in finals(root):
        events = open_events(path)
        before = open_events(Path(str(path).replace("/clean/", "/events/").replace("finalevents", "events")))
        have, original = {row.tobytes() for row in events.rows}, [row.tobytes() for row in before.rows]
        assert [row for row in original if row in have] == [row.tobytes() for row in events.rows]
        assert 0 < len(events.rows) <= len(before.rows)


def test_kept_events_are_those_that_cfitsio_keeps(chain):
    fitsio = pytest.importorskip("fitsio")
    _, root, _ = chain
    for path in finals(root):
        events = open_events(path)
        source = str(path).replace("/clean/", "/events/").replace("finalevents", "events")
        form, kept = events.format, 0
        tables = [table for table in events.tables if table.name.startswith("GTI")]
        for chip, table in zip(sorted(events.gtis), tables, strict=True):
            if not len(events.gtis[chip]):
                continue
            place = f"{path}[{table.name},{table.version}]"
            rule = f'gtifilter("{place}",{form.time_column})'
            if form.chip_column:
                rule = f"{form.chip_column}=={chip} && {rule}"
            with fitsio.FITS(f"{source}[EVENTS][{rule}]") as filtered:
                kept += filtered["EVENTS"].get_nrows()
        assert kept == len(events.rows)


def test_times_in_the_header_are_those_of_the_good_times(chain):
    _, root, _ = chain
    for path in finals(root):
        events = open_events(path)
        good, live = ontime(events, events.gtis), livetime(events, events.gtis)
        header = fits.getheader(path, "EVENTS")
        for chip in good:
            names = {
                "xmm": (f"ONTIME{chip:02d}", f"LIVETI{chip:02d}"),
                "chandra": (f"ONTIME{chip}", f"LIVTIME{chip}"),
                "nustar": ("ONTIME", "LIVETIME"),
            }[events.format.mission]
            assert header[names[0]] == pytest.approx(good[chip], rel=1e-12)
            assert header[names[1]] == pytest.approx(live[chip], rel=1e-12)
        assert header["ONTIME"] <= max(good.values()) * (1 + 1e-12)


def test_nothing_else_of_the_list_changes(chain):
    _, root, _ = chain
    for path in finals(root):
        source = Path(str(path).replace("/clean/", "/events/").replace("finalevents", "events"))
        with fits.open(path) as ours, fits.open(source) as theirs:
            kept = [unit for unit in theirs if unit.name != "EVENTS" and not unit.name.startswith("GTI")]
            other = [unit for unit in ours if unit.name != "EVENTS" and not unit.name.startswith("GTI")]
            assert [unit.name for unit in other] == [unit.name for unit in kept]
            for one, two in zip(other, kept, strict=True):
                assert (one.data is None and two.data is None) or one.data.tobytes() == two.data.tobytes()
            for unit in ours:
                assert not {"DATE", "CHECKSUM", "DATASUM", "HISTORY"} & set(unit.header)
            columns = ours["EVENTS"].columns
            assert columns.names == theirs["EVENTS"].columns.names
            assert columns.formats == theirs["EVENTS"].columns.formats


def test_image_and_map_share_one_truth(chain):
    _, root, _ = chain
    for path in sorted((root / "images").glob("*-image.fits")):
        with (
            fits.open(path) as image,
            fits.open(str(path).replace("-image", "-expmap")) as expmap,
            fits.open(str(path).replace("-image", "-ratemap")) as rate,
        ):
            headers = [one[0].header for one in (image, expmap, rate)]
            assert len({header["CUTID"] for header in headers}) == 1
            assert [header["BUNIT"] for header in headers] == ["count", "s", "count/s"]
            assert all(WCS(header).wcs.compare(WCS(headers[0]).wcs) for header in headers)
            counts, seconds = image[0].data, expmap[0].data
            seen = seconds >= 0.015 * seconds.max()
            assert counts[seconds == 0].sum() <= 0.004 * counts.sum()
            assert np.isnan(rate[0].data[~seen]).all()
            assert np.allclose(rate[0].data[seen], counts[seen] / seconds[seen], rtol=1e-6)
            # A curve is known for the EPIC cameras, and for no other of these images.
            known = headers[0]["INSTRUME"] in ("EMOS1", "EMOS2")
            assert ("UNVERIF" in expmap[0].header) == (not known or headers[0]["ENERG_HI"] == 10.0)
            assert expmap[0].header["VIGNET"] is known
            assert expmap[0].header["EXPMETH"] == ("NATIVE" if known else "FLAT")
            told = any((root / "clean").glob("*ATTTSR*.fits"))
            assert expmap[0].header.get("EXPDITH") == ("ATTITUDE" if told else None)
            assert seconds.max() <= headers[0]["LIVETIME"] * (1 + 1e-6)


def test_image_counts_are_the_rows_in_the_band(chain):
    _, root, _ = chain
    for path in sorted((root / "images").glob("*-image.fits")):
        product = parse_product(path.name)
        name = f"obsid{product.obs_id}-inst{product.instrument}-subexp{product.exposure}-en-finalevents.fits"
        header = fits.getheader(path)
        channels = open_events(root / "clean" / name).column("PI")
        inside = (channels >= header["CHANMIN"]) & (channels <= header["CHANMAX"])
        assert fits.getdata(path).sum() == inside.sum() > 0


def test_equal_inputs_give_equal_bytes(chain, tmp_path):
    fetched, root, _ = chain
    for step in STEPS:
        shutil.copytree(root / {"events": "fetch", "clean": "events", "images": "clean"}[step], tmp_path / "in" / step)
    for step in STEPS:
        again = tmp_path / step
        again.mkdir()
        shutil.move(tmp_path / "in" / step, again / {"events": "fetch", "clean": "events", "images": "clean"}[step])
        target, log = run_step(fetched, step, again)
        assert digests(target) == digests(root / step)
        assert str(tmp_path) not in log


def test_products_conform_to_the_standard(chain):
    _, root, _ = chain
    program = shutil.which("fitsverify")
    if not program:
        pytest.skip("fitsverify is not installed")
    for path in [path for step in ("clean", "images") for path in (root / step).glob("obsid*.fits")]:
        found = subprocess.run([program, "-e", path], capture_output=True, text=True, check=False)
        assert "and 0 error(s)" in found.stdout or "and 0 errors" in found.stdout, found.stdout


def test_the_sas_image_comes_out_of_the_chain(real_data, tmp_path):
    root = XMM_ONE.lay_out(real_data, tmp_path)
    run_step(XMM_ONE, "events", root)
    run_step(XMM_ONE, "clean", root, flares="none")
    target, _ = run_step(XMM_ONE, "images", root, bands=["0.5-2.0 keV"])
    theirs = fits.getdata(real_data / "xmm/0404910601/images/0404910601_mos1_exp1-0.50-2.00keVimg.fits")
    assert fits.getdata(next(target.glob("*-image.fits"))).sum() == theirs.sum() == 27546


def test_flares_are_cut_on_request_only(real_data, tmp_path):
    root = XMM_ONE.lay_out(real_data, tmp_path)
    run_step(XMM_ONE, "events", root)
    source = next((root / "events").glob("obsid*"))
    before = max(total(gti) for gti in open_events(source).gtis.values())
    kept = {}
    asked = {"threshold": {"flare_threshold": "0.2 count/s"}, "scale": {"flare_scale": 1.3}}
    for flares in ("none", "histogram", "threshold", "clip", "scale"):
        shutil.rmtree(root / "clean", ignore_errors=True)
        target, _ = run_step(XMM_ONE, "clean", root, flares=flares, **asked.get(flares, {}))
        events = open_events(next(target.glob("*-finalevents.fits")))
        kept[flares] = max(total(gti) for gti in events.gtis.values()) / before
        header = fits.getheader(next(target.glob("*-finalevents.fits")), "EVENTS")
        assert header["FLAREMET"] == flares.upper()
        curves, pictures = (list(target.glob(f"*-{name}")) for name in ("lightcurve.fits", "flares.png"))
        # The default looks for hard flares, for softer ones, and in bands of images that are still too high: here 2-10.
        assert len(curves) == len(pictures) == {"none": 0, "histogram": 3}.get(flares, 1)
        assert header.get("FLAR2USE") is {"histogram": True}.get(flares)
        for path in curves:
            assert {"RATE", "GTI", "HISTOGRAM"} <= {hdu.name for hdu in fits.open(path)}
        if flares != "none":
            assert {"FLRLO1", "FLRHI1", "FLREX1", "FLRER1", "FLREX2"} <= set(header)
            most = max(header[f"FLREX{number}"] for number in (1, 2))
            assert header["FLARESTA"] != "GOOD" or most <= 0.05
            assert header["FLAREALL"] == pytest.approx(kept[flares], abs=0.01)
        if flares == "histogram":
            assert header["FLARESTA"] == "GOOD"
            assert header["FLAREALL"] < 0.5 * header["FLAREKEP"]
    assert kept["none"] == 1.0
    assert len(set(kept.values())) == len(kept)
    # The archive's list holds times with twice the quiescent rate, most of them soft.
    assert 0.2 < kept["histogram"] < 0.4


def with_header(path: Path, **cards: object) -> None:
    """Rewrite a compressed list with other cards in its headers."""
    plain = path.with_suffix(".plain")
    plain.write_bytes(gzip.decompress(path.read_bytes()))
    with fits.open(plain, mode="update", output_verify="ignore") as hdus:
        for unit in (hdus[0], hdus["EVENTS"]):
            for key, value in cards.items():
                unit.header[key] = value
    path.write_bytes(gzip.compress(plain.read_bytes(), 1, mtime=0))
    plain.unlink()


@pytest.mark.parametrize(
    ("cards", "reason"),
    [
        ({"FILTER": "CalClosed"}, "filter CalClosed"),
        ({"FILTER": "Closed"}, "filter Closed"),
        ({"DATAMODE": "TIMING"}, "timing mode"),
    ],
)
def test_exposures_that_saw_no_sky_are_left_out_by_reason(real_data, tmp_path, cards, reason):
    root = XMM.lay_out(real_data, tmp_path)
    with_header(root / "fetch/PPS/P0404910601M1S001MIEVLI0000.FTZ", **cards)
    target, log = run_step(XMM, "events", root)
    assert [parse_product(path.name).instrument for path in target.glob("obsid*")] == ["M2"]
    assert f"left out PPS/P0404910601M1S001MIEVLI0000.FTZ: {reason}" in log


def test_a_list_with_no_event_in_its_good_times_is_left_out(real_data, tmp_path):
    root = NUSTAR.lay_out(real_data, tmp_path)
    path = next((root / "fetch/event_cl").iterdir())
    with fits.open(path) as units:
        for name in ("START", "STOP"):
            units["GTI"].data[name] += 3e7
        units.writeto(tmp_path / "later.fits")
    path.write_bytes(gzip.compress((tmp_path / "later.fits").read_bytes(), 1, mtime=0))
    with pytest.raises(DataError, match="none of its 937 events lies in its good times") as caught:
        run_step(NUSTAR, "events", root)
    assert caught.value.code == "data.no-exposure"


def test_errors_of_a_step_name_the_file(real_data, tmp_path):
    root = NUSTAR.lay_out(real_data, tmp_path)
    path = next((root / "fetch/event_cl").iterdir())
    with_header(path, DEADC="none", RA_PNT="here")
    with pytest.raises(DataError, match=r"nu30101031002A01_cl\.evt\.gz: card RA_PNT"):
        run_step(NUSTAR, "events", root)
    shutil.rmtree(root / "events")
    with_header(path, RA_PNT=294.9)
    run_step(NUSTAR, "events", root)
    with pytest.raises(DataError, match=r"obsid30101031002-.*-events\.fits: card DEADC"):
        run_step(NUSTAR, "clean", root)


def test_short_exposures_are_left_out(real_data, tmp_path):
    root = XMM.lay_out(real_data, tmp_path)
    target, log = run_step(XMM, "events", root, min_ontime="12.5 ks")
    assert [parse_product(path.name).instrument for path in target.glob("obsid*")] == ["M1"]
    assert "11972.7 s of good time" in log
    shutil.rmtree(target)
    with pytest.raises(DataError) as caught:
        run_step(XMM, "events", root, min_ontime="20 ks")
    assert caught.value.code == "data.no-exposure"
    assert "0404910601" in caught.value.message


def test_only_chosen_instruments_are_processed(real_data, tmp_path):
    root = XMM.lay_out(real_data, tmp_path)
    target, _ = run_step(XMM_ONE, "events", root)
    assert [parse_product(path.name).instrument for path in target.glob("obsid*")] == ["M1"]


def test_a_list_of_another_observation_is_refused(real_data, tmp_path):
    root = XMM.lay_out(real_data, tmp_path)
    with_header(root / "fetch/PPS/P0404910601M1S001MIEVLI0000.FTZ", OBS_ID="0404910701")
    with pytest.raises(DataError, match="0404910701") as caught:
        run_step(XMM, "events", root)
    assert caught.value.code == "data.wrong-observation"


def test_a_list_of_another_instrument_is_refused(real_data, tmp_path):
    root = XMM.lay_out(real_data, tmp_path)
    shutil.copyfile(
        root / "fetch/PPS/P0404910601M1S001MIEVLI0000.FTZ", root / "fetch/PPS/P0404910601PNS003PIEVLI0000.FTZ"
    )
    with pytest.raises(DataError) as caught:
        run_step(XMM, "events", root)
    assert caught.value.code == "data.wrong-instrument"


def test_two_lists_of_one_exposure_are_refused(real_data, tmp_path):
    root = CHANDRA.lay_out(real_data, tmp_path)
    one = root / "fetch/primary/acisf18461N001_evt2.fits.gz"
    shutil.copyfile(one, one.with_name("acisf18461_002N001_evt2.fits.gz"))
    with pytest.raises(DataError) as caught:
        run_step(CHANDRA, "events", root)
    assert caught.value.code == "data.several-exposures"


@pytest.mark.parametrize("damage", ["truncate", "flip", "page", "empty"])
def test_damaged_files_are_refused(real_data, tmp_path, damage):
    root = NUSTAR.lay_out(real_data, tmp_path)
    path = root / "fetch/event_cl/nu30101031002A01_cl.evt.gz"
    content = path.read_bytes()
    changed = {
        "truncate": content[: len(content) // 2],
        "flip": content[:5000] + bytes([content[5000] ^ 0xFF]) + content[5001:],
        "page": b"<html><body>not found</body></html>",
        "empty": b"",
    }[damage]
    path.write_bytes(changed)
    with pytest.raises(DataError):
        run_step(NUSTAR, "events", root)


def test_only_inputs_of_the_task_are_read(real_data, tmp_path):
    root = NUSTAR.lay_out(real_data, tmp_path)
    task = task_for(NUSTAR, "events", root)
    stray = root / "fetch/event_cl/nu30101031002B01_cl.evt.gz"
    stray.write_bytes(b"left by somebody")
    target = root / "events"
    target.mkdir()
    with (root / "log").open("w") as log:
        find_backend("native").run(task, {"fetch": root / "fetch"}, target, log)
    assert [parse_product(path.name).instrument for path in target.iterdir()] == ["FPMA"]


def test_a_band_beyond_the_instrument_is_not_possible(real_data, tmp_path):
    root = NUSTAR.lay_out(real_data, tmp_path)
    run_step(NUSTAR, "events", root)
    run_step(NUSTAR, "clean", root)
    with pytest.raises(NotPossible):
        run_step(NUSTAR, "images", root, bands=["0.5-2.0 keV"])


def test_unscreened_lists_stay_unscreened(real_data, tmp_path):
    root = XMM_ONE.lay_out(real_data, tmp_path)
    run_step(XMM_ONE, "events", root)
    source = next((root / "events").glob("obsid*"))
    with fits.open(source, mode="update", output_verify="ignore") as hdus:
        hdus["EVENTS"].data["FLAG"][:1000] = 1 << 16
    target, _ = run_step(XMM_ONE, "clean", root, screening="none", flares="none")
    raw = open_events(next(target.glob("*-finalevents.fits")))
    assert len(raw.rows) == 72308
    shutil.rmtree(target)
    target, _ = run_step(XMM_ONE, "clean", root, flares="none")
    clean = open_events(next(target.glob("*-finalevents.fits")))
    assert len(clean.rows) == 71308
    assert clean.header["SCREENIN"].startswith("(FLAG & 0x766ba000) == 0")
    assert standard_cut(clean).rules == standard_cut(raw).rules


def test_nothing_left_is_an_error_that_names_the_observation(real_data, tmp_path):
    root = XMM_ONE.lay_out(real_data, tmp_path)
    run_step(XMM_ONE, "events", root)
    source = next((root / "events").glob("obsid*"))
    with fits.open(source, mode="update", output_verify="ignore") as hdus:
        for unit in hdus:
            if unit.name.startswith("GTI"):
                unit.data["STOP"][:] = unit.data["START"]
    with pytest.raises(DataError) as caught:
        run_step(XMM_ONE, "clean", root)
    assert "0404910601" in caught.value.message or "M1" in caught.value.message


def test_other_backends_and_steps_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="caio"):
        find_backend("caio")
    backend = find_backend("native")
    done = [bool(backend.version("xmm", step)) for step in ("fetch", *STEPS, "collect")]
    assert done == [False, True, True, True, False]
