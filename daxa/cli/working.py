"""What verbs that run an archive share: how they run it, and how they end."""

from __future__ import annotations

import sys
from collections.abc import Iterator, MutableMapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stdout
from dataclasses import asdict
from typing import TYPE_CHECKING

from daxa.cli.show import counted, note, progress, say, show_json, show_text
from daxa.cli.status import show_outcomes

if TYPE_CHECKING:
    import daxa

__all__ = ["end_in_release", "working"]


@contextmanager
def working(
    archive: daxa.Archive,
    environ: MutableMapping[str, str],
    jobs: int | None = None,
    executor: str | None = None,
    *,
    as_json: bool = False,
) -> Iterator[None]:
    """Let all stages share one process that forks workers, and show the status if the pipeline stops.

    What was done before counts, and the failures may explain why it stopped.  With `as_json`, what DVC says goes to
    standard error, since only records belong to standard output.
    """
    from daxa.errors import ConfigError, CriteriaError, DaxaError
    from daxa.run.forkserver import share
    from daxa.stages.run import limited

    try:
        aside = redirect_stdout(sys.stderr) if as_json else nullcontext()
        with aside, limited(jobs, executor), _cluster(archive, environ), share(environ):
            yield
    except DaxaError as error:
        if error.name != "busy" and not isinstance(error, ConfigError | CriteriaError):
            show_outcomes(archive.status(), as_json=as_json)
        raise


def _cluster(archive: daxa.Archive, environ: MutableMapping[str, str]) -> AbstractContextManager[None]:
    """One cluster for all stages, if tasks are to run on one."""
    from daxa.settings import load_settings

    if load_settings(environ=environ).executor == "local":
        return nullcontext()
    from daxa.run.cluster_settings import read_cluster
    from daxa.run.scheduler import share_cluster

    place = archive.layout.private / "cluster"
    place.mkdir(parents=True, exist_ok=True)
    return share_cluster(read_cluster(environ=environ), place, environ)


def end_in_release(archive: daxa.Archive, message: str = "", *, recorded: bool = False, as_json: bool = False) -> None:
    """Commit and tag what was done, and say so; nothing where nothing has changed."""
    from daxa.stages.releasing import release_change

    with progress("read", "objects") as observe:
        made = release_change(archive.layout, archive.config, message, recorded=recorded, observe=counted(observe))
    if made is None:
        note("nothing has changed since the last release")
        return
    if as_json:
        show_json([asdict(made)])
        return
    show_text(f"{made.tag}\n\n{made.message.rstrip()}")
    say("\nnext: `daxa push` shares the data")
