"""Scaled and unsigned columns of every width, as astropy reads them, wherever they are used."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits

from daxa.errors import DataError
from daxa.xray.cleaning.subspace import SubspaceAxis, subspace_mask
from daxa.xray.eventlists.fits_tables import column_null, read_column, read_tables
from daxa.xray.eventlists.rules import Rule, rules_mask

N = 50
RANDOM = np.random.default_rng(5)
STORED = {
    "SHORT": ("I", RANDOM.integers(-(2**15), 2**15, N).astype("i2"), 1, 2**15),
    "LONG": ("J", RANDOM.integers(-(2**31), 2**31, N).astype("i4"), 1, 2**31),
    "LONGER": ("K", RANDOM.integers(-(2**63), 2**63 - 1, N, dtype="i8"), 1, 2**63),
    "BYTE": ("B", RANDOM.integers(0, 256, N).astype("u1"), 1, -128),
    "SHIFTED": ("I", RANDOM.integers(0, 99, N).astype("i2"), 1, 1000),
    "TIMES": ("J", RANDOM.integers(0, 99, N).astype("i4"), 4, 0),
    "HALVES": ("I", RANDOM.integers(0, 99, N).astype("i2"), 0.5, 10),
    "REAL": ("E", RANDOM.random(N).astype("f4"), 2, 1),
    "SEVERAL": ("3J", RANDOM.integers(-(2**31), 2**31, (N, 3)).astype("i4"), 1, 2**31),
}


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Rows as we read them, and astropy's."""
    path = tmp_path_factory.mktemp("tables") / "scaled.fits"
    columns = [fits.Column(name, form, array=values) for name, (form, values, _, _) in STORED.items()]
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns)]).writeto(path)
    with fits.open(path, mode="update") as units:
        for number, (_, _, scale, zero) in enumerate(STORED.values(), start=1):
            units[1].header.update({f"TSCAL{number}": scale, f"TZERO{number}": zero})
    return read_tables(path)[1][0].rows(), fits.getdata(path, 1)


@pytest.mark.parametrize("name", STORED)
def test_values_are_those_that_astropy_reads(both, name):
    rows, theirs = both
    values = read_column(rows, name.lower())
    assert np.array_equal(values, theirs[name])
    chosen = np.flatnonzero(np.arange(N) % 3 == 1)
    for part, expected in ((rows[chosen], theirs[name][chosen]), (rows[5:9].copy(), theirs[name][5:9])):
        assert np.array_equal(read_column(part, name), expected)
    joined = np.concatenate((rows, rows[:3])).astype(rows.dtype)
    assert np.array_equal(read_column(joined, name)[N:], theirs[name][:3])
    kinds = {"HALVES": "f", "REAL": "f", "SHORT": "u", "LONG": "u", "LONGER": "u", "SEVERAL": "u"}
    assert values.dtype.kind == kinds.get(name, "i")


@pytest.mark.parametrize("name", ["SHORT", "LONG", "LONGER"])
def test_screening_tests_the_unsigned_value(both, name):
    rows, _ = both
    form, stored, _, zero = STORED[name]
    values = [int(one) + zero for one in stored]
    width = {"I": 16, "J": 32, "K": 64}[form]
    half = 1 << width - 1
    kept = rules_mask([Rule(name, "between", (0, half), "")], rows)
    assert kept.tolist() == [value <= half for value in values]
    kept = rules_mask([Rule(name, "bits_clear", half | 1, "")], rows)
    assert kept.tolist() == [not value & (half | 1) for value in values]
    kept = rules_mask([Rule(name, "places_clear", (1, width), "")], rows)
    assert kept.tolist() == [not value & (half | 1) for value in values]
    axis = SubspaceAxis(name, bits="0" + "x" * (width - 2) + "1")
    assert subspace_mask([(axis,)], rows, ()).tolist() == [value < half and value % 2 == 1 for value in values]


def test_numbers_that_are_not_whole_are_not_screened_as_if_they_were(both):
    with pytest.raises(DataError) as problem:
        rules_mask([Rule("HALVES", "equal", 12, "")], both[0])
    assert problem.value.code == "data.column-type"


def test_null_values_are_scaled_as_the_others():
    header = fits.Header({"TNULL1": -1, "TSCAL1": 2, "TZERO1": 10, "TNULL2": -99})
    assert (column_null(header, 1), column_null(header, 2), column_null(header, 3)) == (8, -99, None)
