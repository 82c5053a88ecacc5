"""Install the environment that a release records, to make the release again in it.

The file that names packages is somebody else's.  Therefore only what this daxa needs, or what that
needs in turn in its recorded version, is installed, in the recorded versions, and as wheels: no code of a package
runs while it is installed.  A package that is installed here in the same version may be built, since some are only
available as source.  The user configures where they come from, as for pip and uv in general; no file of
the archive can, since both are started outside of it.  Daxa itself is installed from the files of this one where the
release was made with its version, else from the index of packages or from what the user names.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daxa.errors import ConfigError, CriteriaError, ProgramError
from daxa.files import replace_file
from daxa.naming import number_of, some
from daxa.publish.releases.release_environment import DISTRIBUTION, needed_packages
from daxa.run.process import FinishedProgram, run_program

__all__ = ["EnvironmentPlan", "daxa_line", "make_environment", "plan_environment"]

_DONE = "daxa-environment.json"
_LAST = 2000

_PASSWORD = re.compile(r"//[^/@]*:[^/]*@")
_RELEASE = re.compile(r"\d+\.\d+\.\d+[A-Za-z0-9.+]*", re.ASCII)
_PLACES = ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT")
"""Variables that would have pip install elsewhere than in the new environment."""


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
        Lines of recorded packages that this daxa does not need; they are installed only where a package that
        is installed needs them, and as wheels.
    """

    python: str
    lines: tuple[str, ...]
    wheels: tuple[str, ...]
    left_out: tuple[str, ...]

    @property
    def digest(self) -> str:
        """Digest that distinguishes plans."""
        return hashlib.sha256(json.dumps([self.python, self.lines, self.left_out]).encode()).hexdigest()


def plan_environment(recorded: Mapping[str, Any], own: Mapping[str, Any], daxa: str = "") -> EnvironmentPlan:
    """Which packages of a recorded environment to install.

    Parameters
    ----------
    recorded
        As `daxa.publish.releases.release_environment.environment_at` gives it: every name and version has been checked.
    own
        The environment on this machine.
    daxa
        The source of daxa itself, instead of its recorded version in the index of packages: a wheel, a directory,
        an address.

    Examples
    --------
    >>> own = {"packages": {"daxa-archive": "0.2", "numpy": "2.2.0"}}
    >>> recorded = {"python": "3.12.4", "packages": {"daxa-archive": "0.1", "numpy": "2.1.0", "evil": "1.0"}}
    >>> plan_environment(recorded, own)
    EnvironmentPlan(python='3.12.4', lines=('daxa-archive==0.1', 'numpy==2.1.0'), wheels=('daxa-archive', 'numpy'), \
left_out=('evil==1.0',))
    """
    wanted, known = recorded["packages"], own["packages"]
    taken = [name for name in wanted if name in known and not (daxa and name == DISTRIBUTION)]
    lines = [*([daxa_line(daxa)] if daxa else []), *(f"{name}=={wanted[name]}" for name in taken)]
    return EnvironmentPlan(
        recorded["python"],
        tuple(lines),
        wheels=tuple(name for name in taken if wanted[name] != known[name]),
        left_out=tuple(f"{name}=={version}" for name, version in wanted.items() if name not in known),
    )


