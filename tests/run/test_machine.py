"""What a machine has room for: decided from values, whatever this one has."""

from __future__ import annotations

import pytest

from daxa.run.machine import Machine, Resources, choose_next, read_machine
from daxa.run.runner import run_stage
from tests.run.test_runner import statuses
from tests.run.works import Taking, stage, task

GB = 1 << 30


@pytest.mark.parametrize(
    ("waiting", "running", "chosen"),
    [
        ([2, 2, 2], [], 0),
        ([2, 2], [2], 0),
        ([2], [2, 2], None),
        ([9], [], 0),  # Too large for the machine: it runs alone.
        ([9], [1], None),
        ([3, 2, 1], [2], 1),
        ([3, 3, 1], [2, 1], 2),
        ([], [], None),
        ([0], [9], None),
    ],
)
def test_tasks_of_two_gigabytes_wait_on_a_machine_of_four(waiting, running, chosen):
    sizes = [[Resources(memory=size * GB) for size in sizes] for sizes in (waiting, running)]
    assert choose_next(*sizes, Machine(4 * GB, 1)) == chosen


def test_tasks_of_several_cores_wait_for_them():
    four, one = Resources(cores=4), Resources()
    machine = Machine(4 * GB, 6)
    assert choose_next([four], [one, one], machine) == 0
    assert choose_next([four, one], [four], machine) == 1
    assert choose_next([four] * 99 + [one], [four], machine) is None  # Not all that wait are looked at.


def test_the_limit_of_a_container_counts(tmp_path, monkeypatch):
    monkeypatch.delenv("SLURM_MEM_PER_NODE", raising=False)
    whole = read_machine(tmp_path)
    for name, text, memory in (
        ("memory.max", str(GB), GB),
        ("memory/memory.limit_in_bytes", str(GB // 2), GB // 2),
        ("memory.max", "max", whole.memory),
        ("memory.max", "-1", whole.memory),
        ("memory.max", str(1 << 62), whole.memory),
    ):
        place = tmp_path / f"{name}-{text}".replace("/", "-")
        (place / name).parent.mkdir(parents=True)
        (place / name).write_text(f"{text}\n")
        assert read_machine(place) == Machine(min(memory, whole.memory), whole.cores)
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "512")
    assert read_machine(tmp_path).memory == GB // 2


def test_a_stage_never_takes_more_than_there_is(tmp_path):
    """Six workers, and room for one task: none begins before the one before has ended."""
    trace = str(tmp_path / "trace")
    ids = [f"{at:05d}" for at in range(8)]
    tasks = [task(obs_id, memory=3 * GB if at % 2 else 2 * GB, trace=trace) for at, obs_id in enumerate(ids)]
    small = stage(tmp_path, tasks, work=Taking(), workers=6, machine=Machine(3 * GB, 8))
    assert {status for status, _ in statuses(run_stage(small)).values()} == {"done"}
    lines = (tmp_path / "trace").read_text().splitlines()
    assert lines == [f"{obs_id} {word}" for obs_id in ids for word in ("begins", "ends")]
