"""Small archives, complete with Git and DVC, whose products are written by hand."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import pytest

from daxa.archive import dvc
from daxa.archive.config import FETCH_SOFTWARE, LockedSoftware, load_config
from daxa.archive.layout import STEPS, Layout
from daxa.archive.template import MissionAnswers, render
from daxa.backends.native import NATIVE
from daxa.missions import find_mission
from daxa.publish.releases import release
from daxa.publish.releases.release import Release, make_release
from daxa.publish.remote import Remote, Storage
from daxa.publish.sharing import pull, push, remotecheck
from daxa.run.ledger import write_ledger
from daxa.run.task import LedgerRow, ProductFile
from daxa.selection.selection_file import write_selection
from daxa.stages.collect import run_collect

PUBLIC = 53000.0
FIRST, SECOND, THIRD = "0093640901", "0201901401", "0404910601"


def observation(obs_id: str, public_date: float = PUBLIC) -> dict[str, object]:
    return {
        "obs_id": obs_id,
        "target": "Abell <907> & more",
        "ra": 149.6,
        "dec": -11.06,
        "start": 53668.5,
        "end": 53668.8,
        "exposure": 23000.0,
        "instruments": "PN,M1",
        "public_date": public_date,
        "category": "",
        "mode": "",
        "roll": float("nan"),
        "exposures": "",
    }


def _software(mission: str) -> tuple[tuple[str, LockedSoftware], ...]:
    return tuple(
        (step, FETCH_SOFTWARE if step == "fetch" else LockedSoftware("native", NATIVE.version(mission, step)))
        for step in STEPS
    )


class Workshop:
    """Writes what the stages of a pipeline would write, and lets DVC record it."""

    def __init__(self, root: Path) -> None:
        self.layout = Layout(root)

    def generate(self, missions: Sequence[str], remote: str) -> None:
        answers = [MissionAnswers(find_mission(mission), {}, _software(mission)) for mission in missions]
        for path, content in render(self.layout.root.name, answers, remote=remote).items():
            target = self.layout.root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content, encoding="utf-8")

    def choose(self, mission: str, rows: Sequence[Mapping[str, object]]) -> None:
        write_selection(
            self.layout.selection(mission), pd.DataFrame(list(rows)), mission=mission, criteria="{}", snapshot="0" * 64
        )

    def process(
        self,
        mission: str,
        obs_ids: Sequence[str],
        *,
        failed: Mapping[str, str] | None = None,
        salts: Mapping[str, str] | None = None,
    ) -> None:
        """Carry out every step; observations in `failed` fail at the step named there, `salts` change contents."""
        for step in STEPS:
            rows = [
                self._row(mission, step, obs_id, (failed or {}).get(obs_id, ""), (salts or {}).get(obs_id, ""))
                for obs_id in obs_ids
            ]
            write_ledger(self.layout.ledger(mission, step), rows, mission=mission, step=step)
            self.layout.products(mission, step).mkdir(parents=True, exist_ok=True)
            for directory in self.layout.products(mission, step).iterdir():
                if directory.name not in {row.obs_id for row in rows if row.files}:
                    shutil.rmtree(directory)

    def _row(self, mission: str, step: str, obs_id: str, failed: str, salt: str) -> LedgerRow:
        if failed and STEPS.index(step) > STEPS.index(failed):
            return LedgerRow(obs_id, "skipped", "input.failed")
        log = self.layout.log(mission, step, obs_id)
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(f"{mission} {step} {obs_id} {salt}\n")
        if failed == step:
            return LedgerRow(obs_id, "failed", "data.no-events", "f" * 64)
        names = (
            ["PPS/raw.FTZ"] if step == "fetch" else [f"obsid{obs_id}-instM1-subexpS001-en-{step}.fits", "manifest.json"]
        )
        if step == "images":
            names.append(f"obsid{obs_id}-instM1-subexpS001-en-quicklook.png")
        files = [self._file(mission, step, obs_id, name, salt) for name in sorted(names)]
        return LedgerRow(obs_id, "done", "", hashlib.sha256(salt.encode()).hexdigest(), "{}", tuple(files))

    def _file(self, mission: str, step: str, obs_id: str, name: str, salt: str) -> ProductFile:
        path = self.layout.products(mission, step) / obs_id / name
        path.parent.mkdir(parents=True, exist_ok=True)
        content = f"{mission} {step} {obs_id} {name} {salt}".encode() * 50
        path.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        return ProductFile(name, len(content), digest, digest)

    def release(self, message: str = "", **options: object) -> Release:
        return make_release(self.layout, load_config(self.layout), message, **options)

    def record(self) -> None:
        """Collect, and let DVC take what is there for what the pipeline made."""
        run_collect(self.layout.root)
        stages = [f"{step}-{mission}" for mission in load_config(self.layout).missions for step in STEPS]
        ended = dvc.run_dvc(self.layout.root, "commit", "--force", "--quiet", *stages, "collect")
        assert ended.code == 0, ended.output


def set_identity(patch: pytest.MonkeyPatch) -> None:
    for role in ("AUTHOR", "COMMITTER"):
        patch.setenv(f"GIT_{role}_NAME", "Henrietta Leavitt")
        patch.setenv(f"GIT_{role}_EMAIL", "leavitt@example.org")
    patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    patch.setenv("GIT_CONFIG_NOSYSTEM", "1")


def copy_archive(source: Path, place: Path) -> Workshop:
    """Copy an archive with its remote, which the copy then uses instead."""
    shutil.copytree(source, place, dirs_exist_ok=True, symlinks=True)
    settings = f"['remote \"storage\"']\n    url = {place / 'remote'}\n"
    (place / "a907" / ".dvc" / "config.local").write_text(settings)
    return Workshop(place / "a907")


def know_storage(patch: pytest.MonkeyPatch) -> None:
    """Start no DVC to learn where cache and remote of a workshop are."""

    def storage(root: Path, name: str = "") -> Storage:
        there = root.parent / "remote"
        return Storage(root / ".dvc" / "cache", Remote("storage", str(there)), {"url": str(there)})

    for module in (pull, push, release, remotecheck):
        patch.setattr(module, "find_storage", storage)


def deceive(patch: pytest.MonkeyPatch) -> None:
    """A DVC that finds nothing changed, as it does where size and times are kept."""
    know_storage(patch)
    patch.setattr(dvc, "changed_stages", lambda root: {})


def problem_set(found) -> set[tuple[str, str]]:
    """Path and kind of every problem of a verification."""
    return {(problem.path, problem.what) for problem in found.problems}


def damage(path: Path) -> None:
    """Change one byte of a file and keep its size and time."""
    stat = path.stat()
    data = bytearray(path.read_bytes())
    data[-1] ^= 0xFF
    path.write_bytes(data)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def run(cwd: Path, *argv: str) -> str:
    """Run Git, or DVC through this Python, and give what it writes."""
    if argv[0] == "dvc":
        ended = dvc.run_program([sys.executable, "-P", "-m", *argv], cwd=cwd, environ=os.environ)
        assert ended.code == 0, ended.output
        return ended.stdout
    return subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=True).stdout