def daxa_line(daxa: str) -> str:
    """The line of a requirements file for daxa from a file, directory or address.

    A file has its digest in it, so that another file is another plan.

    Raises
    ------
    CriteriaError
        It is none of these, or contains a password.
    """
    # pathlib raises where there is no such home directory.
    path = Path(os.path.expanduser(daxa)).absolute()  # noqa: PTH111
    if "://" not in daxa and path.exists():
        digest = f"#sha256={hashlib.sha256(path.read_bytes()).hexdigest()}" if path.is_file() else ""
        return f"{DISTRIBUTION} @ {path.as_uri()}{digest}"
    if ":" not in daxa or not daxa.isprintable() or " " in daxa:
        raise CriteriaError(
            "daxa-source",
            f"there is no file or directory {daxa}",
            remedy="give a wheel, a directory with the source, or an address such as git+https://HOST/daxa.git@TAG",
        )
    if _PASSWORD.search(daxa):
        raise CriteriaError(
            "daxa-source",
            f"{_PASSWORD.sub('//...@', daxa)} contains a password, which would be written into a file",
            remedy="keep it in ~/.netrc, which pip and uv read, and give the address without it",
        )
    return f"{DISTRIBUTION} @ {daxa}"


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
        Neither uv nor this Python can make an environment with that version of Python, or it is not a version.
    ProgramError
        Packages cannot be installed.
    """
    _check_python_version(plan.python)
    python, note = place / "bin" / "python", place / _DONE
    if note.is_file() and note.read_text(encoding="utf-8") == plan.digest and python.exists():
        return python
    shutil.rmtree(place, ignore_errors=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    uv = shutil.which("uv")
    say(f"installing Python {plan.python} and {number_of(len(plan.lines), 'package')} with {'uv' if uv else 'pip'}")
    _create(plan, place, uv)
    _install(plan.lines, plan.wheels, place, uv)
    left = _install_what_these_need(plan.left_out, place, uv)
    if left:
        say(f"not installed, since nothing needs them: {some([_name(line) for line in left])}")
    _check(python)
    replace_file(note, plan.digest.encode())
    return python


def _install_what_these_need(lines: Sequence[str], place: Path, uv: str | None) -> list[str]:
    """Install those that a package of the environment needs, until none is missing; the lines of the others."""
    left = list(lines)
    while True:
        needed = [name for found in _libraries(place) for name in needed_packages(found)]
        following = [line for line in left if _name(line) in needed]
        if not following:
            return left
        _install(following, [_name(line) for line in following], place, uv)
        left = [line for line in left if line not in following]


def _libraries(place: Path) -> list[Path]:
    return sorted(place.glob("lib/python*/site-packages"))


def _name(line: str) -> str:
    return line.partition("==")[0]


def _check_python_version(version: str) -> None:
    """Refuse what uv would take for the name of a directory or program, and run what is there."""
    if not _RELEASE.fullmatch(version):
        raise ConfigError(
            "no-python",
            f"the release was made with Python {version!r}, which is not a version of it",
            remedy="leave out --environment to use what is installed",
        )


def _create(plan: EnvironmentPlan, place: Path, uv: str | None) -> None:
    here = ".".join(map(str, sys.version_info[:2]))
    if uv:
        # The Python that runs need not be where uv looks.
        python = sys.executable if plan.python == platform.python_version() else plan.python
        ended = _ended([uv, "venv", "--quiet", "--no-config", "--python", python, str(place)])
        if ended.code:
            raise ConfigError(
                "no-python",
                f"the release was made with Python {plan.python}, which is not on this machine and uv cannot get: "
                f"{ended.output.strip()[-_LAST:]}",
                remedy=f"put Python {plan.python} on your PATH (from pyenv, conda or your system), then run the same "
                "command again",
            )
    elif plan.python.split(".")[:2] != here.split("."):
        raise ConfigError(
            "no-python",
            f"the release was made with Python {plan.python}, but this is Python {here}",
            remedy="install uv (`pip install uv`), which installs any version of Python, or run daxa with that version",
        )
    else:
        _run([sys.executable, "-P", "-m", "venv", str(place)])


def _install(lines: Sequence[str], wheels: Sequence[str], place: Path, uv: str | None) -> None:
    python, requirements = place / "bin" / "python", place / "requirements.txt"
    requirements.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    # What is recorded is complete, so that nothing else is asked for.
    options = ["--quiet", "--no-deps", *(f"--only-binary={name}" for name in wheels)]
    options += ["--requirement", str(requirements)]
    if uv:
        _run([uv, "pip", "install", "--python", str(python), *options])
        return
    pip = [str(python), "-P", "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--no-compile"]
    _run([*pip, *options])


def _check(python: Path) -> None:
    """Check that the daxa which was installed starts."""
    ended = _ended([str(python), "-P", "-m", "daxa", "--version"])
    if ended.code:
        raise ProgramError(
            "environment",
            f"the daxa of the release does not start in its environment: {ended.output.strip()[-_LAST:]}",
            remedy="name another source of daxa with --daxa; without --environment, the release is made with what is "
            "installed",
        )


def _run(argv: Sequence[str]) -> None:
    ended = _ended(argv)
    if not ended.code:
        return
    if DISTRIBUTION in ended.output:
        raise ProgramError(
            "no-daxa",
            f"the daxa of the release cannot be installed: {ended.output.strip()[-_LAST:]}",
            remedy="name a source of that version with --daxa: a wheel, a directory with the source, or an address "
            "such as git+https://HOST/daxa.git@TAG; without --environment, the release is made with what is installed",
        )
    raise ProgramError(
        "environment",
        f"the environment of the release cannot be made: {ended.output.strip()[-_LAST:]}",
        remedy="the same command tries again; without --environment, the release is made with what is installed",
    )


def _ended(argv: Sequence[str]) -> FinishedProgram:
    """Run a program at the root of the file system: uv obeys the uv.toml of every directory above it."""
    ignored = ("PYTHONPATH", "PYTHONHOME", *_PLACES)
    environ = {name: value for name, value in os.environ.items() if name not in ignored}
    # Where users install for themselves by default, pip would refuse to install in an environment.
    environ["PIP_USER"] = "0"
    return run_program(list(argv), cwd=Path(os.sep), environ=environ)
