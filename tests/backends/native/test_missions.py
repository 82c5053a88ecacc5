"""Lists of further missions through events, clean and images, packed and named as their archives do."""

from __future__ import annotations

import gzip
import io
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from daxa.backends.unpack import unpack
from daxa.errors import DataError, NotPossible
from daxa.fetch.file_choice import choose_files
from daxa.missions import find_mission
from daxa.run.product import parse_product
from daxa.xray.cleaning.cut import Cut, select, standard_cut
from daxa.xray.eventlists.event_list import EventList
from daxa.xray.eventlists.opening import open_events
from daxa.xray.telescopes import imaging_of
from tests.backends.native.observations import Fetched, digests, run_step
from tests.backends.native.packing import compressed
from tests.xray.madelists import make_list

COUNT = 30_000


@dataclass(frozen=True)
class Kind:
    """A list: its name among the made ones, cards that say otherwise, and what its product is called."""

    made: str
    product: str
    cards: tuple[tuple[str, object], ...] = ()
    curves: bool = False
    mapped: bool = True


@dataclass(frozen=True)
class Observation:
    mission: str
    obs_id: str
    instruments: tuple[str, ...]
    lists: dict[str, Kind]
    clean: dict[str, str] = field(default_factory=dict)

    @property
    def fetched(self) -> Fetched:
        return Fetched(self.mission, self.obs_id, self.instruments, {})


OBSERVATIONS = {
    "chandra-hrc": Observation(
        "chandra",
        "1234",
        ("HRC",),
        {"primary/hrcf01234N003_evt2.fits.gz": Kind("chandra-hrc-i", "HRC-subexpNone")},
    ),
    "xmm-timing": Observation(
        "xmm",
        "0123456789",
        ("PN",),
        {
            "PPS/P0123456789PNS003TIEVLI0000.FTZ": Kind(
                "xmm-pn", "PN-subexpS003", (("DATAMODE", "TIMING"),), curves=True
            ),
        },
    ),
    "nicer": Observation(
        "nicer",
        "1034200101",
        ("XTI",),
        {"xti/event_cl/ni1034200101_0mpu7_cl.evt.gz": Kind("nicer", "XTI-subexpNone", curves=True)},
    ),
    "swift": Observation(
        "swift",
        "00092220001",
        ("XRT",),
        {
            "xrt/event/sw00092220001xpcw3po_cl.evt.gz": Kind("swift-pc", "XRT-subexppcw3"),
            "xrt/event/sw00092220001xpcw2po_cl.evt.gz": Kind("swift-pc", "XRT-subexppcw2"),
            "xrt/event/sw00092220001xwtw2po_cl.evt.gz": Kind(
                "swift-wt", "XRT-subexpwtw2", (("OBS_ID", "00092220001"),), curves=True
            ),
        },
    ),
    "rosat-hri": Observation(
        "rosat", "RH800446N00", ("HRI",), {"rh800446n00_bas.fits.Z": Kind("rosat-hri", "HRI-subexpNone")}
    ),
    "rosat-pspc": Observation(
        "rosat",
        "RP500211N00",
        ("PSPCB",),
        {
            "rp500211n00_bas.fits.Z": Kind(
                "rass",
                "PSPCB-subexpNone",
                (("INSTRUME", "PSPCB"), ("OBS_MODE", "POINTING"), ("OBS_ID", "WG500211P.N1")),
            )
        },
    ),
    "rass": Observation(
        "rass", "RS931844N00", ("PSPC",), {"rs931844n00_bas.fits.Z": Kind("rass", "PSPC-subexpNone", mapped=False)}
    ),
    "erass1": Observation(
        "erass1",
        "053141",
        tuple(f"TM{number}" for number in range(1, 8)),
        {"EXP_010/em01_053141_020_EventList_c010.fits.gz": Kind("erosita-survey", "MERGED-subexpNone", mapped=False)},
        {"flares": "none"},
    ),
    "erosita-calpv": Observation(
        "erosita_calpv",
        "300007",
        tuple(f"TM{number}" for number in range(1, 8)),
        {"eFEDS/fm00_300007_020_EventList_c001.fits": Kind("erosita-scan", "MERGED-subexpNone", mapped=False)},
        {"flares": "none"},
    ),
    "suzaku": Observation(
        "suzaku",
        "801064010",
        ("XIS0", "XIS1"),
        {
            "xis/event_cl/ae801064010xi1_0_3x3n066a_cl.evt.gz": Kind("suzaku-xis1", "XIS1-subexp03x3n066a"),
            "xis/event_cl/ae801064010xi1_0_5x5n066b_cl.evt.gz": Kind("suzaku-xis1", "XIS1-subexp05x5n066b"),
            "xis/event_cl/ae801064010xi0_0_3x3n066a_cl.evt.gz": Kind(
                "suzaku-xis1", "XIS0-subexp03x3n066a", (("INSTRUME", "XIS0"),)
            ),
        },
    ),
    "asca": Observation(
        "asca",
        "87036000",
        ("SIS0", "GIS2"),
        {
            "screened/ad87036000s000102h.evt.gz": Kind("asca-sis0", "SIS0-subexp00102h"),
            "screened/ad87036000s000102m.evt.gz": Kind("asca-sis0", "SIS0-subexp00102m"),
            "screened/ad87036000g200170m.evt.gz": Kind("asca-gis2", "GIS2-subexp00170m"),
        },
    ),
    "xrism": Observation(
        "xrism",
        "000154000",
        ("RESOLVE", "XTEND"),
        {
            "xtend/event_cl/xa000154000xtd_p030000010_cl.evt.gz": Kind("xrism-xtend", "XTEND-subexpp030000010"),
            "resolve/event_cl/xa000154000rsl_p0px1000_cl.evt.gz": Kind(
                "xrism-resolve", "RESOLVE-subexpNone", curves=True
            ),
        },
    ),
    "ixpe": Observation(
        "ixpe",
        "01903701",
        ("DU1", "DU2"),
        {
            "event_l2/ixpe01903701_det2_evt2_v02.fits.gz": Kind("ixpe-du2", "DU2-subexpNone"),
            "event_l2/ixpe01903701_det1_evt2_v02.fits.gz": Kind("ixpe-du2", "DU1-subexpNone", (("DETNAM", "DU1"),)),
        },
    ),
}


