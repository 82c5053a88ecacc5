"""Rows that must not count change nothing, wherever they are in a real list."""

from __future__ import annotations

import gzip
from dataclasses import replace

import numpy as np
import pytest

from daxa.xray.cleaning.cut import select, standard_cut
from daxa.xray.cleaning.lightcurve import light_curve
from daxa.xray.cleaning.livetime import livetime
from daxa.xray.eventlists.opening import open_events
from daxa.xray.imaging.image import count_image, grid_for, image_header
from tests.xray.reallists import KINDS, LISTS, UNMAPPED, by_flags, by_time, insert, with_rows


@pytest.fixture(params=[*LISTS, *UNMAPPED])
def real(request, real_data):
    entry = {**LISTS, **UNMAPPED}[request.param]
    return entry, open_events(real_data / entry.path)


def _image(events, entry, grid=None):
    cut = standard_cut(events, pi=entry.band)
    return count_image(events, cut, grid or grid_for(events, entry.pixel))


@pytest.mark.parametrize("seed", [1, 2])
def test_forbidden_rows_change_no_bit(real, tmp_path, seed):
    entry, clean = real
    added = [row for kind in KINDS.values() for row in kind(clean, entry.band)]
    assert len(added) > (40 if clean.format.rules else 25)
    dirty = open_events(with_rows(clean.path, tmp_path / "dirty.fits", insert(np.array(clean.rows), added, seed)))
    assert len(dirty.rows) == len(clean.rows) + len(added)
    assert grid_for(dirty, entry.pixel) == grid_for(clean, entry.pixel)
    assert np.array_equal(_image(dirty, entry), _image(clean, entry))
    assert livetime(dirty, dirty.gtis) == livetime(clean, clean.gtis)
    grid, cut = grid_for(clean, entry.pixel), standard_cut(clean, pi=entry.band)
    assert (
        image_header(dirty, standard_cut(dirty, pi=entry.band), grid).tostring()
        == image_header(clean, cut, grid).tostring()
    )


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_kept_out_by_its_own_part_of_the_cut(real, tmp_path, kind):
    """Without the part of the cut that forbids them, the rows do count: the test above can fail."""
    entry, clean = real
    added = KINDS[kind](clean, entry.band)
    if not added:
        pytest.skip("nothing of this kind forbids an event here")
    dirty = open_events(with_rows(clean.path, tmp_path / "dirty.fits", insert(np.array(clean.rows), added, 3)))
    cut = standard_cut(dirty, pi=entry.band)
    everything = {chip: np.array([[-1e12, 1e12]]) for chip in range(256)}
    without = {
        "flags": replace(cut, rules=()),
        "time": replace(cut, gtis=everything),
        "position": cut,
        "channel": replace(cut, pi=None),
    }[kind]
    sky = kind != "position"
    grid = grid_for(clean, entry.pixel)
    before = select(clean, without, clean.rows, sky=sky).sum()
    lost = 0 if kind != "time" else sum(np.isnan(row[dirty.format.time_column]).item() for row in added)
    assert select(dirty, without, dirty.rows, sky=sky).sum() == before + len(added) - lost
    assert select(dirty, cut, dirty.rows, sky=True).sum() == _image(clean, entry, grid).sum()


def test_allowed_status_bits_and_grades_count(real_data, tmp_path):
    """Bits that the NuSTAR expression leaves free do not remove an event."""
    entry = LISTS["nustar-30101031002"]
    clean = open_events(real_data / entry.path)
    row = by_flags(clean, entry.band)[0]
    free = [bit for bit in range(16) if not (0b1111111110100111 >> bit) & 1]
    added = []
    for bit in free:
        row = row.copy()
        row["STATUS"] = 1 << bit
        row["GRADE"] = 26
        added.append(row)
    dirty = open_events(with_rows(clean.path, tmp_path / "free.fits", insert(np.array(clean.rows), added, 4)))
    assert _image(dirty, entry).sum() == _image(clean, entry).sum() + len(free) == _image(clean, entry).sum() + 3


@pytest.mark.parametrize(
    ("path", "column", "values"),
    [
        ("nicer/ngc300nicer_bary.evt", "EVENT_FLAGS", (0, 1, 2, 3, 0b1000, 0b10100, 0xFF)),
        ("nicer/ngc300nicer_bary.evt", "PI", (-32768, 19, 1501)),
        ("rxte/xte_se_93087-01-02-11.evt.gz", "Event", (0, 0x7FFF, 1)),
    ],
)
def test_forbidden_rows_change_no_light_curve(real_data, tmp_path, path, column, values):
    source = real_data / path
    if source.suffix == ".gz":
        (tmp_path / "plain.evt").write_bytes(gzip.decompress(source.read_bytes()))
        source = tmp_path / "plain.evt"
    clean = open_events(source)
    good = clean.rows[np.flatnonzero(select(clean, standard_cut(clean), clean.rows))[:1]]
    added = by_time(clean, (0, 32767))
    for value in values:
        row = good.copy()
        row[column] = value
        added.append(row)
    table = "EVENTS" if clean.find_table("EVENTS") else "XTE_SE"
    mixed = insert(np.array(clean.rows), added, 6)
    dirty = open_events(with_rows(source, tmp_path / "dirty.fits", mixed, table))
    assert len(dirty) == len(clean) + len(added)
    ours, theirs = (light_curve(one, standard_cut(one), 16.0) for one in (dirty, clean))
    assert np.array_equal(ours.counts, theirs.counts)
    assert np.array_equal(ours.exposure, theirs.exposure)
    assert livetime(dirty, dirty.gtis) == livetime(clean, clean.gtis)
    # Without the rules, those that they forbid count.
    loose = replace(standard_cut(dirty), rules=())
    assert select(dirty, loose, dirty.rows).sum() == select(clean, loose, clean.rows).sum() + len(values)
