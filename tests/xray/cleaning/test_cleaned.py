"""Cleaned lists: what they keep, what their cards say, and that the cards alone give the same events."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from pathlib import Path

import fitsio
import numpy as np
import pytest
from astropy.io import fits

from daxa.errors import DataError
from daxa.xray.cleaning import cleaned as cleaned_module
from daxa.xray.cleaning.cleaned import write_clean_events
from daxa.xray.cleaning.cut import Cut, select, standard_cut
from daxa.xray.cleaning.screening import Rule, rules_mask, screening_for
from daxa.xray.cleaning.subspace import SubspaceAxis, read_subspace, subspace_cfitsio, subspace_mask
from daxa.xray.cleaning.subspacecards import describe_subspace
from daxa.xray.eventlists import gti
from daxa.xray.eventlists.event_list import EventList
from daxa.xray.eventlists.fits_tables import row_type
from daxa.xray.eventlists.opening import open_events
from tests.xray.madelists import MADE, make_list
from tests.xray.reallists import KINDS, LISTS, insert, with_rows


def dirty(real_data: Path, name: str, tmp_path: Path) -> EventList:
    """A real list with forbidden rows put in."""
    real = LISTS[name]
    source = real_data / real.path
    events = open_events(source)
    added = [row for kind in ("flags", "time") for row in KINDS[kind](events, real.band)]
    return open_events(with_rows(source, tmp_path / "dirty.fits", insert(events.rows, added, seed=4)))


def shorter(events: EventList) -> Cut:
    """The standard screening, and good times with a cut of our own that is another on every chip."""
    gtis = {}
    for chip, good in events.gtis.items():
        start, stop = good[0, 0], good[-1, 1]
        kept = [(start + 0.1 * (stop - start), start + (0.5 + 0.01 * chip) * (stop - start)), (stop - 100, stop)]
        gtis[chip] = gti.intersect(good, kept)
    return Cut(screening_for(events), gtis)


@pytest.fixture(params=[name for name in LISTS if not name.startswith("xmm-02")])
def cleaned(request, real_data, tmp_path):
    """The dirty list, the cut, and the cleaned list that was written."""
    events = dirty(real_data, request.param, tmp_path)
    cut = shorter(events)
    path = tmp_path / "clean.fits"
    count = write_clean_events(path, events, cut, {"SCREENED": ("standard", "event screening")})
    assert 0 < count < len(events.rows)
    return events, cut, open_events(path)


def test_the_cards_alone_reproduce_the_selection(cleaned):
    events, cut, clean = cleaned
    kept = subspace_mask(read_subspace(clean.header), events.rows, clean.tables)
    assert events.rows[kept].tobytes() == np.asarray(clean.rows).tobytes()
    assert (kept == select(events, cut, events.rows)).all()
    # Each axis does its part, times and screening at least.
    names = {axis.column.upper() for axis in read_subspace(clean.header)[0]}
    assert {events.format.time_column.upper(), *(rule.column.upper() for rule in cut.rules)} <= names


def test_the_cards_alone_reproduce_the_selection_in_cfitsio(cleaned):
    events, _, clean = cleaned
    assert events.rows[rows_of_cards(events, clean)].tobytes() == np.asarray(clean.rows).tobytes()


def rows_of_cards(events: EventList, clean: EventList) -> np.ndarray:
    """Rows of a list that CFITSIO selects when it is given only the cards of the cleaned one."""
    name = events.header["EXTNAME"]
    with fits.open(clean.path) as units:
        form = units[name].columns
        bits = [column for column, code in zip(form.names, form.formats, strict=True) if "X" in code]
        tables = {}
        for unit in units[1:]:
            place = f"{clean.path}[{unit.name},{unit.ver}]"
            tables[unit.header.get("HDUNAME", unit.name).upper()] = place
            tables.setdefault(unit.name, place)
    expression = subspace_cfitsio(read_subspace(clean.header), events.rows.dtype, bits, tables)
    with fitsio.FITS(str(events.path)) as source:
        rows = source[name].where(expression)
    # CFITSIO's intervals include their last moment, ours do not: forbidden rows were put on that moment.
    stops = np.concatenate([good[:, 1] for good in clean.gtis.values()])
    return rows[~np.isin(events.column(events.format.time_column)[rows], stops)]


PROCESSED = [name for name in MADE if not name.startswith(("bepposax", "integral"))]


@pytest.mark.parametrize(
    "name", [*PROCESSED, "rosat/rosat.evt", "nicer/ngc300nicer_bary.evt", "rxte/xte_se_93087-01-02-11.evt.gz"]
)
def test_the_cards_of_every_mission_reproduce_its_selection(request, tmp_path, name):
    """Made lists hold forbidden events; real ones are cut in time."""
    path = tmp_path / "list.fits"
    if name in MADE:
        make_list(name, path)
    else:
        content = (request.getfixturevalue("real_data") / name).read_bytes()
        path.write_bytes(gzip.decompress(content) if name.endswith(".gz") else content)
    events = open_events(path)
    cut = shorter(events)
    written = tmp_path / "clean.fits"
    count = write_clean_events(written, events, cut, {"SCREENED": ("standard", "event screening")})
    clean = open_events(written)
    assert 0 < count < len(events)
    kept = subspace_mask(read_subspace(clean.header), events.rows, clean.tables)
    assert (kept == select(events, cut, events.rows)).all()
    assert np.array_equal(rows_of_cards(events, clean), np.flatnonzero(kept))


def test_cleaning_a_clean_list_again_changes_nothing(cleaned, tmp_path):
    _, _, clean = cleaned
    again = tmp_path / "again.fits"
    write_clean_events(again, clean, standard_cut(clean), {"SCREENED": ("standard", "event screening")})
    assert again.read_bytes() == clean.path.read_bytes()


def test_tables_of_calibration_are_kept_byte_for_byte(cleaned):
    events, _, clean = cleaned
    before = [table for table in events.tables if table.name[:3] not in {"GTI", "EVE"}]
    assert [table.name for table in clean.tables if table.name[:3] not in {"GTI", "EVE"}] == [
        one.name for one in before
    ]
    kept = {(table.name, table.version): table for table in clean.tables}
    for table in before:
        assert kept[table.name, table.version].rows().tobytes() == table.rows().tobytes()
    if events.format.mission == "xmm":
        assert {"OFFSETS", "CALINDEX", "EXPOSU01", "BADPIX01"} <= {name for name, _ in kept}
    if events.format.mission == "nustar":
        assert sum(name == "BADPIX" for name, _ in kept) == 4


def test_exposures_are_those_of_the_cut_chip_by_chip(cleaned):
    events, cut, clean = cleaned
    forms = {"xmm": ("ONTIME{:02d}",), "chandra": ("ONTIME{}",)}.get(events.format.mission, ())
    for chip, good in cut.gtis.items():
        seconds = gti.total(good)
        assert gti.total(clean.gtis[chip]) == pytest.approx(seconds, abs=1e-6)
        for form in forms:
            assert clean.header[form.format(chip)] == pytest.approx(seconds, abs=1e-6)
        if events.format.mission == "chandra":
            live = seconds * events.header["DTCOR"]
            assert clean.header[f"LIVTIME{chip}"] == clean.header[f"EXPOSUR{chip}"] == pytest.approx(live, abs=1e-6)
    if events.format.mission == "nustar":
        assert clean.header["EXPOSURE"] == pytest.approx(gti.total(cut.gtis[0]) * events.header["DEADC"])


def test_cleaned_lists_conform_to_the_standard(cleaned):
    events, _, clean = cleaned
    program = shutil.which("fitsverify")
    if not program:
        pytest.skip("fitsverify is not installed")

    def complaints(path: Path) -> str:
        found = subprocess.run([program, "-q", path], capture_output=True, text=True, check=False).stdout
        return found.partition(",")[2].strip() or "none"

    # What the archive's own list was warned about is not ours to repair, but we add nothing to it.
    assert complaints(clean.path) in {"none", complaints(events.path)}


def test_an_events_table_of_another_name_is_cleaned_too(real_data, tmp_path):
    """ROSAT's lists call it STDEVT: what is recognised as events must be filtered as events."""
    source = dirty(real_data, "nustar-30101031002", tmp_path)
    renamed = tmp_path / "renamed.fits"
    content = source.path.read_bytes()
    old, new = (f"EXTNAME = '{name}'".ljust(20).encode() for name in ("EVENTS  ", "STDEVT  "))
    assert content.count(old) == 1
    renamed.write_bytes(content.replace(old, new))
    events = open_events(renamed)
    path = tmp_path / "clean.fits"
    count = write_clean_events(path, events, shorter(events), {})
    assert len(open_events(path).rows) == count < len(events.rows)


