"""What versions cost: an archive of many observations with ten files each, beside DataLad and a DVC stage for each.

An archive is written by hand, as its pipeline would have left it, with products of 4 KiB that a backend of
nothing makes (`versions_work`); then everything is done by the commands that a user gives: ten observations more,
a release, and so on.  Measured of each command are seconds, processor seconds with all that it starts, the
memory of its largest process, and what Git has grown by at the release of ten more observations.

* ``daxa``: one stage for each step; ``daxa run``, ``status``, ``diff``, ``verify``, ``release``, ``checkout``;
* ``datalad``: the same files in a DataLad data set; ``datalad status``, ``run``, ``diff``, ``git annex fsck``;
* ``dvc``: a pipeline with a stage for each observation, with the same ten files; ``dvc status``, ``repro``, ``diff``.

DataLad is used where ``--datalad`` names a directory with its programs and git-annex
(``python -m venv V && V/bin/pip install datalad git-annex``).

    python benchmarks/versions.py [--count 1000] [--peer-count 1000] [--stages 500] [--datalad V/bin]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parent))

import pandas as pd  # noqa: E402 - after the path, as are the others
from cost import Cost, measure  # noqa: E402
from versions_files import BLOCK, content, write_flat  # noqa: E402
from versions_work import BACKEND, KINDS, product_names  # noqa: E402

from daxa.archive.config import FETCH_SOFTWARE, LockedSoftware, load_config  # noqa: E402
from daxa.archive.layout import STEPS, Layout  # noqa: E402
from daxa.archive.template import MissionAnswers, render  # noqa: E402
from daxa.archive.upstream import collect_provenance, note_provenance  # noqa: E402
from daxa.fetch.observation import FileProvenance  # noqa: E402
from daxa.missions import find_mission  # noqa: E402
from daxa.publish.dvc_outputs import directory_digest, directory_listing  # noqa: E402
from daxa.run.hashes import MANIFEST  # noqa: E402
from daxa.run.ledger import read_ledger, write_ledger  # noqa: E402
from daxa.run.rows import shorten  # noqa: E402
from daxa.run.task import LedgerRow, ProductFile  # noqa: E402
from daxa.selection.selection_file import write_selection  # noqa: E402
from daxa.stages.collect import run_collect  # noqa: E402
from daxa.stages.step import make_stage  # noqa: E402

MORE = 10
WORK = HERE.with_name("versions_files.py")
ROWS = ("no-op", "status", "diff", "verify", "+10", "release", "checkout")
PLUGIN = {
    "METADATA": "Metadata-Version: 2.1\nName: weightless-daxa\nVersion: 1\n",
    "entry_points.txt": "[daxa.backends]\nweightless = versions_work:BACKEND\n",
}


def environment(place: Path) -> None:
    """Identity, store and plug-in, for this process and all that it starts."""
    plugin = place / "plugin" / "weightless_daxa-1.dist-info"
    plugin.mkdir(parents=True)
    for name, text in PLUGIN.items():
        (plugin / name).write_text(text)
    sys.path.insert(0, str(plugin.parent))
    roles = ("AUTHOR", "COMMITTER")
    (place / "home").mkdir()
    made = {
        "PYTHONPATH": os.pathsep.join([str(plugin.parent), str(HERE.parent)]),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "HOME": str(place / "home"),
        "DAXA_STORE": str(place / "store"),
        "DAXA_CACHE": str(place / "cache"),
        "DAXA_CONFIG": str(place / "no-config.toml"),
        "DVC_NO_ANALYTICS": "1",
        "DVC_SITE_CACHE_DIR": str(place / "dvc"),
        "GIT_CONFIG_NOSYSTEM": "1",
        **{f"GIT_{role}_NAME": "Benchmark" for role in roles},
        **{f"GIT_{role}_EMAIL": "benchmark@example.org" for role in roles},
    }
    os.environ.update(made)
    # Otherwise Git may pack in the background at any time.
    measure(["git", "config", "--global", "gc.auto", "0"], place)


def ids_of(begin: int, end: int) -> list[str]:
    """ObsIDs of the observations with these numbers."""
    return [f"{number:010d}" for number in range(101 + begin, 101 + end)]


def digest(data: bytes) -> str:
    """SHA-256."""
    return hashlib.sha256(data).hexdigest()


def choose(layout: Layout, ids: Sequence[str], new: Sequence[str]) -> None:
    """Select observations, write the files of the new ones, and record them as fetched."""
    row = {
        **dict.fromkeys(("target", "category", "mode", "exposures"), ""),
        **dict(zip(("ra", "dec", "start", "end"), (149.59, -11.06, 53000.5, 53000.9), strict=True)),
        **dict(zip(("instruments", "exposure", "public_date", "roll"), ("PN,M1,M2", 3e4, 54e3, math.nan), strict=True)),
    }
    table = pd.DataFrame([{"obs_id": obs_id, **row} for obs_id in ids])
    write_selection(layout.selection("xmm"), table, mission="xmm", criteria="{}", snapshot="0" * 64)
    for obs_id in new:
        name = f"PPS/P{obs_id}M1S001MIEVLI0000.FTZ"
        data = content("fetch", obs_id)
        place = layout.products("xmm", "fetch") / obs_id / name
        place.parent.mkdir(parents=True)
        place.write_bytes(data)
        arrival = FileProvenance(name, f"https://archive/{obs_id}/{name}", len(data), digest(data))
        note_provenance(layout.arrivals / "xmm", obs_id, [arrival])
    collect_provenance(layout.upstream("xmm"), layout.arrivals / "xmm")
    rows = read_ledger(layout.ledger("xmm", "fetch"))
    for task in make_stage(layout, load_config(layout), "fetch", "xmm").tasks:
        if task.obs_id not in rows:
            data = content("fetch", task.obs_id)
            file = ProductFile(f"PPS/P{task.obs_id}M1S001MIEVLI0000.FTZ", len(data), digest(data), digest(data))
            rows[task.obs_id] = LedgerRow(task.obs_id, "done", "", task.fingerprint, shorten(task.parts), (file,))
    write_ledger(layout.ledger("xmm", "fetch"), rows.values(), mission="xmm", step="fetch")


def write_archive(root: Path, count: int) -> Layout:
    """An archive as its pipeline would leave it, recorded by DVC."""
    layout = Layout(root)
    software = tuple((step, FETCH_SOFTWARE if step == "fetch" else LockedSoftware(BACKEND.name, "1")) for step in STEPS)
    answers = MissionAnswers(find_mission("xmm"), {"target": ["everything"]}, software)
    for path, text in render("large", [answers]).items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    tables = "\n".join(f"[{step}]\n" + f'backend = "{BACKEND.name}"\n' * (step == "events") for step in STEPS)
    layout.params("xmm").write_text(tables.replace("[fetch]\n", "[fetch]\nextra = []\n"))
    measure(["git", "init", "--quiet", "--initial-branch=main"], root)
    ids = ids_of(0, count)
    choose(layout, ids, ids)
    for step in KINDS:
        rows = []
        for task in make_stage(layout, load_config(layout), step, "xmm").tasks:
            place = layout.products("xmm", step) / task.obs_id
            place.mkdir(parents=True)
            made = {name: content(step, task.obs_id, name) for name in product_names(step, task.obs_id)}
            made[MANIFEST] = json.dumps({"fingerprint": task.fingerprint}).encode()
            for name, data in made.items():
                (place / name).write_bytes(data)
            files = [ProductFile(name, len(made[name]), *[digest(made[name])] * 2) for name in sorted(made)]
            rows.append(LedgerRow(task.obs_id, "done", "", task.fingerprint, shorten(task.parts), tuple(files)))
        write_ledger(layout.ledger("xmm", step), rows, mission="xmm", step=step)
    run_collect(root)
    measure(["git", "add", "--all"], root)
    measure(["git", "commit", "--quiet", "--message", "Choose"], root)
    stages = [f"{step}-xmm" for step in STEPS]
    measure([sys.executable, "-m", "dvc", "commit", "--force", "--quiet", *stages, "collect"], root)
    return layout


def of_daxa(place: Path, count: int) -> tuple[dict[str, Cost], float]:
    """Costs of the commands, and megabytes by which Git grew with the release of ten more."""
    root = place / "large"
    layout = write_archive(root, count)
    daxa = [sys.executable, "-m", "daxa"]

    def give(*words: str) -> Cost:
        cost = measure([*daxa, *words], root)
        print(f"daxa {words[0]}: {cost.cpu:.2f} CPU s ({cost.wall:.2f} s)", file=sys.stderr, flush=True)
        return cost

    give("release", "-m", "first")
    # Digests of files are noted by the first run of each stage.
    choose(layout, ids_of(0, count + MORE), ids_of(count, count + MORE))
    give("run")
    give("release", "-m", "second")
    costs = {"no-op": give("run"), "status": give("status"), "verify": give("verify", "v1.1.0")}
    choose(layout, ids_of(0, count + 2 * MORE), ids_of(count + MORE, count + 2 * MORE))
    costs["+10"] = give("run")
    before = git_size(root)
    costs["release"] = give("release", "-m", "third")
    grown = git_size(root) - before
    costs["diff"] = give("diff", "v1.1.0", "v1.2.0")
    assert f"{MORE} added" in costs["diff"].output, costs["diff"].output
    costs["checkout"] = give("checkout", "v1.1.0")
    held = sum(1 for _ in layout.products("xmm", "sources").iterdir())
    assert held == count + MORE, f"{held} observations are there"
    return costs, grown


def of_datalad(place: Path, count: int, programs: Path) -> tuple[dict[str, Cost], float]:
    """The same with a DataLad data set."""
    root = place / "datalad"
    path = os.pathsep.join([str(programs), os.environ["PATH"]])

    def give(*words: str | Path) -> Cost:
        return measure(words, root if root.exists() else place, PATH=path, PYTHONPATH="")

    give("git", "config", "--global", "annex.thin", "false")
    give("datalad", "create", root)
    write_flat(root, ids_of(0, count))
    give("datalad", "save", "-m", "first", "--version-tag", "v1")
    costs = {"no-op": give("datalad", "status"), "verify": give("git", "annex", "fsck", "--quiet")}
    costs["status"] = costs["no-op"]
    give("git", "gc", "--quiet")
    before = git_size(root)
    words = [sys.executable, WORK, *ids_of(count, count + MORE)]
    costs["+10"] = give("datalad", "run", "-m", "more", shlex.join(map(str, words)))
    costs["release"] = give("datalad", "save", "-m", "second", "--version-tag", "v2")
    give("git", "gc", "--quiet")
    grown = git_size(root) - before
    costs["diff"] = give("datalad", "diff", "--from", "v1", "--to", "v2")
    costs["checkout"] = give("git", "checkout", "--quiet", "v1")
    return costs, grown


def of_stages(place: Path, count: int) -> tuple[dict[str, Cost], float]:
    """The same with a DVC pipeline that has a stage for each observation, as if it had run."""
    root = place / "stages"
    root.mkdir()

    def give(*words: str | Path) -> Cost:
        return measure([sys.executable, "-m", "dvc", *words[1:]] if words[0] == "dvc" else words, root)

    give("git", "init", "--quiet", "--initial-branch=main")
    give("dvc", "init", "--quiet")
    command = shlex.join(map(str, [sys.executable, WORK]))
    cache = root / ".dvc" / "cache" / "files" / "md5"

    def keep(data: bytes, ending: str = "") -> str:
        name = hashlib.md5(data, usedforsecurity=False).hexdigest() + ending
        there = cache / name[:2] / name[2:]
        there.parent.mkdir(parents=True, exist_ok=True)
        there.write_bytes(data)
        return name

    def pipeline(ids: Sequence[str]) -> None:
        stages = {f"one-{name}": {"cmd": f"{command} {name}", "outs": [f"data/{name}"]} for name in ids}
        (root / "dvc.yaml").write_text(json.dumps({"stages": stages}))

    ids, locked = ids_of(0, count), {}
    write_flat(root, ids)
    (root / ".gitignore").write_text("/data\n")
    for name in ids:
        files = {path.name: keep(path.read_bytes()) for path in sorted((root / "data" / name).iterdir())}
        assert f"{keep(directory_listing(files), '.dir')}" == directory_digest(files)
        out = {"path": f"data/{name}", "hash": "md5", "md5": directory_digest(files), "size": 10 * BLOCK, "nfiles": 10}
        locked[f"one-{name}"] = {"cmd": f"{command} {name}", "outs": [out]}
    pipeline(ids)
    (root / "dvc.lock").write_text(json.dumps({"schema": "2.0", "stages": locked}))
    give("dvc", "repro", "--quiet")
    assert not (root / "data" / ids_of(count, count + 1)[0]).exists()

    def release(name: str) -> Cost:
        give("git", "add", "--all")
        committed = give("git", "commit", "--quiet", "--message", name)
        give("git", "tag", name)
        return committed

    release("v1")
    costs = {"no-op": give("dvc", "repro", "--quiet"), "status": give("dvc", "status", "--quiet")}
    pipeline(ids_of(0, count + MORE))
    costs["+10"] = give("dvc", "repro", "--quiet")
    give("git", "gc", "--quiet")
    before = git_size(root)
    costs["release"] = release("v2")
    give("git", "gc", "--quiet")
    grown = git_size(root) - before
    costs["diff"] = give("dvc", "diff", "v1", "v2")
    moved = give("git", "checkout", "--quiet", "v1")
    brought = give("dvc", "checkout", "--quiet")
    largest = max(moved.memory, brought.memory)
    costs["checkout"] = Cost(moved.wall + brought.wall, moved.cpu + brought.cpu, memory=largest)
    return costs, grown


def git_size(root: Path) -> float:
    """Megabytes of Git's objects."""
    said = dict(line.split(": ") for line in measure(["git", "count-objects", "-v"], root).output.splitlines())
    return (int(said["size"]) + int(said["size-pack"])) * 1024 / 1e6


