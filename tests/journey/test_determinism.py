"""Same inputs, same bytes: whatever the directory, the store, the port and the number of workers."""

from __future__ import annotations

import pytest

from tests.journey.workbench import Workbench, contents, parsed_lock

pytestmark = pytest.mark.journey


def test_an_archive_made_elsewhere_has_the_same_bytes(finished, shared, bench, observatory):
    """By `daxa run` with three workers, and by `dvc repro` with one."""
    one = finished / "a907"
    place = Workbench.at(bench.root / "another place", observatory.environ)
    remote = ("--remote", str(shared / "remote"))
    another = place.init("a907", "--target", "Abell 907", *remote, missions=("xmm", "nustar"))
    place.run("dvc", "repro", cwd=another, DAXA_WORKERS="1", DAXA_DOWNLOADS="1")
    assert parsed_lock(one) == parsed_lock(another)
    for part in ("ledger", "selection", "report", "data"):
        left, right = contents(one, part), contents(another, part)
        assert left
        assert sorted(left) == sorted(right)
        assert [path for path in left if left[path] != right[path]] == []
