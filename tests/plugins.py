"""A plug-in of a third party, built into a wheel and installed beside daxa: a step and the backend that does it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

__all__ = ["FILES", "install_plugin"]

_PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "spectral-daxa"
version = "0.3"

[project.entry-points."daxa.steps"]
spectra = "spectral.steps:SPECTRA"
broken = "spectral.nowhere:STEP"

[project.entry-points."daxa.backends"]
spectral = "spectral.backend:BACKEND"
halved = "spectral.backend:HALVED"
parted = "spectral.backend:PARTED"

[tool.hatch.build.targets.wheel]
packages = ["spectral"]
"""

_STEPS = """
from daxa.run.steps import Step

SPECTRA = Step("spectra", needs=("clean", "sources"), products=("spectrum",), backend="spectral",
               help="source and background spectra")
"""

_BACKEND = """
import hashlib
import json
import os
from pathlib import Path

from daxa.backends.protocol import Located, Resources, check_tables
from daxa.backends.parameter_schema import Parameter
from daxa.errors import DataError
from daxa.missions import NativeInput
from daxa.run.product import Product

RAW = (NativeInput("events", r"odf/.*", required=True),)
SCHEMA = {
    "events": (Parameter("quality", "choice", "good", "which events are kept", choices=("good", "all")),),
    "spectra": (Parameter("bin", "quantity", 0.05, "width of a bin", unit="keV", least=0.001),),
}


def known():
    path = Path(os.environ.get("SPECTRAL_CALIBRATION", "nowhere"))
    return json.loads(path.read_text()) if path.is_file() else {}


class Spectral:
    name = "spectral"
    calibrated = ("events", "spectra")

    def version(self, mission, step):
        return {"events": "7", "spectra": "2"}.get(step, "")

    def parameters(self, mission):
        return SCHEMA

    def check(self, mission, tables, instruments=()):
        return check_tables(SCHEMA, tables)

    def inputs(self, spec):
        return RAW

    def locate(self):
        if known().get("lost"):
            return Located(False, missing=("SPECTRAL_DIR",), remedy="install spectral")
        return Located(True, "0.3", known().get("installed", "epoch-1"))

    def calibration(self, task):
        return known().get(task.obs_id, "epoch-1")

    def tasks(self, mission, step):
        return "observation"

    def resources(self, mission, step):
        return Resources(memory=1 << 20, cores=1, time_limit=60.0)

    def run(self, task, directories, target, log):
        digest = hashlib.sha256()
        for item in sorted(task.inputs, key=lambda one: (one.step, one.file.path)):
            digest.update((directories[item.step] / item.file.path).read_bytes())
        kind = {"events": "events", "spectra": "spectrum"}[task.step]
        product = Product(task.obs_id, "ALL", "ALL", kind, suffix="json")
        content = {"inputs": digest.hexdigest(), "calibration": task.calibration,
                   "parameters": json.loads(task.parameters), "read": sorted(directories)}
        (target / product.name).write_text(json.dumps(content, sort_keys=True))
        print(f"{len(task.inputs)} files read", file=log)


class Halved:
    name = "halved"


class Parted(Spectral):
    # Makes events in a task for each camera; those that the file `known` names fail.

    name = "parted"

    def version(self, mission, step):
        return {"events": "3"}.get(step, "")

    def parameters(self, mission):
        return {"events": SCHEMA["events"]}

    calibrated = ("events",)

    def tasks(self, mission, step):
        return "exposure"

    def exposures(self, task):
        cameras = json.loads(task.facts).get("instruments", ["PN"])
        return {f"{camera}-S{at:03}": task.inputs for at, camera in enumerate(cameras) if camera != "OM"}

    def run(self, task, directories, target, log):
        print(f"this is {task.exposure}", file=log)
        fault = known().get("faults", {}).get(task.name)
        if fault:
            raise DataError(fault, f"{task.name} has no events", remedy="choose another")
        camera, exposure = task.exposure.split("-")
        content = {"task": task.name, "calibration": task.calibration, "parameters": json.loads(task.parameters)}
        for kind, more in (("events", {}), ("measures", {"exposures": [task.exposure]})):
            product = Product(task.obs_id, camera, exposure, kind, suffix="json")
            (target / product.name).write_text(json.dumps(more or content, sort_keys=True))
        (target / task.exposure).mkdir()
        (target / task.exposure / "attitude.dat").write_text("the same for all")


BACKEND, HALVED, PARTED = Spectral(), Halved(), Parted()
"""

FILES = {
    "pyproject.toml": _PROJECT,
    "spectral/__init__.py": "",
    "spectral/steps.py": _STEPS,
    "spectral/backend.py": _BACKEND,
}


def install_plugin(place: Path, files: Mapping[str, str] = FILES) -> Path:
    """Build a wheel and install it, without the network; the directory to be put on the path."""
    source, wheels, installed = place / "source", place / "wheels", place / "installed"
    for name, text in files.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(text)
    _pip("wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(wheels), str(source))
    (wheel,) = wheels.glob("*.whl")
    _pip("install", "--no-deps", "--no-index", "--no-compile", "--target", str(installed), str(wheel))
    return installed


def _pip(*arguments: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
