"""What changed between two selections, against a row-by-row comparison."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from daxa.selection import SelectionDifference, column_names, compare
from tests.selection.observations import ROW, observations


def test_nothing_changed():
    table = observations({"public_date": np.nan}, {"obs_id": "0201901401"})
    assert compare(table, table.iloc[::-1].copy()) == SelectionDifference()
    assert not compare(table, table)


def test_each_kind_of_change():
    old = observations({"obs_id": "0000000001"}, {"obs_id": "0000000002"}, {"obs_id": "0000000003"})
    new = observations(
        {"obs_id": "0000000002", "public_date": np.nan, "target": "B"},
        {"obs_id": "0000000003"},
        {"obs_id": "0000000004"},
    )
    found = compare(old, new)
    assert found.added == ("0000000004",)
    assert found.removed == ("0000000001",)
    assert found.changed == ("0000000002",)
    assert found.columns == {"0000000002": ("target", "public_date")}


ROWS = st.dictionaries(
    st.sampled_from(["01", "02", "08", "1-a"]),
    st.fixed_dictionaries({"exposure": st.sampled_from([1.0, 2.0, math.nan]), "target": st.sampled_from("AB")}),
)


@settings(max_examples=100, deadline=None)
@given(old=ROWS, new=ROWS)
def test_against_a_row_by_row_comparison(old, new):
    found = compare(*(table(rows) for rows in (old, new)))
    assert found.added == tuple(sorted(set(new) - set(old)))
    assert found.removed == tuple(sorted(set(old) - set(new)))
    assert found.changed == tuple(
        sorted(i for i in set(old) & set(new) if repr(sorted(old[i].items())) != repr(sorted(new[i].items())))
    )


def table(rows):
    return observations(*({"obs_id": obs_id, **row} for obs_id, row in rows.items())) if rows else empty_columns()


def empty_columns():
    return observations(ROW).iloc[:0][list(column_names())]
