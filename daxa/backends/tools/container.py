"""Mission software in a container: which image is used, and how one of its programs is run.

Directories are mounted under their own paths, so that arguments and parameters mean the same inside and outside.
A call can write to its working directories, and read those that its arguments and the user's configuration name; it
has no network.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

from daxa.errors import ProgramError
from daxa.run.process import Limited, run_limited, run_program

__all__ = ["Container", "digest_file", "find_container", "run_installed"]

_ENGINES = {"docker": ("docker", "podman"), "apptainer": ("apptainer", "singularity")}


@dataclass(frozen=True)
class Container:
    """An image and what runs it.

    Parameters
    ----------
    engine
        The kind of engine.
    program
        Path of the engine.
    image
        The argument for the engine: the identity of a docker image, or the path of a file.
    digest
        Of the image, ``sha256:`` and hexadecimal digits; equal images are equal software.
    mounts
        Directories that every call can read.
    programs
        Name to path inside the container, of the programs found.
    """

    engine: Literal["docker", "apptainer"]
    program: str
    image: str
    digest: str
    mounts: tuple[str, ...] = ()
    programs: Mapping[str, str] = field(default_factory=dict)


def find_container(
    engine: str, image: str, mounts: Sequence[str], search: str, digest_of: Callable[[Path], str] | None = None
) -> Container:
    """The image that a configuration names, in its current state.

    Parameters
    ----------
    engine
        ``docker`` or ``apptainer``.
    image
        Name and tag, or the path of an image file.
    mounts
        Directories that every call can read.
    search
        ``PATH`` on which to look for the engine.
    digest_of
        Returns the digest of an image file, which may be cached.

    Raises
    ------
    ProgramError
        The engine or the image is missing.
    """
    names = _ENGINES[engine]
    program = next((path for name in names if (path := shutil.which(name, path=search))), None)
    if program is None:
        raise ProgramError(
            "absent", f"{names[0]}, which runs {image}, was not found", remedy=f"install {' or '.join(names)}"
        )
    if engine == "apptainer":
        return Container("apptainer", program, image, (digest_of or digest_file)(Path(image)), tuple(mounts))
    asked = run_program([program, "image", "inspect", image], cwd=Path("/"))
    try:
        found = json.loads(asked.stdout)[0]["Id"]
    except (ValueError, LookupError, TypeError):
        found = None
    if asked.code or not isinstance(found, str):
        why = (asked.output.strip().splitlines() or ["it is not here"])[-1][:300]
        raise ProgramError(
            "image", f"the image {image} cannot be used: {why}", remedy=f"get it with `{names[0]} pull {image}`"
        )
    # Run by identity, not by name, which may refer to another image at any time.
    return Container("docker", program, found, found, tuple(mounts))


def digest_file(path: Path) -> str:
    """The digest of an image file.

    Raises
    ------
    ProgramError
        It cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"
    except OSError as error:
        raise ProgramError(
            "image",
            f"the image {path} cannot be read: {error.strerror or error}",
            remedy="make it with `apptainer pull FILE docker://IMAGE`, and name this file",
        ) from None


def run_installed(
    container: Container | None,
    argv: Sequence[str],
    *,
    cwd: Path,
    environ: Mapping[str, str],
    stdout: Path,
    stderr: Path,
    seconds: float,
    most_bytes: int,
    writable: Iterable[Path] = (),
    named: Iterable[str] = (),
) -> Limited:
    """Run a program of mission software with limits, on this machine or in a container.

    Parameters
    ----------
    container
        The container; None to run on this machine.
    argv, cwd, environ, stdout, stderr, seconds, most_bytes
        As for `daxa.run.process.run_limited`.
    writable
        Directories beside `cwd` that a program in a container may change.
    named
        Further texts that may name files of this machine, which it can read.

    Raises
    ------
    ProgramError
        It cannot be started.
    """
    run = partial(run_limited, cwd=cwd, stdout=stdout, stderr=stderr, seconds=seconds, most_bytes=most_bytes)
    if container is None:
        return run(argv, environ=environ)
    own = [str(path) for path in dict.fromkeys((cwd, *writable))]
    found = (path for text in (*argv[1:], *named) for path in _paths_in(text))
    seen = [one for one in dict.fromkeys((*container.mounts, *found)) if not _is_below(one, own)]
    if container.engine == "apptainer":
        binds = [f"{one}:{one}" for one in own] + [f"{one}:{one}:ro" for one in seen]
        return run(_apptainer(container, argv, environ, binds, cwd), environ=_engine_environment(environ))
    name = f"daxa-{uuid.uuid4().hex}"
    mounts = [f"type=bind,source={one},target={one}" for one in own]
    mounts += [f"type=bind,source={one},target={one},readonly" for one in seen]
    own_words = ["--name", name, "--workdir", str(cwd), *(part for one in mounts for part in ("--mount", one))]
    try:
        return run(_docker(container, argv, environ, own_words), environ=os.environ)
    finally:
        # Its programs are children of a service, not of this process: they do not end with the command.
        run_program([container.program, "rm", "--force", name], cwd=Path("/"))


def _docker(
    container: Container, argv: Sequence[str], environ: Mapping[str, str], own_words: Sequence[str]
) -> list[str]:
    return [
        *(container.program, "run", "--rm", "--init", "--network", "none", "--user", f"{os.getuid()}:{os.getgid()}"),
        *own_words,
        *(part for variable, value in environ.items() for part in ("--env", f"{variable}={value}")),
        *("--entrypoint", argv[0], container.image, *argv[1:]),
    ]


def _apptainer(
    container: Container, argv: Sequence[str], environ: Mapping[str, str], binds: Sequence[str], cwd: Path
) -> list[str]:
    home = environ.get("HOME", str(cwd))
    return [
        *(container.program, "exec", "--cleanenv", "--containall", "--home", f"{home}:{home}", "--pwd", str(cwd)),
        *(part for one in binds for part in ("--bind", one)),
        *(container.image, *argv),
    ]


def _engine_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of apptainer, which passes variables inside unchanged; HOME has its own option."""
    inside = {f"APPTAINERENV_{name}": value for name, value in environ.items() if name != "HOME"}
    return {**os.environ, **inside, "APPTAINER_NO_EVAL": "1"}


def _paths_in(text: str) -> Iterator[str]:
    """Paths of this machine that an argument or the value of a variable names.

    A path that does not exist on this machine is one inside the container.
    """
    for one in re.split(r"[\s:=,]+", text):
        path = one.removeprefix("@").partition("[")[0]
        if path.startswith("/") and path.count("/") > 1 and _is_data(Path(path)):
            yield path


def _is_data(path: Path) -> bool:
    """Whether a path exists, and is not in a system directory, which a container has itself."""
    system = path.parts[1] in ("bin", "dev", "etc", "lib", "lib64", "opt", "proc", "sbin", "sys", "usr")
    try:
        return not system and path.exists()
    except OSError:
        return False


def _is_below(path: str, places: Iterable[str]) -> bool:
    return any(path == one or path.startswith(f"{one}/") for one in places)
