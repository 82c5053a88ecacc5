"""Real event lists laid out as a fetch step leaves them, and a way to run native steps on them."""

from __future__ import annotations

import gzip
import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

from daxa.backends import find_backend
from daxa.run.task import Input, ProductFile, Task, canonical


@dataclass(frozen=True)
class Fetched:
    """An observation: its instruments, and archive path to real file."""

    mission: str
    obs_id: str
    instruments: tuple[str, ...]
    files: dict[str, str]

    def lay_out(self, data: Path, root: Path) -> Path:
        """Write the files as the archive compresses them, below `root`."""
        for path, real in self.files.items():
            target = root / "fetch" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(gzip.compress((data / real).read_bytes(), 1, mtime=0))
        return root


XMM = Fetched(
    "xmm",
    "0404910601",
    ("PN", "M1", "M2"),
    {
        "PPS/P0404910601M1S001MIEVLI0000.FTZ": "xmm/0404910601/eclean/mos1_exp1_clean_evts.fits",
        "PPS/P0404910601M2S002MIEVLI0000.FTZ": "xmm/0404910601/eclean/mos2_exp1_clean_evts.fits",
        "PPS/P0404910601OBX000ATTTSR0000.FTZ": "xmm/0404910601/P0404910601OBX000ATTTSR0000.FIT",
    },
)
XMM_ONE = Fetched("xmm", "0404910601", ("M1",), {path: real for path, real in XMM.files.items() if "M2" not in path})
UNSCHEDULED = Fetched(
    "xmm",
    "0201901401",
    ("M1",),
    {"PPS/P0201901401M1U002MIEVLI0000.FTZ": "xmm/0201901401/eclean/mos1_exp1_clean_evts.fits"},
)
CHANDRA = Fetched(
    "chandra",
    "18461",
    ("ACIS",),
    {"primary/acisf18461N001_evt2.fits.gz": "chandra/acis_18461_cena_evt2.fits"},
)
NUSTAR = Fetched(
    "nustar",
    "30101031002",
    ("FPMA", "FPMB"),
    {"event_cl/nu30101031002A01_cl.evt.gz": "nustar/nu30101031002A_cut_evt.fits"},
)
ALL = {"xmm": XMM, "unscheduled": UNSCHEDULED, "chandra": CHANDRA, "nustar": NUSTAR}

_BEFORE = {"events": "fetch", "clean": "events", "images": "clean", "sources": "images"}


def task_for(fetched: Fetched, step: str, root: Path, **parameters: object) -> Task:
    """The task of a step, with the files of the step before as inputs."""
    before = root / _BEFORE[step]
    inputs = tuple(
        Input(_BEFORE[step], ProductFile(path.relative_to(before).as_posix(), path.stat().st_size, "", ""))
        for path in sorted(before.rglob("*"))
        if path.is_file()
    )
    facts = canonical({"instruments": fetched.instruments})
    return Task(fetched.mission, step, fetched.obs_id, "native", "1", canonical(parameters), facts, inputs)


def run_step(fetched: Fetched, step: str, root: Path, **parameters: object) -> tuple[Path, str]:
    """Run a step; the directory with its products, and its log."""
    target, log = root / step, io.StringIO()
    target.mkdir()
    sources = {_BEFORE[step]: root / _BEFORE[step]}
    find_backend("native").run(task_for(fetched, step, root, **parameters), sources, target, log)
    return target, log.getvalue()


def digests(directory: Path) -> dict[str, str]:
    """Name to SHA-256 of every file."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(directory.iterdir())}