def lay_out(one: Observation, root: Path) -> dict[str, Path]:
    """Write the lists as the archive packs them; what was packed, by the start of the product's name."""
    plain = {}
    for number, (path, kind) in enumerate(one.lists.items()):
        source = make_list(kind.made, root / f"plain{number}.fits", seed=11 + number, count=COUNT)
        with fits.open(source, mode="update") as hdus:
            hdus[1].header.update(dict(kind.cards))
            hdus[0].header.update({key: value for key, value in kind.cards if key in hdus[0].header})
        target = root / "fetch" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        content = source.read_bytes()
        packed = {".Z": compressed, ".fits": bytes}.get(target.suffix, lambda plain: gzip.compress(plain, 1, mtime=0))
        target.write_bytes(packed(content))
        plain[f"obsid{one.obs_id}-inst{kind.product}"] = source
    return plain


def process(one: Observation, step: str, root: Path) -> tuple[Path, str]:
    """Run a step as this observation wants it."""
    return run_step(one.fetched, step, root, **(one.clean if step == "clean" else {}))


@pytest.fixture(scope="module", params=OBSERVATIONS)
def chain(request, tmp_path_factory):
    one = OBSERVATIONS[request.param]
    root = tmp_path_factory.mktemp(request.param)
    plain = lay_out(one, root)
    logs = {step: process(one, step, root)[1] for step in ("events", "clean", "images")}
    return one, root, plain, logs


def test_the_fetch_step_takes_these_files(chain):
    one, *_ = chain
    spec = find_mission(one.mission)
    choices = choose_files(spec, one.obs_id, one.instruments, one.lists)
    assert [choice.path for choice in choices] == sorted(one.lists)
    assert spec.processed


def test_every_list_becomes_one_product_with_the_same_bytes(chain):
    one, root, plain, _ = chain
    products = sorted(path.name for path in (root / "events").iterdir())
    assert products == sorted(f"{start}-en-events.fits" for start in plain)
    for start, source in plain.items():
        assert (root / "events" / f"{start}-en-events.fits").read_bytes() == source.read_bytes()
        assert parse_product(f"{start}-en-events.fits").obs_id == one.obs_id


