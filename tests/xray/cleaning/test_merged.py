"""Merging the parts of an exposure, and refusing lists that are not parts of one."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from daxa.errors import DataError, NotPossible
from daxa.xray.cleaning.cleaned import write_clean_events
from daxa.xray.cleaning.cut import Cut, standard_cut
from daxa.xray.cleaning.livetime import livetime
from daxa.xray.cleaning.merged import check_mergeable, identity_of, merge_events
from daxa.xray.eventlists import gti
from daxa.xray.eventlists.event_list import EventList
from daxa.xray.eventlists.opening import open_events
from daxa.xray.imaging.exposure_map import exposure_map
from daxa.xray.imaging.image import ImageGrid
from tests.xray.reallists import LISTS


def halves(events: EventList) -> tuple[Cut, Cut]:
    """The list's cut, split in the middle of its time."""
    cut = standard_cut(events)
    edges = np.concatenate([good.ravel() for good in cut.gtis.values()])
    start, stop = edges.min(), edges.max() + 1
    middle = start + 0.4 * (stop - start)
    return tuple(
        Cut(cut.rules, {chip: gti.intersect(good, [span]) for chip, good in cut.gtis.items()})
        for span in ((start, middle), (middle, stop))
    )


def with_cut(events: EventList, cut: Cut, **cards: object) -> EventList:
    header = events.header.copy()
    header.update(cards)
    return replace(events, gtis=cut.gtis, header=header)


@pytest.mark.parametrize("name", ["xmm-0404910601-m1", "chandra-18461", "nustar-30101031002"])
def test_parts_give_the_whole_again(real_data, tmp_path, name):
    events = open_events(real_data / LISTS[name].path)
    early, late = halves(events)
    parts = [(with_cut(events, late), late), (with_cut(events, early), early)]
    merged = merge_events(tmp_path / "merged.fits", parts, {"SCREENED": ("standard", "event screening")})
    assert np.sort(merged.rows, order=merged.rows.dtype.names[0]).tobytes() == (
        np.sort(np.asarray(events.rows), order=events.rows.dtype.names[0]).tobytes()
    )
    assert (np.diff(merged.column(events.format.time_column)) >= 0).all()
    assert merged.header["MERGED"] == ",".join([events.exposure] * 2)
    for chip, good in events.gtis.items():
        np.testing.assert_allclose(merged.gtis[chip], good, rtol=0, atol=1e-9)
    assert list(tmp_path.iterdir()) == [merged.path]
    program = shutil.which("fitsverify")
    if program:
        found = subprocess.run([program, "-e", merged.path], capture_output=True, text=True, check=False)
        assert "and 0 error" in found.stdout, found.stdout


def test_live_time_of_the_whole_is_that_of_its_frames(real_data, tmp_path):
    """Each part brings the frames of its own time, as exposures of an observation do."""
    events = open_events(real_data / LISTS["xmm-0404910601-m2"].path)
    early, late = halves(events)
    merged = merge_events(tmp_path / "m.fits", [(with_cut(events, one), one) for one in (early, late)], {})
    frames = merged.find_table("EXPOSU03").rows()
    # The same list twice: its frames twice, its bad pixels once.
    assert len(frames) == 2 * len(events.find_table("EXPOSU03").rows())
    assert merged.find_table("BADPIX03").rows().tobytes() == events.find_table("BADPIX03").rows().tobytes()
    twice = livetime(merged, events.gtis)[3]
    assert twice == pytest.approx(2 * livetime(events, events.gtis)[3], rel=1e-12)


