"""What a stage costs per observation, as the archive grows.

An archive is written by hand: a selection, a record of where ten files of every observation came
from, and the ledger of the step ``fetch``.  Then the step ``events`` runs for all of it, as
``dvc.yaml`` would run it, with trivial work in place of the backend: what is left is daxa's own
cost.  Sizes take turns in several rounds, each in a new directory, and the least processor time of
each counts.  What a task costs is the difference between a size and the one before, over the
observations that it has more: what is paid once for a stage drops out, and needs no estimate.  The
smallest archive is large enough for every worker to have begun.

Beside it: a run with nothing to do, and a run with one changed parameter for one observation.
Then the views, each as a process of its own, on an archive of which every step is done, with one
file in the directory of each product (so that the others count as not looked at), and what Git
keeps of a release that touches ten observations, before and after packing.

    python benchmarks/stage_cost.py [--counts 300,1000,3000] [--workers 2] [--repeat 3] [--views 10000]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pandas as pd
from cost import Cost, best, measure
from trivial import trivial

from daxa.archive import git
from daxa.archive.config import FETCH_SOFTWARE, LockedSoftware, load_config
from daxa.archive.layout import STEPS, Layout
from daxa.archive.template import MissionAnswers, render
from daxa.archive.upstream import collect_provenance, note_provenance
from daxa.backends.native import NATIVE
from daxa.fetch.observation import FileProvenance
from daxa.missions import find_mission
from daxa.run.ledger import write_ledger
from daxa.run.rows import shorten
from daxa.run.runner import run_stage
from daxa.run.task import LedgerRow, ProductFile
from daxa.selection.selection_file import write_selection
from daxa.stages.step import make_stage

HERE = Path(__file__).resolve()
FILES = 10
SMALLEST = 100
"""Observations of the archive that tells what is paid once."""


def digest(*what: object) -> str:
    """Some digest of these values."""
    return hashlib.sha256(repr(what).encode()).hexdigest()


def write_archive(root: Path, count: int) -> Layout:
    """An archive of XMM observations whose files are said to have been fetched."""
    layout = Layout(root)
    software = tuple(
        (step, FETCH_SOFTWARE if step == "fetch" else LockedSoftware("native", NATIVE.version("xmm", step)))
        for step in STEPS
    )
    answers = MissionAnswers(find_mission("xmm"), {"target": ["everything"]}, software)
    for path, content in render("large", [answers]).items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content)
    subprocess.run(["git", "init", "-q", root], check=True)
    ids = [f"{i:010d}" for i in range(101, 101 + count)]
    row = {
        **dict.fromkeys(("target", "category", "mode", "exposures"), ""),
        **dict(zip(("ra", "dec", "start", "end"), (149.59, -11.06, 53000.5, 53000.9), strict=True)),
        **dict(zip(("instruments", "exposure", "public_date", "roll"), ("PN,M1,M2", 3e4, 54e3, math.nan), strict=True)),
    }
    table = pd.DataFrame([{"obs_id": obs_id, **row} for obs_id in ids])
    write_selection(layout.selection("xmm"), table, mission="xmm", criteria="{}", snapshot="0" * 64)
    names = [f"PPS/P{{}}M1S{i:03d}MIEVLI0000.FTZ" for i in range(FILES)]
    rows = []
    for obs_id in ids:
        files = [ProductFile(name.format(obs_id), 10**7, digest(obs_id, name), digest(obs_id, name)) for name in names]
        rows.append(LedgerRow(obs_id, "done", "", "0" * 64, "{}", tuple(files)))
        arrivals = [
            FileProvenance(file.path, f"https://archive/{obs_id}/{file.path}", file.size, file.sha256) for file in files
        ]
        note_provenance(layout.arrivals / "xmm", obs_id, arrivals)
    collect_provenance(layout.upstream("xmm"), layout.arrivals / "xmm")
    tasks = make_stage(layout, load_config(layout), "fetch", "xmm").tasks
    rows = [
        replace(row, fingerprint=task.fingerprint, parts=shorten(task.parts))
        for row, task in zip(rows, tasks, strict=True)
    ]
    write_ledger(layout.ledger("xmm", "fetch"), rows, mission="xmm", step="fetch")
    return layout


def run_events(root: Path, workers: int) -> None:
    """The step ``events`` with trivial work."""
    layout = Layout(root)
    stage = make_stage(layout, load_config(layout), "events", "xmm")
    run_stage(replace(stage, work=trivial, workers=workers))


def costs_of(root: Path, count: int, workers: int) -> dict[str, Cost]:
    """First run, nothing to do, and one changed."""
    layout = write_archive(root, count)
    run = [sys.executable, HERE, "--events", ".", "--workers", workers]
    costs = {"first": measure(run, root)}
    assert len(list(layout.products("xmm", "events").iterdir())) == count
    costs["no-op"] = measure(run, root)
    with layout.params("xmm").open("a") as params:
        params.write('\n[events.obs."0000000101"]\nmin_ontime = "2 ks"\n')
    costs["1 changed"] = measure(run, root)
    shutil.rmtree(root)
    return costs


def rounds_of(place: Path, counts: Sequence[int], workers: int, repeat: int) -> dict[int, dict[str, Cost]]:
    """The least costs of every size, which take turns so that none has the quieter machine."""
    found: dict[int, dict[str, Cost]] = {}
    for number in range(repeat):
        for count in counts:
            costs = costs_of(place / f"{count}-{number}", count, workers)
            known = found.setdefault(count, costs)
            found[count] = {name: min(known[name], cost, key=lambda one: one.cpu) for name, cost in costs.items()}
    return found


def write_ledgers(layout: Layout, version: str = "", changed: Collection[str] = ()) -> None:
    """Say of every step that it is done, in another `version` for the `changed` observations."""
    for step in STEPS[1:]:
        rows = []
        for task in make_stage(layout, load_config(layout), step, "xmm").tasks:
            of = version if task.obs_id in changed else ""
            files = [
                ProductFile(name, 2880, digest(step, task.obs_id, name, of), digest(task.obs_id, name, step, of))
                for name in sorted(
                    f"obsid{task.obs_id}-instM1-subexpS{i:03d}-en-finalevents.fits" for i in range(FILES)
                )
            ]
            rows.append(LedgerRow(task.obs_id, "done", "", task.fingerprint, shorten(task.parts), tuple(files)))
        write_ledger(layout.ledger("xmm", step), rows, mission="xmm", step=step)


def views(root: Path, count: int) -> dict[str, Cost]:
    """The views of an archive of which every step is done."""
    layout = write_archive(root, count)
    write_ledgers(layout)
    for step in STEPS:
        for i in range(101, 101 + count):
            directory = layout.products("xmm", step) / f"{i:010d}"
            directory.mkdir(parents=True)
        hashes = layout.places("xmm", step).hashes
        hashes.parent.mkdir(parents=True, exist_ok=True)
        hashes.write_text("{}")
    costs = {}
    asked = {"status": ["status"], "status --json": ["status", "--json"], "ls --obs": ["ls", "--obs", "0000000101"]}
    asked |= {"logs": ["logs", "0000000101"]}
    layout.log("xmm", "events", "0000000101").parent.mkdir(parents=True)
    layout.log("xmm", "events", "0000000101").write_text("began\n")
    for name, verb in asked.items():
        costs[name] = best(lambda verb=verb: measure([sys.executable, "-m", "daxa", *verb], root), 3)
    return costs


def releases(root: Path, count: int) -> dict[str, float]:
    """Megabytes that a commit of ten changed observations adds to Git, and after packing."""
    layout, sizes = Layout(root), {}
    chosen = {f"{i:010d}" for i in range(101, 101 + count, count // 10)}
    for name in ("first", "second"):
        write_ledgers(layout, name, chosen)
        subprocess.run(["git", "add", "--", "ledger", "upstream", "selection"], cwd=root, check=True)
        author = ["-c", "user.name=x", "-c", "user.email=x@localhost"]
        subprocess.run(["git", *author, "commit", "-qm", name], cwd=root, check=True)
        sizes[f"{name}, loose"] = git_size(root)
        begin = resource.getrusage(resource.RUSAGE_CHILDREN)
        git.pack(root)
        end = resource.getrusage(resource.RUSAGE_CHILDREN)
        sizes[f"{name}, packed"] = git_size(root)
        sizes[f"{name}, CPU s of packing"] = end.ru_utime + end.ru_stime - begin.ru_utime - begin.ru_stime
    return sizes


def git_size(root: Path) -> float:
    """Megabytes of Git's objects."""
    return sum(path.stat().st_size for path in (root / ".git" / "objects").rglob("*") if path.is_file()) / 1e6


