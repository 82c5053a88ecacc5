"""Same inputs, same bytes: whatever the directory, the store, the port and the number of workers."""

from __future__ import annotations

import shlex

import pytest

from tests.journey.workbench import contents, parsed_lock

pytestmark = pytest.mark.journey


def test_the_demonstration_made_elsewhere_has_the_same_bytes(demonstration, bench):
    """By `dvc repro` with one worker, and by `daxa run` with three."""
    one = demonstration / "a demo" / "a907"
    said = (demonstration / "said.txt").read_text()
    [init] = [shlex.split(line[2:]) for line in said.splitlines() if line.startswith("$ daxa init")]
    place = bench.root / "another place"
    place.mkdir()
    bench.run(*init, cwd=place)
    another = place / "a907"
    bench.run("daxa", "run", cwd=another, DAXA_WORKERS="3", DAXA_DOWNLOADS="3")
    assert parsed_lock(one) == parsed_lock(another)
    for part in ("ledger", "selection", "report", "data"):
        left, right = contents(one, part), contents(another, part)
        assert left
        assert sorted(left) == sorted(right)
        assert [path for path in left if left[path] != right[path]] == []
