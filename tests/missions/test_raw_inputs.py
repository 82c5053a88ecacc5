"""What mission software starts from: found by the archives' names, in the directories that hold them."""

from __future__ import annotations

import pytest

from daxa.errors import DataError
from daxa.fetch.file_choice import choose_files
from daxa.missions import find_mission

NAMES = {
    "nustar": (
        "60001110002",
        ("FPMA", "FPMB"),
        ["event_uf/nu60001110002A_uf.evt.gz", "event_uf/nu60001110002B_uf.evt.gz", "hk/nu60001110002A_fpm.hk.gz",
         "hk/nu60001110002_chu123.fits.gz", "auxil/nu60001110002_att.fits.gz", "auxil/nu60001110002_orb.fits.gz"],
        ["event_cl/nu60001110002A01_cl.evt.gz", "event_uf/nu60001110001A_uf.evt.gz"],
    ),
    "chandra": (
        "13858",
        ("ACIS",),
        ["secondary/acisf13858_000N001_evt1.fits.gz", "secondary/acisf13858_000N001_flt1.fits.gz",
         "secondary/acisf13858_000N001_msk1.fits.gz", "secondary/acisf13858_000N001_mtl1.fits.gz",
         "secondary/acisf13858_000N001_stat1.fits.gz", "secondary/acisf456520720N001_pbk0.fits.gz",
         "primary/pcadf13858_000N001_asol1.fits.gz",
         "primary/acisf13858_000N001_bpix1.fits.gz", "primary/acisf13858N001_evt2.fits.gz"],
        ["primary/acisf13858N001_full_img2.jpg", "secondary/hrcf13858_000N001_evt1.fits.gz"],
    ),
    "swift": (
        "00020153006",
        ("XRT",),
        ["xrt/event/sw00020153006xpcw3po_uf.evt.gz", "xrt/event/sw00020153006xwtw2st_uf.evt.gz",
         "xrt/hk/sw00020153006xhd.hk.gz", "auxil/sw00020153006sat.fits.gz"],
        ["xrt/event/sw00020153006xpcw3po_cl.evt.gz", "xrt/products/sw00020153006xpc_sk.img.gz"],
    ),
    "nicer": (
        "6060040431",
        ("XTI",),
        ["xti/event_uf/ni6060040431_0mpu0_uf.evt.gz", "xti/hk/ni6060040431_0mpu0.hk.gz",
         "auxil/ni6060040431.mkf.gz", "auxil/ni6060040431.att.gz"],
        ["xti/event_cl/ni6060040431_0mpu7_cl.evt.gz"],
    ),
    "suzaku": (
        "702031010",
        ("XIS0",),
        ["xis/event_uf/ae702031010xi0_0_3x3n066a_uf.evt.gz", "xis/hk/ae702031010xi0_0.hk.gz",
         "auxil/ae702031010.att.gz", "auxil/ae702031010.ehk.gz"],
        ["xis/event_uf/ae702031010xi1_0_3x3n066a_uf.evt.gz", "xis/event_cl/ae702031010xi0_0_3x3n066a_cl.evt.gz"],
    ),
    "xrism": (
        "000112000",
        ("RESOLVE", "XTEND"),
        ["resolve/event_uf/xa000112000rsl_p0px1000_uf.evt.gz", "xtend/event_uf/xa000112000xtd_p030000010_uf.evt.gz",
         "resolve/hk/xa000112000rsl_a0.hk1.gz", "xtend/hk/xa000112000xtd_a0.hk.gz", "auxil/xa000112000.ehk.gz"],
        ["resolve/event_cl/xa000112000rsl_p0px1000_cl.evt.gz"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("mission", NAMES)
def test_raw_files_are_chosen_and_others_are_not(mission):
    obs_id, instruments, wanted, others = NAMES[mission]
    spec = find_mission(mission)
    raw = spec.starting_from(spec.raw_inputs)
    chosen = choose_files(raw, obs_id, instruments, [*wanted, *others])
    assert [one.path for one in chosen] == sorted(wanted)
    assert {path.rpartition("/")[0] for path in wanted} <= set(raw.listings)
    assert spec.starting_from(spec.native_inputs) is spec


def test_an_observation_without_raw_events_fails_by_name():
    spec = find_mission("nustar")
    raw = spec.starting_from(spec.raw_inputs)
    with pytest.raises(DataError) as refused:
        choose_files(raw, "60001110002", ["FPMA"], ["hk/nu60001110002A_fpm.hk.gz", "auxil/nu60001110002_att.fits.gz"])
    assert refused.value.code == "data.no-raw-events"


def test_images_of_the_uvot_are_fetched_where_it_is_chosen_and_missed_only_there():
    spec = find_mission("swift")
    raw, obs_id = spec.starting_from(spec.raw_inputs), "00020153006"
    images = [f"uvot/image/sw{obs_id}{name}.img.gz" for name in ("uw1_ex", "uw1_sk")]
    both = ["auxil/sw00020153006sat.fits.gz", *images]
    there = [*NAMES["swift"][2], *both, f"uvot/image/sw{obs_id}uw1_rw.img.gz"]
    assert not {one.path for one in choose_files(raw, obs_id, ["XRT"], there)} & set(images)
    assert [one.path for one in choose_files(raw, obs_id, ["UVOT"], there)] == both
    assert choose_files(raw, obs_id, ["UVOT"], both), "it needs no list of the XRT"
    assert choose_files(raw, obs_id, ["XRT", "UVOT"], both)
    for chosen, code in (["XRT"], "data.no-housekeeping"), (["BAT"], "data.no-housekeeping"):
        with pytest.raises(DataError) as refused:
            choose_files(raw, obs_id, chosen, both)
        assert refused.value.code == code
    assert choose_files(raw, obs_id, ["XRT", "UVOT"], NAMES["swift"][2]), "it needs no image of the UVOT"


def test_of_raw_chandra_lists_the_newest_is_taken_and_interleaved_ones_stay_apart():
    spec = find_mission("chandra")
    names = [f"secondary/acisf00550_000N00{n}_{part}evt1.fits.gz" for n in (2, 3) for part in ("e1_", "e2_")]
    there = [*names, "primary/pcadf00550_000N003_asol1.fits.gz"]
    chosen = choose_files(spec.starting_from(spec.raw_inputs), "550", ["ACIS"], there)
    assert [one.path for one in chosen if one.kind == "raw-events"] == [name for name in names if "N003" in name]


def test_aspect_solutions_of_older_deliveries_are_known():
    spec = find_mission("chandra")
    there = ["secondary/acisf13858_000N001_evt1.fits.gz", "primary/pcadf456520092N001_asol1.fits.gz"]
    chosen = choose_files(spec.starting_from(spec.raw_inputs), "13858", ["ACIS"], there)
    assert [one.path for one in chosen] == sorted(there)