def per_task(found: dict[int, dict[str, Cost]]) -> dict[int, Cost]:
    """Size to the milliseconds that each observation costs which it has more than the size before."""
    return {
        count: Cost(
            1000 * (found[count]["first"].wall - found[before]["first"].wall) / (count - before),
            1000 * (found[count]["first"].cpu - found[before]["first"].cpu) / (count - before),
        )
        for before, count in pairwise(sorted(found))
    }


def report(found: dict[int, dict[str, Cost]]) -> dict:
    """Print the table and give its numbers."""
    print("CPU s (wall s); a task costs what a size takes longer than the one before")
    names = next(iter(found.values()))
    print(f"{'':>8}" + "".join(f"{name:>18}" for name in names) + f"{'ms CPU/task':>14}{'ms wall/task':>14}")
    tasks = per_task(found)
    for count, costs in found.items():
        cells = "".join(f"{f'{cost.cpu:.2f} ({cost.wall:.2f})':>18}" for cost in costs.values())
        each = tasks.get(count)
        print(f"{count:>8}{cells}" + (f"{each.cpu:>14.2f}{each.wall:>14.2f}" if each else ""))
    cpu = [cost.cpu for cost in tasks.values()]
    print(f"the dearest task over the cheapest: {max(cpu) / min(cpu):.2f}")
    return {
        "benchmark": "stage_cost",
        "cpu": {count: {name: round(cost.cpu, 3) for name, cost in costs.items()} for count, costs in found.items()},
        "ms_per_task": {count: round(cost.cpu, 3) for count, cost in tasks.items()},
        "ms_wall_per_task": {count: round(cost.wall, 3) for count, cost in tasks.items()},
        "dearest_over_cheapest": round(max(cpu) / min(cpu), 3),
    }


def main() -> None:
    """Measure, or be the process that is measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--counts", default="300,1000,3000")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--views", type=int, default=10000)
    parser.add_argument("--events", type=Path)
    options = parser.parse_args()
    if options.events:
        run_events(options.events.resolve(), options.workers)
        return
    place = Path(tempfile.mkdtemp(prefix="stage-cost-"))
    try:
        seen = views(place / "views", options.views) if options.views else {}
        kept = releases(place / "views", options.views) if options.views else {}
        counts = sorted({SMALLEST, *map(int, options.counts.split(","))})
        found = rounds_of(place, counts, options.workers, options.repeat)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    told = report(found)
    for name, cost in seen.items():
        print(f"{name:>16} of {options.views} observations: {cost.cpu:.2f} ({cost.wall:.2f})")
    for name, size in kept.items():
        print(f"{name:>28}: {size:.2f}{'' if 'CPU' in name else ' MB'}")
    told["views"] = {"count": options.views, **{name: round(cost.cpu, 3) for name, cost in seen.items()}}
    print(json.dumps(told | {"git": {name: round(size, 2) for name, size in kept.items()}}))


if __name__ == "__main__":
    main()
