"""``daxa demo``: the whole workflow on simulated observations, without the internet."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Event
from typing import Annotated

import typer

from daxa.cli.show import say, show_text
from daxa.errors import ArchiveError, ConfigError, ProgramError

__all__ = ["demo"]

EXAMPLES = ("daxa demo", "daxa demo /tmp/demo --keep-serving")

_TAG = "v1.0.0"
_COMMANDS = (
    (
        *("daxa", "init", "a907", "--mission", "xmm", "--mission", "chandra", "--mission", "nustar"),
        *("--target", "Abell 907", "--radius", "15arcmin"),
        *("--remote", "storage", "--title", "Abell 907, simulated"),
    ),
    ("cd", "a907"),
    ("dvc", "repro"),
    ("daxa", "status"),
    ("daxa", "release", "-m", "first data release"),
    ("daxa", "push"),
    ("cd", ".."),
    ("git", "clone", "--quiet", "--branch", _TAG, "a907", "clone"),
    ("cd", "clone"),
    ("daxa", "pull"),
    ("daxa", "verify", _TAG),
)


def demo(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty directory.")] = Path("demo"),
    keep_serving: Annotated[
        bool, typer.Option("--keep-serving", help="Keep the sample observatory running, to try things by hand.")
    ] = False,
) -> None:
    """Make an archive of three missions from simulated observations, release it, clone it and verify the clone.

    A sample observatory on this machine stands in for the real archives; every command is printed as you would
    type it.
    """
    from daxa.archive.layout import absolute_place
    from daxa.run.forkserver import share
    from daxa.simulator import Observatory, build_sky

    directory = absolute_place(directory)
    _prepare(directory)
    say("simulating a small sky around Abell 907 ...")
    sky = build_sky(directory / "observatory", seed=907)
    with Observatory(sky.root, sky.tables, sky.names) as observatory:
        environ = _environ(directory, observatory.environ)
        with share(environ, _modules()):
            _follow(directory, _COMMANDS, environ)
        _conclude(directory)
        if keep_serving:
            _serve_on(observatory.environ, directory)


def _modules() -> list[str]:
    """What the stages of the demo will import."""
    from daxa.backends.native import NATIVE
    from daxa.run.steps import OWN_STEPS

    return ["daxa.fetch.observation", *dict.fromkeys(name for step in OWN_STEPS for name in NATIVE.modules(step.name))]


def _prepare(directory: Path) -> None:
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise ArchiveError(
            "exists",
            f"{directory} exists and is not empty",
            remedy="name another directory, such as `daxa demo demo2`, or remove this one",
        )
    directory.mkdir(parents=True, exist_ok=True)


def _environ(directory: Path, services: Mapping[str, str]) -> dict[str, str]:
    """What the commands of the demo see: its own services and store, and a committer if Git knows none."""
    from daxa.archive.git import check_identity

    scripts = str(Path(sys.executable).parent)
    environ = {
        # Git's long advice on detached heads would hide what the demo is about; a user's own variables take precedence.
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "advice.detachedHead",
        "GIT_CONFIG_VALUE_0": "false",
        **os.environ,
        **services,
        "DAXA_STORE": str(directory / "store"),
        "DAXA_CACHE": str(directory / "cache"),
        "DVC_NO_ANALYTICS": "1",
        "PATH": os.pathsep.join([scripts, os.environ.get("PATH", os.defpath)]),
    }
    try:
        check_identity(directory)
    except ConfigError:
        for role in ("AUTHOR", "COMMITTER"):
            environ |= {f"GIT_{role}_NAME": "daxa demo", f"GIT_{role}_EMAIL": "demo@localhost"}
    return environ


def _follow(directory: Path, commands: Sequence[Sequence[str]], environ: Mapping[str, str]) -> None:
    """Print and run commands one after the other, as a shell in that directory would."""
    from daxa.run.process import run_program

    place = directory
    show_text(f"\n$ cd {shlex.quote(str(directory))}")
    for command in commands:
        show_text(f"$ {shlex.join(command)}")
        sys.stdout.flush()
        program, *arguments = command
        if program == "cd":
            place = (place / arguments[0]).resolve()
            continue
        argv = [program, *arguments] if program == "git" else [sys.executable, "-m", program, *arguments]
        ended = run_program(argv, cwd=place, environ=environ, show=True)
        show_text("")
        if ended.code:
            raise ProgramError(
                "demo",
                f"`{shlex.join(command)}` ended with {ended.code} in {place}",
                remedy=f"read its messages above; what was made so far is in {directory}",
            )


def _conclude(directory: Path) -> None:
    import daxa

    archive = daxa.open(directory / "a907")
    products = archive.products()
    pictures = products.loc[products["kind"] == "quicklook", "relative"]
    shown = "\n                 ".join(f"a907/{path}" for path in pictures)
    made = products.loc[products["kind"] != "fetched"]
    counts = f"{len(archive.config.missions)} missions, {products['obs_id'].nunique()} observations"
    show_text(
        f"""\
Made from simulated observations in {directory}:
  a907           the archive: release {_TAG}, {counts}, {len(made)} products
  storage        its remote, where `daxa push` put the data
  clone          the release as another person gets it, pulled and verified
Look at
  the release    git -C a907 show {_TAG}
  the overview   a907/report/index.html
  the pictures   {shown}
  the tables     a907/selection/*.parquet, a907/ledger/*.parquet (TOPCAT, astropy, pandas)
  the products   daxa -C a907 ls --kind image
The programs daxa and dvc are in {Path(sys.executable).parent}; if your shell does not find them:
  export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH"""
    )


def _serve_on(services: Mapping[str, str], directory: Path) -> None:
    lines = [f"export {name}={shlex.quote(value)}" for name, value in sorted(services.items())]
    show_text("\nThe sample observatory keeps running until you press Ctrl-C. In another terminal:\n")
    show_text("\n".join([*lines, f"export DAXA_STORE={shlex.quote(str(directory / 'store'))}"]))
    sys.stdout.flush()
    try:
        Event().wait()
    except KeyboardInterrupt:
        show_text("")