def test_the_clean_list_holds_what_the_screening_keeps(chain):
    _, root, plain, _ = chain
    for start, source in plain.items():
        raw = EventList.open(source)
        kept = select(raw, standard_cut(raw), raw.rows)
        clean = open_events(root / "clean" / f"{start}-en-finalevents.fits")
        assert 0 < kept.sum() == len(clean) < len(raw)
        assert np.array_equal(clean.times(), raw.times(raw.rows[kept]))
        assert all(np.array_equal(clean.gtis[chip], raw.gtis[chip]) for chip in raw.gtis)


def test_images_conserve_counts_and_know_where_they_are(chain):
    one, root, plain, _ = chain
    for start, kind in zip(plain, one.lists.values(), strict=True):
        clean = open_events(root / "clean" / f"{start}-en-finalevents.fits")
        images = sorted((root / "images").glob(f"{start}-*-image.fits"))
        if kind.curves:
            assert not images
            continue
        named = {f"-en{band.lo!r}_{band.hi!r}keV-": band for band in imaging_of(one.mission).bands}
        assert len(images) == (len(named) if clean.format.pi_to_kev else 1)
        rules = standard_cut(clean).rules
        for path in images:
            band = next((band for text, band in named.items() if text in path.name), None)
            channels = band.channels(clean.format.instrument) if band else None
            rows = clean.rows[select(clean, Cut(rules, clean.gtis, channels), clean.rows, sky=True)]
            assert len(rows) > 500
            image, header = fits.getdata(path), fits.getheader(path)
            assert image.sum() == len(rows)
            if band:
                zero, gain = clean.format.pi_to_kev
                # The bands of the PSPC are named by its channels, not by their energies.
                nearly = (2.01 if one.mission in ("rosat", "rass") else 1.01) * gain
                assert header["ENERG_LO"] == pytest.approx(band.lo, abs=nearly)
                assert header["ENERG_HI"] == pytest.approx(band.hi, abs=nearly)
                assert (header["CHANMIN"], header["CHANMAX"]) == channels
                assert header["ENERG_LO"] == pytest.approx(zero + gain * channels[0])
            positions = WCS(header, key=" ").wcs_world2pix(clean.positions(rows), 0)
            back = np.zeros_like(image)
            # An event on an edge belongs to the pixel above it; the way to the sky and back costs some digits.
            column, row = np.floor(np.round(positions, 9) + 0.5).astype(int).T
            np.add.at(back, (row, column), 1)
            assert np.array_equal(back, image)


def test_maps_and_rates_belong_to_their_image(chain):
    one, root, plain, _ = chain
    for start, kind in zip(plain, one.lists.values(), strict=True):
        maps = sorted((root / "images").glob(f"{start}-*-expmap.fits"))
        assert bool(maps) == (kind.mapped and not kind.curves)
        for path in maps:
            image, seconds = fits.getdata(str(path).replace("expmap", "image")), fits.getdata(path)
            assert fits.getheader(path)["EXPMETH"] == "OCCUPIED"
            assert image[seconds > 0].sum() >= 0.97 * image.sum()
            rates = fits.getdata(str(path).replace("expmap", "ratemap"))
            assert np.nansum(rates * seconds) == pytest.approx(image[seconds > 0].sum(), rel=1e-5)


def test_light_curves_hold_every_event_of_their_band(chain):
    one, root, plain, logs = chain
    for start, kind in zip(plain, one.lists.values(), strict=True):
        curves = sorted((root / "images").glob(f"{start}-*-lightcurve.fits"))
        clean = open_events(root / "clean" / f"{start}-en-finalevents.fits")
        assert len(curves) == (len(imaging_of(one.mission).bands) if kind.curves else 1)
        assert ("light curves only" in logs["images"]) == any(other.curves for other in one.lists.values())
        for path in curves:
            header = fits.getheader(path, 1)
            channels = (header["CHANMIN"], header["CHANMAX"]) if "CHANMIN" in header else None
            rows = select(clean, Cut(standard_cut(clean).rules, clean.gtis, channels), clean.rows)
            assert fits.getdata(path, 1)["COUNTS"].sum() == rows.sum() > 100


