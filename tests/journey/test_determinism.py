"""Same inputs, same bytes: whatever the directory, the store, the port and the number of workers."""

from __future__ import annotations

import pytest

from tests.journey.workbench import Workbench, contents, parsed_lock

pytestmark = pytest.mark.journey


def test_two_demonstrations_give_the_same_bytes(tmp_path):
    made = []
    for name, workers in (("one", "1"), ("another place", "3")):
        bench = Workbench.at(tmp_path / name, {}, DAXA_WORKERS=workers, DAXA_DOWNLOADS=workers)
        said = bench.daxa("demo", str(bench.root / "demo")).stdout
        assert "v1.0.0" in said
        made.append(bench.root / "demo" / "a907")
    one, another = made
    assert parsed_lock(one) == parsed_lock(another)
    for part in ("ledger", "selection", "report", "data"):
        left, right = contents(one, part), contents(another, part)
        assert left
        assert sorted(left) == sorted(right)
        assert [path for path in left if left[path] != right[path]] == []
