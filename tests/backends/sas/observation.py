"""Observations with raw files, and a way to run steps of the backend sas on them."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
from astropy.io import fits

from daxa.backends.sas import SAS
from daxa.run.task import Input, ProductFile, Task, canonical
from tests.stubs.odf import write_odf

OBS_ID = "0404910601"
ACCEPTED = "SAS {release}, CCF 5f; as of 2026-11-30"
BEFORE = {"events": "fetch", "clean": "events", "images": "clean", "sources": "images"}
NAMES = {"PN": "EPN", "M1": "EMOS1", "M2": "EMOS2"}
START = 265_000_000.0


def write_list(
    path: Path, camera: str, exposure: str, *, start: float = START, hard: bool = True, **cards: str
) -> None:
    """A small list: 300 events in 3000 s on chips 1, 2 and 5, of which `hard` are above 2.5 keV, too."""
    random = np.random.default_rng(7)
    columns = [
        fits.Column("TIME", "D", "s", array=np.sort(start + random.uniform(0, 3000, 300))),
        fits.Column("PI", "J", "eV", array=random.integers(300, 12_000 if hard else 1_000, 300)),
        fits.Column("PATTERN", "J", array=random.integers(0, 14, 300)),
        fits.Column("FLAG", "J", array=np.zeros(300, int)),
        fits.Column("CCDNR", "J", array=random.choice([1, 2, 5], 300)),
        fits.Column("X", "J", array=random.integers(20_000, 30_000, 300)),
        fits.Column("Y", "J", array=random.integers(20_000, 30_000, 300)),
    ]
    events = fits.BinTableHDU.from_columns(columns, name="EVENTS")
    told = {"INSTRUME": NAMES[camera], "EXPIDSTR": exposure, "OBS_ID": path.name[1:11], "FILTER": "Thin1"}
    told |= {"SUBMODE": "PrimeFullWindow", "DATAMODE": "IMAGING", "DATE-OBS": "2006-05-27T09:58:06", **cards}
    for number, kind, place, side in ((6, "RA---TAN", 149.6, -0.05), (7, "DEC--TAN", -11.0, 0.05)):
        told |= {f"TCTYP{number}": kind, f"TCRVL{number}": place, f"TCRPX{number}": 25_000.5}
        told |= {f"TCDLT{number}": side / 3600, f"TLMIN{number}": 1, f"TLMAX{number}": 51_840}
    events.header.update(told | {"TSTART": start, "TSTOP": start + 3000})
    times = [fits.Column(name, "D", "s", array=[start + at]) for name, at in (("START", 0.0), ("STOP", 3000.0))]
    good = [fits.BinTableHDU.from_columns(times, name=f"STDGTI0{chip}") for chip in (1, 2, 5)]
    fits.HDUList([fits.PrimaryHDU(), events, *good]).writeto(path)


def write_attitude(path: Path) -> None:
    """An attitude history of one row."""
    columns = [
        fits.Column(name, "D", array=[value]) for name, value in (("TIME", START), ("AHFRA", 149.6), ("AHFDEC", -11))
    ]
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns, name="ATTHK")]).writeto(path)


class Observation:
    """Steps below one directory, one after the other."""

    def __init__(self, root: Path, obs_id: str = OBS_ID) -> None:
        self.root, self.obs_id, self.log = root, obs_id, ""
        self.cameras: list[str] = []
        (root / "pps").mkdir(parents=True)
        write_attitude(root / "pps" / f"P{obs_id}OBX000ATTTSR0000.FIT")

    def add(self, camera: str, exposure: str, **more: object) -> None:
        """Let it have an exposure."""
        letter = "P" if camera == "PN" else "M"
        write_list(
            self.root / "pps" / f"P{self.obs_id}{camera}{exposure}{letter}IEVLI0000.FIT", camera, exposure, **more
        )
        self.cameras = list(dict.fromkeys([*self.cameras, camera]))
        write_odf(self.root / "pps", self.root / "fetch" / "ODF")

    def task(self, step: str, calibration: str = ACCEPTED, **parameters: object) -> Task:
        """The task of a step, with what the step before left."""
        before = self.root / BEFORE[step]
        inputs = []
        for path in sorted(path for path in before.rglob("*") if path.is_file()):
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            inputs.append(
                Input(
                    BEFORE[step],
                    ProductFile(path.relative_to(before).as_posix(), path.stat().st_size, digest, digest),
                )
            )
        facts = canonical({"instruments": self.cameras})
        calibration = calibration.format(release=SAS.locate().version.removeprefix("SAS "))
        identity = calibration.partition("; ")[0]
        values = (canonical(parameters), facts, tuple(inputs), identity)
        return Task("xmm", step, self.obs_id, "sas", "1", *values, accepted=calibration)

    def run(self, step: str, calibration: str = ACCEPTED, **parameters: object) -> list[str]:
        """Names of the products; `log` has what was written."""
        target, log = self.root / step, io.StringIO()
        target.mkdir()
        before = {BEFORE[step]: self.root / BEFORE[step]}
        try:
            SAS.resume(self.task(step, calibration, **parameters), before, target, log, self.root / f"work-{step}")
        except BaseException:
            target.rmdir()
            raise
        finally:
            self.log = log.getvalue()
        return sorted(path.name for path in target.iterdir())

    def commands(self, tool: str = "") -> list[str]:
        """The command lines of the last log."""
        lines = [line[2:] for line in self.log.splitlines() if line.startswith("$ ")]
        return [line for line in lines if line.startswith(f"{tool} ".lstrip())]