def test_the_same_files_elsewhere_give_the_same_bytes(chain, tmp_path):
    one, root, *_ = chain
    shutil.copytree(root / "fetch", tmp_path / "fetch")
    for step in ("events", "clean", "images"):
        process(one, step, tmp_path)
        assert digests(tmp_path / step) == digests(root / step)


def test_products_conform_to_the_standard(chain):
    _, root, *_ = chain
    program = shutil.which("fitsverify")
    if not program:
        pytest.skip("fitsverify is not installed")
    for path in [path for step in ("clean", "images") for path in (root / step).glob("obsid*.fits")]:
        found = subprocess.run([program, "-e", path], capture_output=True, text=True, check=False)
        assert "and 0 error" in found.stdout, found.stdout


def test_a_list_of_another_observation_is_refused_if_headers_show_it(tmp_path):
    one = OBSERVATIONS["swift"]
    other = Kind("swift-pc", "XRT-subexppcw3", (("OBS_ID", "00092220002"),))
    wrong = Observation("swift", one.obs_id, ("XRT",), {next(iter(one.lists)): other})
    lay_out(wrong, tmp_path)
    with pytest.raises(DataError) as caught:
        run_step(wrong.fetched, "events", tmp_path)
    assert caught.value.code == "data.wrong-observation"


@pytest.mark.parametrize(
    ("obs_id", "kind"),
    [
        ("RP500211N00", Kind("swift-pc", "")),
        ("RP500211N00", Kind("rass", "", (("OBS_MODE", "SCAN"),))),
    ],
)
def test_a_list_of_another_mission_is_refused(tmp_path, obs_id, kind):
    wrong = Observation("rosat", obs_id, ("PSPCB",), {f"{obs_id.lower()}_bas.fits.Z": kind})
    lay_out(wrong, tmp_path)
    with pytest.raises(DataError) as caught:
        run_step(wrong.fetched, "events", tmp_path)
    assert caught.value.code == "data.wrong-instrument"


def test_timing_lists_are_left_out_where_images_are_declared(tmp_path):
    one = OBSERVATIONS["asca"]
    fast = Kind("asca-sis0", "SIS0-subexp00102h", (("DATAMODE", "FAST"),))
    wrong = Observation("asca", one.obs_id, ("SIS0",), {next(iter(one.lists)): fast})
    lay_out(wrong, tmp_path)
    with pytest.raises(DataError, match="fast mode keeps one coordinate") as caught:
        run_step(wrong.fetched, "events", tmp_path)
    assert caught.value.code == "data.no-exposure"


def test_a_band_of_the_hri_is_refused_when_it_is_asked_for(tmp_path):
    one = OBSERVATIONS["rosat-hri"]
    lay_out(one, tmp_path)
    run_step(one.fetched, "events", tmp_path)
    run_step(one.fetched, "clean", tmp_path)
    with pytest.raises(NotPossible) as caught:
        run_step(one.fetched, "images", tmp_path, bands=["0.4-2.4 keV"])
    assert caught.value.code == "impossible.energy-band"


@pytest.mark.parametrize(("chosen", "named"), [("PSPCB", "PSPCB"), ("PSPC", "PSPC")])
def test_a_real_list_of_rosat(real_data, tmp_path, chosen, named):
    """Its header says PSPC and US800282P.N1; the events of 0.5-2 keV as astropy counts them."""
    source = real_data / "rosat/rosat.evt"
    one = Observation("rosat", "RP800282N00", (chosen,), {})
    (tmp_path / "fetch").mkdir()
    (tmp_path / "fetch/rp800282n00_bas.fits.Z").write_bytes(compressed(source.read_bytes()))
    for step in ("events", "clean", "images"):
        run_step(one.fetched, step, tmp_path)
    path = tmp_path / f"images/obsidRP800282N00-inst{named}-subexpNone-en0.5_2.0keV-image.fits"
    rows, good = fits.getdata(source, "EVENTS"), fits.getdata(source, "GTI")
    inside = [(rows["TIME"] >= one["START"]) & (rows["TIME"] <= one["STOP"]) for one in good]
    hard = (rows["PI"] >= 52) & (rows["PI"] <= 201) & np.any(inside, axis=0)
    assert fits.getdata(path).sum() == hard.sum() == 842
    header = fits.getheader(path)
    column, row = WCS(header, key=" ").wcs_world2pix(header["CRVAL1"], header["CRVAL2"], 0)
    assert (column, row) == pytest.approx((header["CRPIX1"] - 1, header["CRPIX2"] - 1))
    assert header["CRVAL1"] == pytest.approx(85.88)
    assert header["CDELT2"] * 3600 == pytest.approx(15.0)


