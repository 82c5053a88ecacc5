"""``daxa recreate``: make a release again, and say how it came out."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daxa.cli.options import Executor, Jobs
from daxa.cli.show import note, progress, say, show_json, show_text
from daxa.errors import CriteriaError, VerifyError
from daxa.records import Outcome

if TYPE_CHECKING:
    from daxa.stages.recreation import Recreation, RecreationRequest

__all__ = ["observer", "recreate", "show_recreation"]

EXAMPLES = (
    "daxa recreate a907-v1.0.0.bundle a907",
    "daxa recreate https://example.org/a907-v1.0.0.bundle a907 --expect 3f2c9d1e55aa",
    "daxa recreate a907-v1.0.0.bundle sample --sample 3 --seed 7",
    "daxa recreate a907-v1.0.0.bundle a907 --environment",
)


def recreate(
    source: Annotated[str, typer.Argument(metavar="FILE|URL", help="What `daxa export` wrote, or its address.")],
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A new directory for the archive.")],
    *,
    sample: Annotated[
        int, typer.Option("--sample", metavar="N", min=0, help="Make N random observations only; others stay absent.")
    ] = 0,
    seed: Annotated[
        int | None, typer.Option("--seed", metavar="NUMBER", help="With --sample: which observations are drawn.")
    ] = None,
    expect: Annotated[
        str,
        typer.Option(
            "--expect", metavar="DIGEST", help="Refuse any other commit or tag than this (12 digits or more)."
        ),
    ] = "",
    certificate: Annotated[
        Path | None,
        typer.Option(
            "--certificate", metavar="PATH", help="Write PATH.json, .txt and .html; by default DIR.certificate.*"
        ),
    ] = None,
    by: Annotated[
        str, typer.Option("--by", metavar="NAME", help="Who makes the certificate; by default as in Git.")
    ] = "",
    trust_services: Annotated[
        bool, typer.Option("--trust-services", help="Accept the archive services that the release names.")
    ] = False,
    environment: Annotated[
        bool,
        typer.Option("--environment", help="Install the packages that the release records, and work with those."),
    ] = False,
    daxa: Annotated[
        str,
        typer.Option("--daxa", metavar="SOURCE", help="With --environment: install daxa from this wheel or address."),
    ] = "",
    jobs: Jobs = None,
    executor: Executor = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the certificate as one JSON object.")] = False,
) -> None:
    """Make the archive of an exported release again: fetch the same observations and process them in the same way.

    The file is checked before anything in it is used. Every fetched file and every product is compared with the
    digests of the release, and the certificate says of each: identical bytes, identical science, different,
    redelivered (the archive of the mission has another version now) or no longer available. What is redelivered is
    not used. After an interruption, the same command continues where it stopped. The archive can be used like any
    other afterwards.

    With --environment, Python and the packages that daxa needs are installed in the versions that the release records
    (by uv if it is there, else by pip), in .git/daxa/environment of the new archive.

    Exits with code 7 if anything is not identical.
    """
    from daxa.publish.remaking.workenv import daxa_line
    from daxa.stages.recreation import RecreationRequest, begin_recreation, recreate_archive, work_environment
    from daxa.stages.run import limited

    request = RecreationRequest(sample, seed, expect, by, trust_services)
    if daxa and not environment:
        raise CriteriaError("daxa-source", "--daxa is for --environment", remedy="give both, or leave out --daxa")
    with limited(jobs, executor):
        if environment:
            _check_local()
            if daxa:
                daxa_line(daxa)  # Judged before anything is made.
            layout, tag, *_ = begin_recreation(source, directory, request)
            if python := work_environment(layout, tag, daxa, note):
                options = _options(request, certificate, as_json=as_json)
                raise typer.Exit(_run_there(python, [source, str(directory), *options]))
        made = recreate_archive(source, directory, request, certificate=certificate, observe=observer, say=note)
    show_recreation(made, as_json=as_json)


def _check_local() -> None:
    """Refuse a cluster: neither is Dask recorded, nor does another machine see what is installed here."""
    from daxa.settings import load_settings

    if load_settings().executor != "local":
        raise CriteriaError(
            "executor",
            "the environment of a release is made on this machine, and its tasks run here",
            remedy="add `--executor local`, or leave out --environment",
        )


def _options(request: RecreationRequest, certificate: Path | None, *, as_json: bool) -> list[str]:
    """The same request for the daxa of another environment; the archive records what was drawn and trusted."""
    given = {"--expect": request.expect, "--by": request.by, "--certificate": str(certificate or "")}
    options = [f"{name}={value}" for name, value in given.items() if value]
    return [*options, *(["--json"] if as_json else [])]


def _run_there(python: Path, arguments: list[str]) -> int:
    """Recreate with another daxa, which writes to our terminal; give its exit code."""
    from daxa.run.process import run_program

    environ = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    environ["PATH"] = os.pathsep.join([str(python.parent), environ.get("PATH", os.defpath)])
    # -P: neither a checkout of daxa nor other files of the user's directory take the place of what was installed.
    argv = [str(python), "-P", "-m", "daxa", "recreate", *arguments]
    return run_program(argv, cwd=Path.cwd(), environ=environ, show=True).code


def observer(mission: str, step: str) -> Callable[[Outcome, int, int], None]:
    """An observer of one stage after the other: a line at the end of each."""

    def observe(outcome: Outcome, ended: int, total: int) -> None:
        if ended == total:
            with progress(mission, step) as show:
                show(outcome, ended, total)

    return observe


def show_recreation(made: Recreation, *, as_json: bool) -> None:
    """Show a certificate; an error where something is not identical.

    Raises
    ------
    VerifyError
        Something is not.
    """
    from daxa.publish.remaking.certificate_page import certificate_text

    if as_json:
        show_json([made.statement])
    else:
        show_text(certificate_text(made.statement).rstrip("\n"))
        for path in made.files:
            say(f"written: {path}")
    if not made.same:
        raise VerifyError(
            "not-identical",
            f"{made.tag} did not come out identical: {made.verdict}",
            remedy="the certificate names the files and the causes; `daxa compare` compares two of them",
        )
    if made.files and not as_json:
        say(f"next: `daxa certificate add {made.files[0]}` in an archive that holds {made.tag}")