@pytest.mark.parametrize(
    ("name", "cards", "word"),
    [
        ("xmm-0404910601-m1", {"FILTER": "Medium"}, "filter"),
        ("xmm-0404910601-m1", {"SUBMODE": "PrimePartialW3"}, "submode"),
        ("xmm-0404910601-m1", {"DATAMODE": "TIMING"}, "mode"),
        ("chandra-18461", {"CYCLE": "S"}, "submode"),
        ("chandra-18461", {"DATAMODE": "VFAINT"}, "mode"),
        ("chandra-18461", {"GRATING": "HETG"}, "filter"),
        ("nustar-30101031002", {"OBSMODE": "SCIENCE_SC"}, "mode"),
        ("nustar-30101031002", {"MJDREFI": 51544}, "clocks"),
        ("xmm-0404910601-m1", {"RA_PNT": 149.7, "DEC_PNT": -11.1}, "arcsec apart"),
        ("xmm-0404910601-m1", {"PA_PNT": 3.0}, "turned by"),
        ("xmm-0404910601-m1", {"RA_PNT": "unknown"}, "RA_PNT"),
    ],
)
def test_different_modes_are_refused(real_data, name, cards, word):
    events = open_events(real_data / LISTS[name].path)
    early, late = halves(events)
    check_mergeable([with_cut(events, early), with_cut(events, late)])
    with pytest.raises(NotPossible, match=word):
        check_mergeable([with_cut(events, early), with_cut(events, late, **cards)])


def test_what_only_file_names_show_is_refused(real_data):
    events = open_events(real_data / LISTS["nustar-30101031002"].path)
    early, late = (with_cut(events, one) for one in halves(events))
    science, other = (
        replace(one, path=Path(f"nu30101031002A{mode}_cl.evt")) for one, mode in ((early, "01"), (late, "06"))
    )
    assert (identity_of(science).part, identity_of(other).part) == ("01", "06")
    with pytest.raises(NotPossible, match="part is '01' and '06'"):
        check_mergeable([science, other])
    for name in ("acisf00754_000N004_{}_evt2.fits", "acisf00754_{}_N004_evt2.fits"):
        e1, e2 = (replace(one, path=Path(name.format(part))) for one, part in ((early, "e1"), (late, "e2")))
        with pytest.raises(NotPossible, match="part is 'e1' and 'e2'"):
            check_mergeable([e1, e2])


def test_a_zero_of_time_that_only_one_list_has_is_another_clock(real_data):
    events = open_events(real_data / LISTS["xmm-0404910601-m1"].path)
    early, late = (with_cut(events, one) for one in halves(events))
    del early.header["TIMEZERO"]
    check_mergeable([early, late])
    late = with_cut(late, Cut((), late.gtis), TIMEZERO=5000.0)
    with pytest.raises(NotPossible, match="clocks differ: the second"):
        check_mergeable([early, late])
    shifted = replace(late, clock=replace(late.clock, zero=5000.0))
    for pair in ([early, shifted], [shifted, early]):
        with pytest.raises(NotPossible, match="clocks differ: the second"):
            check_mergeable(pair)


def test_what_was_measured_in_a_part_is_not_said_of_the_whole(real_data, tmp_path):
    events = open_events(real_data / LISTS["xmm-0404910601-m1"].path)
    parts = []
    for number, cut in enumerate(halves(events)):
        measured = {"FLRLO1": 0.5, "FLREX1": 0.1 * number, "FLAREKEP": 0.5 + 0.1 * number, "FLAREBIN": 100.0}
        cards = measured | {"ANOMFL2": "GB"[number], "ANOMFL4": "G"}
        path = tmp_path / f"{number}.fits"
        write_clean_events(path, events, cut, {key: (value, "") for key, value in cards.items()})
        part = open_events(path)
        part.header.append(("FLRLO1", 0.6, "a second time"))
        parts.append((replace(part, assumptions=("both", f"only {number}")), Cut((), part.gtis)))
    merged = merge_events(tmp_path / "merged.fits", parts, {})
    # Each of these parts brings the frames of the whole: what is said of the live time follows.
    assert merged.assumptions[:3] == ("both", "only 0", "only 1")
    header = merged.header
    assert (header["FLAREBIN"], header["ANOMFL4"]) == (100.0, "G")
    assert not {"FLRLO1", "FLREX1", "FLAREKEP", "ANOMFL2"} & set(header)