def test_a_short_list_gives_its_image_without_a_map(tmp_path):
    one = OBSERVATIONS["swift"]
    path = tmp_path / "fetch" / "xrt/event/sw00092220001xpcw3po_cl.evt.gz"
    path.parent.mkdir(parents=True)
    source = make_list("swift-pc", tmp_path / "short.fits", count=60)
    path.write_bytes(gzip.compress(source.read_bytes(), mtime=0))
    for step in ("events", "clean"):
        run_step(one.fetched, step, tmp_path)
    target, log = run_step(one.fetched, "images", tmp_path)
    assert "no exposure map and no rates" in log
    assert {parse_product(name.name).kind for name in target.iterdir()} == {"image", "lightcurve", "quicklook"}


@pytest.mark.parametrize("wanted", [("TM1", "TM2", "TM3", "TM4", "TM5", "TM6", "TM7"), ("TM2",), ("TM1", "TM5")])
def test_a_tile_holds_the_chosen_modules(tmp_path, wanted):
    tile = Observation("erass1", "053141", wanted, {})
    path = tmp_path / "fetch" / "EXP_010/em01_053141_020_EventList_c010.fits.gz"
    path.parent.mkdir(parents=True)
    source = make_list("erosita-survey", tmp_path / "tile.fits", count=3000)
    path.write_bytes(gzip.compress(source.read_bytes(), 1, mtime=0))
    target, _ = run_step(tile.fetched, "events", tmp_path)
    (only,) = target.iterdir()
    found, whole = open_events(only), EventList.open(source)
    modules = {int(name[2:]) for name in wanted}
    assert parse_product(only.name).instrument == ("MERGED" if len(wanted) == 7 else "".join(wanted))
    if len(wanted) == 7:
        assert only.read_bytes() == source.read_bytes()
        return
    good = {chip: intervals for chip, intervals in whole.gtis.items() if chip in modules}
    assert set(np.unique(found.column("TM_NR"))) == modules == {chip for chip in found.gtis if len(found.gtis[chip])}
    assert len(found) == select(whole, Cut((), good, None), whole.rows).sum() > 100


TILE = OBSERVATIONS["erass1"]
MAP = "DET_010/em01_053141_024_ExposureMap_c010.fits.gz"


def lay_out_tile(root: Path, **cards: object) -> np.ndarray:
    """A tile's list, and a map of its exposure on pixels of 4 arcsec as the archive has it; the map."""
    lay_out(TILE, root)
    header = fits.Header({"CTYPE1": "RA---SIN", "CTYPE2": "DEC--SIN", "CRVAL1": 150.0, "CRVAL2": -11.0})
    header.update({"CRPIX1": 1620.5, "CRPIX2": 1620.5, "CDELT1": -4 / 3600, "CDELT2": 4 / 3600, "EQUINOX": 2000.0})
    header.update({"RADESYS": "FK5", "SIMULATD": True, **cards})
    y, x = np.mgrid[:3240, :3240]
    seconds = (120.0 + x / 100 + y / 200).astype(np.float32)
    (root / "fetch" / MAP).parent.mkdir(parents=True)
    stream = io.BytesIO()
    fits.PrimaryHDU(seconds, header).writeto(stream)
    (root / "fetch" / MAP).write_bytes(gzip.compress(stream.getvalue(), 1, mtime=0))
    return seconds


