"""What daxa itself costs: trivial tasks for many observations, beside Snakemake.

Three ways of doing the same thousand trivial tasks, each a first run, a run with
nothing to do, and a run with one more observation:

* ``stage``: one process that calls `daxa.run.runner.run_stage`;
* ``dvc``: that process as a stage of a DVC pipeline in a Git repository;
* ``snakemake``: one job per observation, greedy scheduler.

And what looking costs: the command's help, which knows no more than the names of the verbs, and
verbs that read an archive of a hundred observations, beside a bare Python and `dvc status`.  Every
number is measured in this run; processes start cold of our caches but warm of the file system's.

    python benchmarks/overhead.py [--count 1000] [--workers 2]
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from cost import Cost, best, measure
from stage_cost import write_archive, write_ledgers
from trivial import trivial

from daxa.run.prepared_stage import Stage
from daxa.run.runner import run_stage
from daxa.run.task import StagePaths, Task

HERE = Path(__file__).resolve()


def stage_of(root: Path, workers: int) -> Stage:
    """The stage whose observations stand in ``selection.txt``."""
    tasks = [Task("xmm", "clean", obs_id, "trivial", "1") for obs_id in (root / "selection.txt").read_text().split()]
    private = root / ".git" / "daxa"
    places = StagePaths(
        ledger=root / "ledger.parquet",
        products=root / "data",
        logs=root / "logs",
        scratch=private / "scratch",
        journal=private / "journal.jsonl",
        lock=private / "lock",
        hashes=private / "hashes.json",
    )
    return Stage("xmm", "clean", tasks, {}, trivial, places, workers=workers)


def three_runs(root: Path, count: int, run: Callable[[], Cost], done: Callable[[], int]) -> dict[str, Cost]:
    """First, nothing to do, one more; each checked for what it made."""
    costs = {}
    for name, number in (("first", count), ("no-op", count), ("+1", count + 1)):
        ids = [f"{i:010d}" for i in range(number)]
        (root / "selection.txt").write_text("\n".join(ids) + "\n")
        costs[name] = run()
        assert done() == number, f"{name}: {done()} of {number} are there"
    return costs


def with_stage(root: Path, count: int, workers: int) -> dict[str, Cost]:
    """The stage alone."""
    argv = [sys.executable, HERE, "--stage", ".", "--workers", workers]
    return three_runs(root, count, lambda: measure(argv, root), lambda: len(list(root.glob("data/*/product.dat"))))


def with_dvc(root: Path, count: int, workers: int) -> dict[str, Cost]:
    """The stage as DVC runs it."""
    pipeline = f"""stages:
  clean-xmm:
    cmd: exec '{sys.executable}' '{HERE}' --stage . --workers {workers}
    deps: [selection.txt]
    outs:
    - data: {{persist: true}}
    - ledger.parquet: {{persist: true, cache: false}}
"""
    for argv in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        measure(argv, root)
    (root / "dvc.yaml").write_text(pipeline)
    with (root / ".gitignore").open("a") as ignored:
        ignored.write("/data\n/logs\n")
    argv = [sys.executable, "-m", "dvc", "repro", "-q"]
    return three_runs(root, count, lambda: measure(argv, root), lambda: len(list(root.glob("data/*/product.dat"))))


def with_snakemake(root: Path, count: int, workers: int) -> dict[str, Cost]:
    """The peer: one job per observation."""
    (root / "Snakefile").write_text("""ids = open("selection.txt").read().split()
rule all:
    input: expand("data/{obs_id}/product.dat", obs_id=ids)
rule one:
    output: "data/{obs_id}/product.dat"
    log: "logs/{obs_id}.log"
    shell: "echo {wildcards.obs_id} > {output} 2> {log}"
""")
    argv = [sys.executable, "-m", "snakemake", "-c", workers, "--scheduler", "greedy", "-q", "all"]
    return three_runs(root, count, lambda: measure(argv, root), lambda: len(list(root.glob("data/*/product.dat"))))


def start_up(root: Path) -> dict[str, Cost]:
    """Verbs beside a bare Python, the best of five."""
    layout = write_archive(root / "archive", 100)
    write_ledgers(layout)
    daxa = [sys.executable, "-m", "daxa"]
    commands = {
        "python": [sys.executable, "-c", "pass"],
        "daxa --help": [*daxa, "--help"],
        "daxa missions": [*daxa, "missions"],
        "daxa status": [*daxa, "status"],
        "daxa ls --obs": [*daxa, "ls", "--obs", "0000000101"],
        "dvc status": [sys.executable, "-m", "dvc", "status", "-q", "clean-xmm"],
    }
    return {name: best(lambda argv=argv: measure(argv, layout.root), 5) for name, argv in commands.items()}


def report(found: dict[str, dict[str, Cost]], starts: dict[str, Cost], count: int) -> dict:
    """Print the tables and give their numbers."""
    print(f"\n{count} observations, wall s (CPU s), and the ratio of wall to Snakemake's")
    print(f"{'':12}" + "".join(f"{name:>28}" for name in ("first", "no-op", "+1")))
    peer = found.get("snakemake")
    for way, costs in found.items():
        cells = []
        for name, cost in costs.items():
            ratio = f" {cost.wall / peer[name].wall:7.3f}" if peer else ""
            cells.append(f"{cost.wall:9.2f} ({cost.cpu:7.2f}){ratio}")
        print(f"{way:12}" + "".join(f"{cell:>28}" for cell in cells))
    for way, costs in found.items():
        print(f"{way}: {1000 * (costs['first'].wall - costs['no-op'].wall) / count:.2f} ms per task beyond a no-op run")
    for name, cost in starts.items():
        ratio = cost.cpu / starts["python"].cpu
        print(f"{name:15}{cost.cpu:9.3f} CPU s ({cost.wall:.3f} s){ratio:8.1f} times Python")
    return {
        "benchmark": "overhead",
        "count": count,
        "wall": {way: {name: round(cost.wall, 3) for name, cost in costs.items()} for way, costs in found.items()},
        "cpu": {way: {name: round(cost.cpu, 3) for name, cost in costs.items()} for way, costs in found.items()},
        "start": {name: round(cost.cpu, 4) for name, cost in starts.items()},
    }


def main() -> None:
    """Measure, or be the process that is measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--stage", type=Path)
    options = parser.parse_args()
    if options.stage:
        run_stage(stage_of(options.stage.resolve(), options.workers))
        return
    ways = {"stage": with_stage, "dvc": with_dvc}
    if find_spec("snakemake") is None:
        print("Snakemake is not installed: measured without the peer")
    else:
        ways["snakemake"] = with_snakemake
    found = {}
    place = Path(tempfile.mkdtemp(prefix="overhead-"))
    try:
        for way, run in ways.items():
            (place / way).mkdir()
            found[way] = run(place / way, options.count, options.workers)
        starts = start_up(place)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    print(json.dumps(report(found, starts, options.count)))


if __name__ == "__main__":
    main()
