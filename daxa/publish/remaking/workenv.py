"""Install the environment that a release records, to make the release again in it.

The file that names packages is somebody else's.  Therefore only packages that this daxa needs itself are
installed, in the recorded versions, and as wheels: no code of a package runs while it is installed.
A package that is installed here in the same version may be built, since some are only available as source.
The user configures where they come from, as for pip and uv in general.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daxa.errors import ConfigError, ProgramError
from daxa.files import replace_file
from daxa.naming import number_of
from daxa.publish.releases.release_environment import DISTRIBUTION
from daxa.run.process import run_program

__all__ = ["EnvironmentPlan", "make_environment", "plan_environment"]

_DONE = "daxa-environment.json"
_LAST = 2000


@dataclass(frozen=True)
class EnvironmentPlan:
    """The content of a new environment.

    Parameters
    ----------
    python
        Version of Python, such as ``3.12.4``.
    lines
        Of the requirements file.
    wheels
        Names of those that must be wheels.
    left_out
        Recorded packages that are not installed, since this daxa does not need them.
    """

    python: str
    lines: tuple[str, ...]
    wheels: tuple[str, ...]
    left_out: tuple[str, ...]

    @property
    def digest(self) -> str:
        """Digest that distinguishes plans."""
        return hashlib.sha256(json.dumps([self.python, *self.lines]).encode()).hexdigest()


def plan_environment(recorded: Mapping[str, Any], own: Mapping[str, Any], daxa: str = "") -> EnvironmentPlan:
    """Which packages of a recorded environment to install.

    Parameters
    ----------
    recorded
        As `daxa.publish.releases.release_environment.environment_at` gives it: every name and version has been checked.
    own
        The environment on this machine.
    daxa
        The source of daxa itself, instead of its recorded version: a wheel, a directory, an address.

    Examples
    --------
    >>> own = {"packages": {"daxa-archive": "0.2", "numpy": "2.2.0"}}
    >>> recorded = {"python": "3.12.4", "packages": {"daxa-archive": "0.1", "numpy": "2.1.0", "evil": "1.0"}}
    >>> plan_environment(recorded, own)
    EnvironmentPlan(python='3.12.4', lines=('daxa-archive==0.1', 'numpy==2.1.0'), wheels=('daxa-archive', 'numpy'), \
left_out=('evil',))
    """
    wanted, known = recorded["packages"], own["packages"]
    taken = [name for name in wanted if name in known and not (daxa and name == DISTRIBUTION)]
    lines = [*([_source(daxa)] if daxa else []), *(f"{name}=={wanted[name]}" for name in taken)]
    return EnvironmentPlan(
        recorded["python"],
        tuple(lines),
        wheels=tuple(name for name in taken if wanted[name] != known[name]),
        left_out=tuple(name for name in wanted if name not in known),
    )


def _source(daxa: str) -> str:
    path = Path(daxa)
    return f"{DISTRIBUTION} @ {path.absolute().as_uri() if path.exists() else daxa}"


def make_environment(plan: EnvironmentPlan, place: Path, say: Callable[[str], None] = lambda line: None) -> Path:
    """Install an environment, unless it is there already; return its Python.

    Parameters
    ----------
    plan
        What to install.
    place
        Its directory, which is emptied first if it is incomplete.
    say
        Called with lines about what is done.

    Raises
    ------
    ConfigError
        Neither uv nor this Python can make an environment with that version of Python.
    ProgramError
        Packages cannot be installed.
    """
    python, note = place / "bin" / "python", place / _DONE
    if note.is_file() and note.read_text(encoding="utf-8") == plan.digest and python.exists():
        return python
    shutil.rmtree(place, ignore_errors=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    uv = shutil.which("uv")
    say(f"installing Python {plan.python} and {number_of(len(plan.lines), 'package')} with {'uv' if uv else 'pip'}")
    _run(_creation(plan, place, uv), place.parent)
    requirements = place / "requirements.txt"
    requirements.write_text("".join(f"{line}\n" for line in plan.lines), encoding="utf-8")
    _run(_installation(plan, python, requirements, uv), place)
    replace_file(note, plan.digest.encode())
    return python


def _creation(plan: EnvironmentPlan, place: Path, uv: str | None) -> Sequence[str]:
    if uv:
        return [uv, "venv", "--quiet", "--no-config", "--python", plan.python, str(place)]
    here = ".".join(map(str, sys.version_info[:2]))
    if plan.python.split(".")[:2] != here.split("."):
        raise ConfigError(
            "no-python",
            f"the release was made with Python {plan.python}, but this is Python {here}",
            remedy="install uv (`pip install uv`), which installs any version of Python, or run daxa with that version",
        )
    return [sys.executable, "-m", "venv", str(place)]


def _installation(plan: EnvironmentPlan, python: Path, requirements: Path, uv: str | None) -> Sequence[str]:
    # What is recorded is complete, so that nothing else is asked for.
    options = ["--quiet", "--no-deps", *(f"--only-binary={name}" for name in plan.wheels)]
    options += ["--requirement", str(requirements)]
    if uv:
        return [uv, "pip", "install", "--python", str(python), *options]
    return [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--no-input", *options]


def _run(argv: Sequence[str], cwd: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    ended = run_program(list(argv), cwd=cwd, environ=environ)
    if ended.code:
        raise ProgramError(
            "environment",
            f"the environment of the release cannot be made: {ended.output.strip()[-_LAST:]}",
            remedy="name a source of daxa itself with --daxa if daxa is what is missing; without --environment, "
            "the release is made with what is installed",
        )
