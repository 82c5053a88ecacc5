"""Swift, NICER, Suzaku and XRISM through their pipelines, from lists as their headers describe them."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

import pytest
from astropy.io import fits

from daxa.backends import find_backend
from daxa.backends.contract import check_run
from daxa.errors import CallError, ConfigError
from daxa.missions import find_mission
from daxa.simulator.raw import RAW
from daxa.xray.eventlists.opening import open_events
from tests.backends.observed import Observed
from tests.stubs.fits import write_table
from tests.xray.madelists import make_list


@dataclass(frozen=True)
class Pipeline:
    """What lies in the archive, and which products come of it."""

    mission: str
    obs_id: str
    instruments: tuple[str, ...]
    lists: dict[str, str]
    others: tuple[str, ...]
    products: tuple[str, ...]
    call: str


PIPELINES = {
    "swift": Pipeline(
        "swift",
        "00092220001",
        ("XRT",),
        {"xrt/event/sw00092220001xpcw3po_uf.evt": "swift-pc", "xrt/event/sw00092220001xwtw2po_uf.evt": "swift-wt"},
        ("xrt/hk/sw00092220001xhd.hk", "auxil/sw00092220001sat.fits"),
        ("instXRT-subexppcw3", "instXRT-subexpwtw2"),
        "xrtpipeline indir=obs outdir=out steminputs=sw00092220001",
    ),
    "nicer": Pipeline(
        "nicer",
        "1034200101",
        ("XTI",),
        {"xti/event_uf/ni1034200101_0mpu0_uf.evt": "nicer"},
        ("xti/hk/ni1034200101_0mpu0.hk", "auxil/ni1034200101.att"),
        ("instXTI-subexpNone",),
        "nicerl2 indir=obs filtcolumns=NICERV5 clobber=yes",
    ),
    "suzaku": Pipeline(
        "suzaku",
        "801064010",
        ("XIS0", "XIS1", "XIS2", "XIS3"),
        {"xis/event_uf/ae801064010xi1_0_3x3n066a_uf.evt": "suzaku-xis1"},
        ("xis/hk/ae801064010xi1_0.hk", "auxil/ae801064010.att"),
        ("instXIS1-subexp03x3n066a",),
        "aepipeline indir=obs outdir=out steminputs=ae801064010 entry_stage=1 exit_stage=2 instrument=XIS",
    ),
    "xrism": Pipeline(
        "xrism",
        "000154000",
        ("RESOLVE", "XTEND"),
        {
            "xtend/event_uf/xa000154000xtd_p030000010_uf.evt": "xrism-xtend",
            "resolve/event_uf/xa000154000rsl_p0px1000_uf.evt": "xrism-resolve",
        },
        ("auxil/xa000154000.ehk",),
        ("instRESOLVE-subexpNone", "instXTEND-subexpp030000010"),
        "xapipeline indir=obs outdir=out steminputs=xa000154000 stemoutputs=DEFAULT entry_stage=1 exit_stage=2",
    ),
}


def lay_out(one: Pipeline, root: Path) -> Observed:
    for at, (path, made) in enumerate(one.lists.items()):
        plain = make_list(made, root / f"plain{at}.fits", seed=5 + at, count=3000)
        with fits.open(plain, mode="update") as hdus:
            hdus[1].header["OBS_ID"] = one.obs_id
        _pack(root / "fetch" / f"{path}.gz", plain.read_bytes())
    for path in one.others:
        write_table(root / "table.fits", "TABLE", {"TIME": [0.0, 1.0]})
        _pack(root / "fetch" / f"{path}.gz", (root / "table.fits").read_bytes())
    return Observed(root, one.mission, one.obs_id, one.instruments)


def _pack(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content, 1, mtime=0))


@pytest.fixture(scope="module", params=PIPELINES)
def chain(request, stand_ins, tmp_path_factory):
    one = PIPELINES[request.param]
    observed = lay_out(one, tmp_path_factory.mktemp(one.mission))
    observed.run("events", "heasoft")
    observed.run("clean", "native", flares="none")
    return one, observed


def test_the_lists_have_the_names_that_native_processing_gives_those_of_the_archive(chain):
    one, observed = chain
    names = sorted(path.name for path in (observed.root / "events").glob("obsid*"))
    assert names == sorted(f"obsid{one.obs_id}-{product}-en-events.fits" for product in one.products)
    assert one.call in observed.logs["events"]
    for name in names:
        events = open_events(observed.root / "events" / name, obs_id=one.obs_id)
        assert 0 < len(events) < 3000


def test_native_cleaning_goes_on_from_them(chain):
    one, observed = chain
    names = sorted(path.name for path in (observed.root / "clean").glob("*-finalevents.fits"))
    assert names == sorted(f"obsid{one.obs_id}-{product}-en-finalevents.fits" for product in one.products)


def test_the_contract_of_a_run(chain, tmp_path):
    _, observed = chain
    names = check_run(
        find_backend("heasoft"), observed.task("events", "heasoft"), {"fetch": observed.root / "fetch"}, tmp_path
    )
    assert set(names) == {path.name for path in (observed.root / "events").iterdir()}


@pytest.mark.parametrize("mission", PIPELINES)
def test_simulated_raw_data_go_through_to_native_images(stand_ins, raw_sky, tmp_path, mission):
    one = Observed.fetched(tmp_path, raw_sky.root, mission, RAW[mission])
    events = one.run("events", "heasoft")
    one.run("clean", "native", flares="none")
    images = one.run("images", "native")
    for path in events.glob("obsid*"):
        # A tenth of the events is forbidden.
        assert 2300 < len(open_events(path).rows) < 3100
    instrument = {"swift": "XRT-subexppcw3", "suzaku": "XIS1-subexp03x3n066a", "xrism": "XTEND-subexpp030000010"}
    if mission in instrument:
        made = list(images.glob(f"obsid{RAW[mission]}-inst{instrument[mission]}-*-image.fits"))
        assert made
        assert all(fits.getdata(path).sum() > 100 for path in made)
        assert fits.getheader(made[0])["SIMULATD"] is True
    else:
        assert list(images.glob("*-lightcurve.fits"))


def test_xrism_with_one_instrument_is_asked_for_that_alone(stand_ins, tmp_path):
    observed = lay_out(PIPELINES["xrism"], tmp_path)
    (tmp_path / "fetch/resolve/event_uf/xa000154000rsl_p0px1000_uf.evt.gz").unlink()
    one = Observed(tmp_path, "xrism", observed.obs_id, ("XTEND",))
    target = one.run("events", "heasoft")
    assert "exit_stage=2 instrument=XTEND" in one.logs["events"]
    assert [path.name for path in target.iterdir()] == ["obsid000154000-instXTEND-subexpp030000010-en-events.fits"]


def test_swift_without_an_attitude_fails_with_a_remedy(stand_ins, tmp_path):
    observed = lay_out(PIPELINES["swift"], tmp_path)
    (tmp_path / "fetch/auxil/sw00092220001sat.fits.gz").rename(tmp_path / "fetch/auxil/sw00092220001pat.fits.gz")
    with pytest.raises(CallError) as failed:
        observed.run("events", "heasoft")
    assert failed.value.code == "heasoft.xrtpipeline.noAttitude"
    assert "auxiliary files" in failed.value.remedy


def test_what_heasoft_does_not_process_is_refused_by_name(stand_ins, tmp_path):
    backend = find_backend("heasoft")
    for mission, step in (("rosat", "events"), ("asca", "events"), ("nustar", "sources"), ("xmm", "events")):
        assert backend.version(mission, step) == ""
        assert not backend.inputs(find_mission(mission)) or mission == "nustar"
    observed = Observed(tmp_path, "rosat", "RH800446N00", ("HRI",))
    (tmp_path / "fetch").mkdir()
    with pytest.raises(ConfigError) as refused:
        observed.run("events", "heasoft")
    assert refused.value.code == "config.backend-step"
    assert "rosat RH800446N00" in refused.value.message
    assert "events of nustar" in refused.value.remedy