@pytest.mark.parametrize("name", ["xmm-0404910601-m1", "nustar-30101031002"])
def test_a_list_that_does_not_read_back_is_refused(real_data, tmp_path, monkeypatch, name):
    """As it would be if a form of list kept its good times where we do not look."""
    events = open_events(real_data / LISTS[name].path)

    def stale(events: EventList, cut: Cut):
        return made(events, Cut(cut.rules, {chip: events.gtis[chip] for chip in cut.gtis}))

    made = cleaned_module._gti_tables
    monkeypatch.setattr(cleaned_module, "_gti_tables", stale)
    with pytest.raises(DataError, match="does not hold what was cleaned"):
        write_clean_events(tmp_path / "bad.fits", events, shorter(events), {})


def test_rules_that_no_card_can_express_are_left_to_the_text():
    header = fits.Header()
    rules = (Rule("FLAG", "equal", 0, ""), Rule("A", "xor", 3, ""))
    describe_subspace(header, rules, [((), "GTI")])
    assert [axis.column for axis in read_subspace(header)[0]] == ["FLAG", "TIME"]


@pytest.mark.parametrize(("form", "zero"), [("16X", None), ("B", None), ("I", 2**15), ("J", 2**31), ("K", 2**63)])
def test_places_of_bits_are_written_for_columns_of_every_width(form, zero):
    """A column of bits, or whole numbers that stand for them."""
    width = {"16X": 16, "B": 8, "I": 16, "J": 32, "K": 64}[form]
    header = fits.Header({"TFIELDS": 1, "NAXIS1": width // 8, "TTYPE1": "STATUS", "TFORM1": form})
    if zero:
        header["TZERO1"] = zero
    rule = Rule("STATUS", "places_clear", (1, 4), "")
    rows = np.random.default_rng(3).integers(0, 256, (200, width // 8), dtype=np.uint8)
    rows = rows.view(row_type(header, "made")).ravel()
    describe_subspace(header, (rule,), [((), "GTI")])
    status = tuple(axis for axis in read_subspace(header)[0] if axis.column == "STATUS")
    assert status[0].bits == "0xx0" + "x" * (width - 4)
    kept = rules_mask([rule], rows)
    assert 0 < kept.sum() < 200
    assert subspace_mask([status], rows, ()).tolist() == kept.tolist()


@pytest.mark.parametrize(
    ("card", "axis"),
    [
        (":12", SubspaceAxis("COL", ranges=((None, 12.0),))),
        ("0", SubspaceAxis("COL", ranges=((0.0, 0.0),))),
        ("0:0,2:2,3:3", SubspaceAxis("COL", ranges=((0.0, 0.0), (2.0, 2.0), (3.0, 3.0)))),
        ("-4096:4095", SubspaceAxis("COL", ranges=((-4096.0, 4095.0),))),
        ("300.:7e3", SubspaceAxis("COL", ranges=((300.0, 7000.0),))),
        ("1,3:5", SubspaceAxis("COL", ranges=((1.0, 1.0), (3.0, 5.0)))),
        ("b000x", SubspaceAxis("COL", bits="000x")),
    ],
)
def test_values_are_understood(card, axis):
    assert read_subspace(fits.Header({"DSTYP1": "COL", "DSVAL1": card})) == ((axis,),)


@pytest.mark.parametrize("value", ["", "TABLE", "REGION", "1::2", "b", "b012", "1,", "nan", "inf", "1:2:3", "0x10"])
def test_what_cannot_be_understood_is_refused(value):
    with pytest.raises(DataError, match="cannot be understood"):
        read_subspace(fits.Header({"DSTYP1": "COL", "DSVAL1": value}))


def test_the_subspace_that_sas_wrote_keeps_every_event_of_its_list(real_data):
    events = open_events(real_data / LISTS["xmm-0404910601-m1"].path)
    components = read_subspace(events.header)
    assert len(components) == 6
    assert subspace_mask(components, events.rows, events.tables).all()
    wrong = events.rows.copy()
    wrong["FLAG"][::2] = 0x10000
    assert not subspace_mask(components, wrong, events.tables)[::2].any()


def test_a_table_that_is_absent_is_an_error():
    rows = np.zeros(3, dtype=[("TIME", ">f8")])
    header = fits.Header({"DSTYP1": "TIME", "DSVAL1": "TABLE", "DSREF1": ":GTI9"})
    with pytest.raises(DataError, match="GTI9"):
        subspace_mask(read_subspace(header), rows, ())


def test_axes_that_vary_between_components_are_not_claimed():
    header = fits.Header({"DSTYP1": "CCDNR", "DSVAL1": "1", "2DSVAL1": "2", "DSTYP2": "PI", "DSVAL2": "1:5"})
    header["2DSVAL2"] = "1:9"
    describe_subspace(header, (Rule("FLAG", "equal", 0, ""),), [((1,), "GTI00001")], chip_column="CCDNR")
    assert [axis.column for axis in read_subspace(header)[0]] == ["CCDNR", "FLAG", "TIME"]
    assert not [key for key in header if key.startswith("2DS")]
