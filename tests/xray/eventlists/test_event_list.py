"""Opening event lists: against astropy on whole files, and against files that lie."""

from __future__ import annotations

import gzip
import subprocess
import sys

import numpy as np
import pytest
from astropy.io import fits

from daxa.errors import DataError, DaxaError, NotPossible
from daxa.xray.cleaning.cut import standard_cut
from daxa.xray.eventlists import gti
from daxa.xray.eventlists.fits_tables import read_tables, row_type
from daxa.xray.eventlists.opening import open_events
from daxa.xray.imaging.image import count_image, grid_for, image_header
from tests.xray.reallists import LISTS


@pytest.fixture(params=LISTS)
def real(request, real_data):
    entry = LISTS[request.param]
    return entry, open_events(real_data / entry.path)


def altered(real_data, tmp_path, name, *changes):
    """A copy of a real list with cards replaced, byte for byte."""
    content = (real_data / LISTS[name].path).read_bytes()
    for old, new in changes:
        assert old in content
        assert len(old) == len(new)
        content = content.replace(old, new)
    target = tmp_path / "altered.fits"
    target.write_bytes(content)
    return target


def test_columns_are_what_astropy_reads(real):
    _, events = real
    with fits.open(events.path) as units:
        data = units["EVENTS"].data
        assert len(events.rows) == len(data)
        plain = [column for column in data.columns if not column.format.endswith("X")]
        assert len(plain) >= 12
        for column in plain:
            ours = events.column(column.name.upper())
            assert np.array_equal(ours, data.field(column.name), equal_nan=ours.dtype.kind == "f"), column.name


def test_rows_are_the_bytes_of_the_file(real):
    _, events = real
    with fits.open(events.path) as units:
        place = units["EVENTS"].fileinfo()["datLoc"]
    content = events.path.read_bytes()
    assert events.rows.tobytes() == content[place : place + events.rows.nbytes]
    assert not events.rows.flags.writeable
    assert b"".join(rows.tobytes() for rows in events.chunks(1000)) == events.rows.tobytes()


def test_good_times_are_the_tables_that_the_headers_name(real):
    entry, events = real
    assert sorted(events.gtis) == sorted(entry.tables)
    with fits.open(events.path) as units:
        for chip, name in entry.tables.items():
            extension = (name.split(",")[0], int(name.split(",")[1])) if "," in name else name
            table = units[extension].data
            expected = gti.normalise(np.column_stack((table["START"], table["STOP"])))
            assert np.array_equal(events.gtis[chip], expected)


def test_every_event_of_a_cleaned_list_is_in_the_good_time_of_its_chip(real):
    _, events = real
    times = events.column(events.format.time_column)
    chips = events.column(events.format.chip_column) if events.format.chip_column else np.zeros(len(times))
    inside = np.zeros(len(times), dtype=bool)
    for chip, good in events.gtis.items():
        inside |= (chips == chip) & gti.contains(good, times)
    assert inside.all()


def test_names_and_exposures(real_data):
    found = {name: open_events(real_data / entry.path) for name, entry in LISTS.items()}
    assert {name: (one.obs_id, one.exposure) for name, one in found.items()} == {
        "xmm-0404910601-m1": ("0404910601", "S001"),
        "xmm-0404910601-m2": ("0404910601", "S002"),
        "xmm-0201901401-m1": ("0201901401", "U002"),
        "xmm-0201901401-m2": ("0201901401", "U002"),
        "chandra-18461": ("18461", "None"),
        "nustar-30101031002": ("30101031002", "None"),
    }


def test_a_compressed_list_reads_the_same(real, tmp_path):
    _, events = real
    packed = tmp_path / "list.evt.gz"
    packed.write_bytes(gzip.compress(events.path.read_bytes(), 1))
    again = open_events(packed)
    assert again.rows.tobytes() == events.rows.tobytes()
    assert again.header.tostring() == events.header.tostring()


def test_raw_lists_without_data_subspace_use_the_standard_tables(real_data, tmp_path):
    path = altered(real_data, tmp_path, "xmm-0201901401-m1", (b"DSTYP6  = 'TIME    '", b"DSTYP6  = 'EMIT    '"))
    events = open_events(path)
    with fits.open(path) as units:
        for chip in range(1, 8):
            table = units[f"STDGTI{chip:02d}"].data
            assert gti.total(events.gtis[chip]) == pytest.approx((table["STOP"] - table["START"]).sum())
    assert len(events.gtis[1]) == 17


def test_components_may_name_several_ccds(real_data, tmp_path):
    path = altered(real_data, tmp_path, "xmm-0404910601-m1", (b"6DSVAL1 = '7       '", b"6DSVAL1 = '7,9:11  '"))
    events = open_events(path)
    assert sorted(events.gtis) == [1, 2, 3, 4, 5, 7, 9, 10, 11]
    assert np.array_equal(events.gtis[7], events.gtis[11])