def report(found: dict[str, tuple[dict[str, Cost], float]]) -> dict[str, object]:
    """Print the table and give its numbers."""
    print("wall s (CPU s, MB of the largest process)")
    print(f"{'':>10}" + "".join(f"{way:>28}" for way in found))
    for row in ROWS:
        cells = []
        for costs, _ in found.values():
            one = costs.get(row)
            cells.append(f"{one.wall:.2f} ({one.cpu:.2f}, {one.memory / 1e6:.0f})" if one else "-")
        print(f"{row:>10}" + "".join(f"{cell:>28}" for cell in cells))
    print(f"{'Git, MB':>10}" + "".join(f"{grown:>28.3f}" for _, grown in found.values()))
    for way, (costs, _) in found.items():
        print(f"{way}: +{MORE} takes {costs['+10'].cpu / costs['no-op'].cpu:.2f} times the CPU of the no-op")
    return {
        "benchmark": "versions",
        **{
            way: {
                **{name: [round(one.wall, 3), round(one.cpu, 3), one.memory] for name, one in costs.items()},
                "git_mb": round(grown, 3),
            }
            for way, (costs, grown) in found.items()
        },
    }


def main() -> None:
    """Measure each way in a separate directory."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--peer-count", type=int, default=1000)
    parser.add_argument("--stages", type=int, default=500)
    parser.add_argument("--datalad", type=Path)
    options = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="versions-"))
    found = {}
    try:
        environment(place)
        ways = {}
        if options.count:
            ways[f"daxa {options.count}"] = lambda: of_daxa(place, options.count)
        if options.datalad and options.peer_count:
            ways[f"datalad {options.peer_count}"] = lambda: of_datalad(
                place, options.peer_count, options.datalad.resolve()
            )
        if options.stages:
            ways[f"dvc {options.stages} stages"] = lambda: of_stages(place, options.stages)
        for way, run in ways.items():
            found[way] = run()
            report({way: found[way]})
            sys.stdout.flush()
        print(json.dumps(report(found)))
    finally:
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()
