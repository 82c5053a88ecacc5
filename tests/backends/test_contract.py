"""The native backend passes the public contract of a run: every step of a real observation, twice, with equal bytes."""

from __future__ import annotations

from daxa.backends import find_backend
from daxa.backends.contract import check_run
from tests.backends.native.observations import UNSCHEDULED, task_for

STEPS = {"events": "fetch", "clean": "events", "images": "clean", "sources": "images"}
KINDS = {"events": "events", "clean": "finalevents", "images": "image", "sources": "sourcelist"}


def test_every_step_of_the_native_backend_keeps_the_contract_of_a_run(real_data, tmp_path):
    # The search itself, without the simulated fields that only count its false sources.
    asked = {"sources": {"realisations": 0}}
    root = UNSCHEDULED.lay_out(real_data, tmp_path)
    for step, before in STEPS.items():
        place = tmp_path / "work" / step
        place.mkdir(parents=True)
        task = task_for(UNSCHEDULED, step, root, **asked.get(step, {}))
        made = check_run(find_backend("native"), task, {before: root / before}, place)
        assert any(KINDS[step] in name for name in made), step
        (place / "first").rename(root / step)
        # What is beside the products belongs to the runner.
        (root / step / "manifest.json").unlink()