def test_bad_pixels_that_only_the_second_list_names_are_kept(real_data, tmp_path):
    events = open_events(real_data / LISTS["xmm-0404910601-m1"].path)
    early, late = halves(events)
    first = with_cut(events, early)
    first = replace(first, tables=tuple(one for one in first.tables if one.name != "BADPIX03"))
    merged = merge_events(tmp_path / "m.fits", [(first, early), (with_cut(events, late), late)], {})
    assert merged.find_table("BADPIX03").rows().tobytes() == events.find_table("BADPIX03").rows().tobytes()


def test_a_pixel_that_was_bad_in_one_part_is_bad_for_its_time(real_data, tmp_path):
    """The map of the whole is the sum of the maps of its parts."""
    events = open_events(real_data / LISTS["xmm-0404910601-m1"].path)
    parts = []
    for number, cut in enumerate(halves(events)):
        whole, path = tmp_path / f"whole{number}.fits", tmp_path / f"part{number}.fits"
        write_clean_events(whole, events, cut, {})
        with fits.open(whole) as units:
            for unit in units[1:]:
                if unit.name.startswith("EXPOSU"):
                    start, stop = (
                        extreme([good.ravel() for good in cut.gtis.values()]) for extreme in (np.min, np.max)
                    )
                    unit.data = unit.data[(unit.data["TIME"] > start) & (unit.data["TIME"] < stop)]
            if number:
                bad = units["BADPIX01"]
                bad.data = bad.data[: len(bad.data) // 2]
                extra = bad.data[:1].copy()
                extra["RAWX"], extra["RAWY"], extra["YEXTENT"] = 300, 1, 600
                bad.data = np.concatenate([bad.data, extra]).view(fits.FITS_rec)
            units.writeto(path)
        one = open_events(path)
        parts.append((one, Cut((), one.gtis)))
    merged = merge_events(tmp_path / "merged.fits", parts, {})
    assert len(merged.find_table("BADPIX01").rows()) > len(events.find_table("BADPIX01").rows())
    grid = ImageGrid(12001, 12001, 348, 80, 80)
    maps = [exposure_map(one, standard_cut(one), grid)[0].astype(float) for one, _ in [*parts, (merged, None)]]
    assert maps[2].sum() == pytest.approx(maps[0].sum() + maps[1].sum(), rel=1e-3)
    np.testing.assert_allclose(maps[2], maps[0] + maps[1], atol=0.02 * maps[2].max())
    program = shutil.which("fitsverify")
    if program:
        found = subprocess.run([program, "-e", merged.path], capture_output=True, text=True, check=False)
        assert "and 0 error" in found.stdout, found.stdout


def test_other_chips_cameras_and_observations_are_refused(real_data):
    m1, m2, other = (
        open_events(real_data / LISTS[f"xmm-{name}"].path)
        for name in ("0404910601-m1", "0404910601-m2", "0201901401-m2")
    )
    early, late = (with_cut(m2, one) for one in halves(m2))
    fewer = replace(late, gtis={chip: good for chip, good in late.gtis.items() if chip != 6})
    for two, word in (
        (fewer, "chips"),
        (m1, "instrument"),
        (other, "obs_id"),
        (replace(late, sky_grid=None), "timing"),
    ):
        with pytest.raises(NotPossible, match=word):
            check_mergeable([early, two])


def test_records_of_the_same_time_are_refused(real_data, tmp_path):
    events = open_events(real_data / LISTS["chandra-18461"].path)
    with pytest.raises(NotPossible, match="overlap"):
        merge_events(tmp_path / "m.fits", [(events, standard_cut(events))] * 2, {})
    assert list(tmp_path.iterdir()) == []


def test_parts_that_were_screened_differently_are_refused(real_data, tmp_path):
    events = open_events(real_data / LISTS["chandra-18461"].path)
    early, late = halves(events)
    late = Cut(late.rules[:1], late.gtis)
    with pytest.raises(DataError, match="screened differently"):
        merge_events(tmp_path / "m.fits", [(with_cut(events, one), one) for one in (early, late)], {})
