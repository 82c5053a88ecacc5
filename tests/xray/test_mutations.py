"""Harmed event lists read, or fail with an error of ours and a remedy: never with a traceback."""

from __future__ import annotations

import pytest

from tests.xray.mutations import run


@pytest.mark.parametrize("seed", [11, 12])
def test_harmed_lists_fail_with_an_error_of_ours(tmp_path, seed):
    outcomes = run(tmp_path, None, 250, seed)
    assert outcomes["read"] > 20
    assert sum(times for code, times in outcomes.items() if code.startswith("data.")) > 100
    assert len(outcomes) > 5