def test_chandra_tables_may_name_their_chip_by_version_only(real_data, tmp_path):
    path = altered(real_data, tmp_path, "chandra-18461", (b"CCD for this table", b"CCD for this thing"))
    content = path.read_bytes().replace(b"CCD_ID  =                    2 / CCD for this thing", b"COMMENT " + b" " * 43)
    path.write_bytes(content)
    assert sorted(open_events(path).gtis) == [0, 1, 2, 3, 6]


def test_gratings_list_without_good_times_is_refused(real_data):
    with pytest.raises(DataError) as problem:
        open_events(real_data / "chandra/acis_6601_cygx3_tgevt.fits")
    assert problem.value.code == "data.no-gti"
    assert "acis_6601_cygx3_tgevt.fits" in problem.value.message


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("astrosat/laxpc_crab.fits", "impossible.instrument"),
        ("einstein/ipc_8102_ctb109_fragment.fits", "data.no-gti"),
        ("rxte/std1_ao9_01_01.lc", "data.not-events"),
        ("swift/xrt_00092220001_target_sr.pha", "data.not-events"),
        ("integral/isgri_spectra_group.pha", "data.not-events"),
        ("nustar/nu30002041016A01_cl_3to20keV_det1.fits", "data.not-events"),
        ("xmm/0404910601/images/0404910601_mos1_exp1-0.50-2.00keVimg.fits", "data.not-events"),
        ("SOURCES.md", "data.not-fits"),
        ("no-such-file.fits", "data.absent"),
    ],
)
def test_what_is_not_a_known_event_list_is_refused(real_data, path, code):
    with pytest.raises((DataError, NotPossible)) as problem:
        open_events(real_data / path)
    assert problem.value.code == code


@pytest.mark.parametrize(
    ("name", "change", "code"),
    [
        ("xmm-0404910601-m1", (b"DSREF6  = ':GTI00006'", b"DSREF6  = ':GTI99999'"), "data.gti"),
        ("xmm-0404910601-m1", (b"DSVAL1  = '1       '", b"DSVAL1  = '$(rm)   '"), "data.gti"),
        ("xmm-0404910601-m1", (b"OBS_ID  = '0404910601'", b"OBS_ID  = '../../etc/'"), "data.obs-id"),
        ("xmm-0404910601-m1", (b"TCDLT6  = -1.38888888888889E-05", b"TCDLT6  = -0.00000000000000E-05"), "data.sky"),
        ("xmm-0404910601-m1", (b"TCRVL6  = 1.49591375000000E+02", b"TCRVL6  = 'somewhere'         "), "data.card"),
        ("xmm-0404910601-m1", (b"NAXIS1  =                   34", b"NAXIS1  =                   35"), "data.damaged"),
        ("xmm-0404910601-m1", (b"NAXIS2  =                72308", b"NAXIS2  =               -72308"), "data.damaged"),
        ("xmm-0404910601-m1", (b"NAXIS2  =                72308", b"NAXIS2  =          72308000000"), "data.truncated"),
        ("xmm-0404910601-m1", (b"TFORM12 = 'B       '", b"TFORM12 = 'Z       '"), "data.damaged"),
        ("xmm-0404910601-m1", (b"TFORM12 = 'B       '", b"TFORM12 = '99999999999B'"), "data.damaged"),
        ("xmm-0404910601-m1", (b"TTYPE3  = 'RAWY    '", b"TTYPE3  = 'rawx    '"), "data.damaged"),
        ("nustar-30101031002", (b"TFIELDS =                   39", b"TFIELDS =               999999"), "data.damaged"),
        ("chandra-18461", (b"TTYPE1  = 'START   '", b"TTYPE1  = 'BEGIN   '"), "data.column"),
    ],
)
def test_files_with_false_headers_are_refused(real_data, tmp_path, name, change, code):
    old, new = change
    content = (real_data / LISTS[name].path).read_bytes()
    assert old in content
    # A longer card takes the place of blanks or of its comment.
    room = len(new) - len(old)
    parts = content.split(old)
    content = parts[0] + b"".join(new + part[room:] for part in parts[1:])
    (tmp_path / "lie.fits").write_bytes(content)
    with pytest.raises(DataError) as problem:
        open_events(tmp_path / "lie.fits")
    assert problem.value.code == code


def test_another_clock_in_a_gti_table_is_refused(real_data, tmp_path):
    content = (real_data / LISTS["xmm-0404910601-m1"].path).read_bytes()
    place = content.rfind(b"TIMEZERO=")
    content = content[:place] + b"TIMEZERO= 1.00000000000000E+00" + content[place + 30 :]
    (tmp_path / "clock.fits").write_bytes(content)
    with pytest.raises(DataError, match="TIMEZERO"):
        open_events(tmp_path / "clock.fits")