def test_a_tile_gets_the_map_that_the_archive_made_of_it(tmp_path):
    expected = lay_out_tile(tmp_path)
    for step in ("events", "clean", "images"):
        target, log = process(TILE, step, tmp_path)
    mapped, bare = "obsid053141-instMERGED-subexpNone-en0.2_2.3keV", "obsid053141-instMERGED-subexpNone-en2.3_5.0keV"
    seconds, header = fits.getdata(target / f"{mapped}-expmap.fits"), fits.getheader(target / f"{mapped}-expmap.fits")
    assert header["EXPMETH"] == "ARCHIVE"
    assert np.array_equal(seconds, expected)
    image = fits.getdata(target / f"{mapped}-image.fits")
    rates = fits.getdata(target / f"{mapped}-ratemap.fits")
    assert np.allclose(rates, image / expected)
    given = WCS(fits.getheader(tmp_path / "clean" / f"{mapped}-archivemap.fits"))
    sky = given.wcs_pix2world([[1.0, 1.0], [3240.0, 3240.0], [1000.0, 20.0]], 1)
    # Half a pixel of the events, 0.00625 of the map's.
    assert WCS(header, key=" ").wcs_world2pix(sky, 1) == pytest.approx(given.wcs_world2pix(sky, 1), abs=0.0063)
    assert (target / f"{bare}-image.fits").exists()
    assert not (target / f"{bare}-expmap.fits").exists()
    assert "no exposure map and no rates" in log


@pytest.mark.parametrize(
    ("cards", "clean", "images", "why"),
    [
        ({}, {"flares": "histogram"}, {}, "it includes time that was cut"),
        ({}, {}, {"pixel": "8 arcsec"}, "grids differ"),
        ({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN"}, {}, {}, "grids differ"),
        ({"CRVAL1": 150.01}, {}, {}, "grids differ"),
        ({"BUNIT": "cm**2 s"}, {}, {}, "it is in 'cm**2 s', not in seconds"),
    ],
)
def test_a_map_of_other_times_or_pixels_is_not_used(tmp_path, cards, clean, images, why):
    lay_out_tile(tmp_path, **cards)
    process(TILE, "events", tmp_path)
    run_step(TILE.fetched, "clean", tmp_path, **(TILE.clean | clean))
    target, log = run_step(TILE.fetched, "images", tmp_path, **images)
    assert f"the archive's exposure map of 0.2-2.3 keV is not used: {why}" in log
    assert not list(target.glob("*-expmap.fits"))


CONTENTS = {
    "nothing much": b"x",
    "one letter": b"x" * 100_000,
    "noise": np.random.default_rng(3).integers(0, 256, 300_000, dtype=np.uint8).tobytes(),
    "a table": np.random.default_rng(4).integers(0, 9, (40_000, 3)).astype(">i4").tobytes(),
}


@pytest.mark.parametrize("name", CONTENTS)
@pytest.mark.parametrize("widest", [12, 16])
def test_compress_is_undone_as_gzip_undoes_it(tmp_path, name, widest):
    packed = tmp_path / "rp500211n00_bas.fits.Z"
    packed.write_bytes(compressed(CONTENTS[name], widest))
    unpack(packed, tmp_path / "plain", "rosat RP500211N00")
    program = shutil.which("gzip")
    assert program
    theirs = subprocess.run([program, "-dc", packed], capture_output=True, check=True).stdout
    assert (tmp_path / "plain").read_bytes() == theirs == CONTENTS[name]


@pytest.mark.parametrize(
    "content",
    [
        b"\x1f\x9d",
        b"\x1f\x9d\x9f" + b"\x00" * 100,
        b"\x1f\x9d\x88\x41\x00",
        b"\x1f\x9d\x90" + b"\xff" * 100,
        b"\x1f\x9d\xf0" + compressed(b"flags that nobody knows")[3:],
    ],
)
def test_what_compress_never_made_is_refused(tmp_path, content):
    packed = tmp_path / "rp500211n00_bas.fits.Z"
    packed.write_bytes(content)
    with pytest.raises(DataError, match="RP500211N00") as caught:
        unpack(packed, tmp_path / "plain", "rosat RP500211N00")
    assert caught.value.code == "data.damaged"


def test_a_bomb_is_not_unpacked_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr("daxa.backends.unpack._MOST", 1 << 20)
    packed = tmp_path / "rp500211n00_bas.fits.Z"
    packed.write_bytes(compressed(bytes(8 << 20)))
    assert packed.stat().st_size < 20_000
    with pytest.raises(DataError) as caught:
        unpack(packed, tmp_path / "plain", "rosat RP500211N00")
    assert caught.value.code == "data.too-large"
    assert (tmp_path / "plain").stat().st_size < 4 << 20