@pytest.mark.parametrize("name", LISTS)
def test_truncated_at_any_place_is_an_error_or_loses_only_tables_after(real_data, tmp_path, name):
    """Cut within the events or the good times: always a typed error, never fewer rows."""
    source = real_data / LISTS[name].path
    content = source.read_bytes()
    whole = open_events(source)
    for part in (0, 1, 100, 2880, 9000, 40000, len(content) // 3, len(content) // 2, len(content) - 2881):
        path = tmp_path / "cut.fits"
        path.write_bytes(content[:part])
        try:
            events = open_events(path)
        except DataError:
            continue
        assert len(events.rows) == len(whole.rows)
        assert {chip: good.tolist() for chip, good in events.gtis.items()} == {
            chip: good.tolist() for chip, good in whole.gtis.items()
        }


@pytest.mark.parametrize("name", ["xmm-0201901401-m2", "chandra-18461", "nustar-30101031002"])
@pytest.mark.parametrize("seed", range(40))
def test_random_damage_of_headers_is_a_typed_error_or_harmless(real_data, tmp_path, name, seed):
    entry, random = LISTS[name], np.random.default_rng(seed)
    content = bytearray((real_data / entry.path).read_bytes())
    with fits.open(real_data / entry.path) as units:
        places = [
            unit.fileinfo() for unit in units if unit.name in {"PRIMARY", "EVENTS", "GTI", "EXPOSU01", "GTI00006"}
        ]
    for _ in range(random.integers(1, 10)):
        place = places[random.integers(len(places))]
        harm = random.choice(list(b"0123456789' =.-ETFXx/\x00\xff&"))
        content[random.integers(place["hdrLoc"], place["datLoc"])] = harm
    (tmp_path / "harmed.fits").write_bytes(content)
    try:
        events = open_events(tmp_path / "harmed.fits")
        cut = standard_cut(events, pi=entry.band)
        grid = grid_for(events, entry.pixel)
        image_header(events, cut, grid).tostring()
        assert count_image(events, cut, grid).shape == (grid.ny, grid.nx)
    except DaxaError as problem:
        assert problem.remedy


@pytest.mark.parametrize("harm", ["cut", "flip"])
def test_damaged_compression_is_an_error(real_data, tmp_path, harm):
    packed = bytearray(gzip.compress((real_data / LISTS["chandra-18461"].path).read_bytes(), 1))
    if harm == "cut":
        del packed[len(packed) // 2 :]
    else:
        packed[-6] ^= 0xFF
    (tmp_path / "list.gz").write_bytes(packed)
    with pytest.raises(DataError) as problem:
        open_events(tmp_path / "list.gz")
    assert problem.value.code == "data.damaged"


def test_scaled_columns_hold_unsigned_numbers(real_data, tmp_path):
    path = altered(
        real_data, tmp_path, "xmm-0404910601-m1", (b"TLMIN8  =                    0", b"TZERO8  =                32768")
    )
    plain = open_events(real_data / LISTS["xmm-0404910601-m1"].path)
    events = open_events(path)
    assert events.column("PI").dtype == ">i2"
    assert events.column("PHA").dtype == "u2"
    assert np.array_equal(events.column("PHA"), plain.column("PHA").astype(np.int64) + 32768)


def test_world_coordinates_written_as_text_and_fallback(real_data, tmp_path):
    path = altered(
        real_data,
        tmp_path,
        "xmm-0404910601-m1",
        (b"TCRVL6  = 1.49591375000000E+02", b"TCRVL6  = '149.591375'        "),
    )
    assert open_events(path).sky == open_events(real_data / LISTS["xmm-0404910601-m1"].path).sky
    path = altered(real_data, tmp_path, "xmm-0404910601-m1", (b"TCTYP6  = 'RA---TAN'", b"TCTYX6  = 'RA---TAN'"))
    assert open_events(path).sky == open_events(real_data / LISTS["xmm-0404910601-m1"].path).sky


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("16X", ">u2"),
        ("X", "V1"),
        ("24X", "V3"),
        ("9X", "V2"),
        ("64X", ">u8"),
        ("3I", None),
        ("8A", "S8"),
        ("1PJ(9)", "V8"),
        ("QD", "V16"),
    ],
)
def test_column_types(form, expected):
    width = {"16X": 2, "X": 1, "24X": 3, "9X": 2, "64X": 8, "3I": 6, "8A": 8, "1PJ(9)": 8, "QD": 16}[form]
    header = fits.Header({"NAXIS1": width, "TFIELDS": 1, "TTYPE1": "A", "TFORM1": form})
    found = row_type(header, "test")
    assert found.itemsize == width
    assert found["A"] == (np.dtype(expected) if expected else np.dtype((">i2", (3,))))


def test_tables_are_listed_in_order(real_data):
    _, tables = read_tables(real_data / LISTS["chandra-18461"].path)
    assert [(table.name, table.version) for table in tables] == [
        ("EVENTS", 1), ("GTI", 3), ("GTI", 2), ("GTI", 1), ("GTI", 0), ("GTI", 6)
    ]  # fmt: skip


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, daxa.xray; print(sorted({'numpy', 'astropy', 'scipy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_public_names_are_there():
    import daxa.xray

    tables = {"FORMATS", "STANDARD"}
    assert all(getattr(daxa.xray, name) for name in tables)
    for name in set(daxa.xray.__all__) - tables:
        assert getattr(daxa.xray, name).__doc__, name
    with pytest.raises(AttributeError):
        _ = daxa.xray.no_such_name
