"""Start a Dask scheduler with its workers, or connect to a running one; with `daxa.run.cluster` the only user of Dask.

A stage starts its own scheduler, unless ``daxa run`` keeps one for all its stages, so that workers that have waited in
a queue serve all of them.  An environment variable then names a private directory of this user with the address and
the certificates, without which nobody can talk to the scheduler.
"""

from __future__ import annotations

import json
import logging
import math
import os
import shutil
import socket
import stat
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daxa.errors import ConfigError, ProgramError
from daxa.files import read_note, replace_file
from daxa.run.cluster_settings import ClusterSettings
from daxa.run.executor import ATTEMPTS

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["Connection", "connected", "share_cluster"]

_CONNECT = 30.0
_PROGRAMS = {"slurm": "sbatch", "pbs": "qsub", "htcondor": "condor_submit"}
_SHARED = "_DAXA_CLUSTER"
_NOTE = "scheduler.json"
_REFUSED = "refused"
_CERTIFICATE = {"ca": "ca.pem", "cert": "cert.pem", "key": "key.pem"}

_ATTEND = 1.0
"""Seconds between two checks of the jobs of a shared scheduler."""

_IDLE = 300
"""Consecutive checks without a task after which its jobs are released."""


@dataclass(frozen=True)
class Connection:
    """A client of a scheduler.

    Parameters
    ----------
    client
        Dask's client.
    keep_up
        To be called regularly: starts jobs, replaces those that have ended, and raises an error if jobs are refused.
    declares
        Whether its workers report their memory and cores to the scheduler.
    """

    client: Client
    keep_up: Callable[[], None]
    declares: bool

    def threads(self) -> int:
        """How many tasks the current workers can run at once."""
        return sum(self.client.nthreads().values())


@contextmanager
def connected(cluster: ClusterSettings, shared: Path, threads: int) -> Iterator[Connection]:
    """A connection to the cluster, which is started for its duration if it does not run yet.

    Parameters
    ----------
    cluster
        The cluster.
    shared
        A directory that all nodes see, for its certificates and the output of its jobs.
    threads
        How many tasks could run at once.

    Raises
    ------
    ConfigError
        The packages that clusters need are not installed.
    ProgramError
        It cannot be reached or started.
    """
    _check(cluster)
    from distributed import Client

    jobs = min(cluster.jobs, math.ceil(max(1, threads) / cluster.cores))
    with ExitStack() as stack:
        stack.enter_context(_quiet())
        try:
            options: dict[str, Any] = {}
            keep_up: Callable[[], None] = _nothing
            if cluster.address:
                place: Any = cluster.address
            elif kept := _kept():
                place, options = json.loads((kept / _NOTE).read_bytes())["address"], {"security": _security(kept)}
                keep_up = partial(_raise_refusal, cluster, kept)
            else:
                place, _ = stack.enter_context(_started(cluster, shared))
                keep_up = partial(_scale, place, cluster, jobs)
            client = stack.enter_context(Client(place, timeout=_CONNECT, set_as_default=False, name="daxa", **options))
        except (OSError, TimeoutError, RuntimeError, ValueError) as error:
            what = f"the scheduler {cluster.address} cannot be reached" if cluster.address else "no cluster starts"
            raise ProgramError(
                "cluster-start",
                f"{what}: {str(error)[:300]}",
                remedy="see `daxa doctor cluster`, and [cluster] in your configuration",
            ) from error
        yield Connection(client, keep_up, bool(cluster.kind))


def _nothing() -> None:
    """Do nothing: this process is not responsible for the workers."""


@contextmanager
def share_cluster(cluster: ClusterSettings | None, shared: Path, environ: MutableMapping[str, str]) -> Iterator[None]:
    """Keep a scheduler and its jobs for all stages that run in this environment meanwhile.

    Parameters
    ----------
    cluster
        The cluster; nothing is done for None, or for the address of a scheduler that runs already.
    shared
        A directory that all nodes see.
    environ
        The environment in which the stages run; it names the scheduler meanwhile.

    Raises
    ------
    ConfigError, ProgramError
        As for `connected`.
    """
    if cluster is None or cluster.address:
        yield
        return
    _check(cluster)
    with ExitStack() as stack:
        stack.enter_context(_quiet())
        _clear_abandoned(shared)
        made, place = stack.enter_context(_started(cluster, shared))
        note = {"address": made.scheduler_address, "host": socket.gethostname(), "pid": os.getpid()}
        replace_file(place / _NOTE, json.dumps(note).encode())
        ended = threading.Event()
        attendant = threading.Thread(target=_attend, args=(made, cluster, place, ended), daemon=True)
        attendant.start()
        stack.callback(attendant.join, 5)
        stack.callback(ended.set)
        before = environ.get(_SHARED)
        environ[_SHARED] = str(place)
        try:
            yield
        finally:
            environ.pop(_SHARED) if before is None else environ.update({_SHARED: before})


def _attend(made: Any, cluster: ClusterSettings, place: Path, ended: threading.Event) -> None:
    """Keep jobs running as long as there are tasks; those that end early are replaced."""
    jobs = idle = 0
    while not ended.wait(_ATTEND):
        tasks = len(made.scheduler.tasks)
        idle = 0 if tasks else idle + 1
        jobs = 0 if idle > _IDLE else max(jobs, min(cluster.jobs, math.ceil(tasks / cluster.cores)))
        try:
            _scale(made, cluster, jobs)
        except ProgramError as error:
            replace_file(place / _REFUSED, error.message.encode())
            return
        except Exception:  # The stages notice that the cluster is lost.
            return


def _clear_abandoned(shared: Path) -> None:
    """Remove the directories of ``daxa run``s that were killed."""
    import psutil

    for note in shared.glob(f"cluster-*/{_NOTE}"):
        owner = read_note(note)
        if owner.get("host") == socket.gethostname() and not psutil.pid_exists(int(owner.get("pid", 0))):
            shutil.rmtree(note.parent, ignore_errors=True)


def _kept() -> Path | None:
    """The directory of the scheduler that ``daxa run`` keeps, if there is one and it is this user's alone."""
    place = Path(os.environ.get(_SHARED) or "/nowhere")
    try:
        found = place.lstat()
    except OSError:
        return None
    own = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077
    return place if own and (place / _NOTE).is_file() else None


def _raise_refusal(cluster: ClusterSettings, place: Path) -> None:
    path = place / _REFUSED
    if path.is_file():
        raise _refusal(path.read_text(encoding="utf-8", errors="replace"))


def _refusal(text: str) -> ProgramError:
    return ProgramError("cluster-refused", text, remedy="correct [cluster] in your configuration")


def _check(cluster: ClusterSettings) -> None:
    """Check early what would otherwise fail late and with obscure messages."""
    from importlib.util import find_spec

    needed = ["dask", "distributed", "cryptography", *(["dask_jobqueue"] if cluster.kind in _PROGRAMS else [])]
    if absent := [name for name in needed if find_spec(name) is None]:
        raise ConfigError(
            "cluster-extra",
            f"{', '.join(absent)} is not installed, which clusters need",
            remedy="install it: `pip install 'daxa-archive[cluster]'`",
        )
    program = _PROGRAMS.get(cluster.kind)
    if program and shutil.which(program) is None:
        raise ProgramError(
            "absent",
            f"{program} was not found, which submits jobs of {cluster.kind}",
            remedy="run daxa where jobs can be submitted, such as on a login node",
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Apply daxa's settings of Dask, and silence its messages about workers: daxa reports those that matter."""
    import dask

    loggers = [logging.getLogger(name) for name in ("tornado.application", "distributed")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    own = {"distributed.scheduler.allowed-failures": ATTEMPTS - 1, "distributed.deploy.lost-worker-timeout": "2s"}
    try:
        with dask.config.set(own):
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


@contextmanager
def _started(cluster: ClusterSettings, shared: Path) -> Iterator[tuple[Any, Path]]:
    """A scheduler in this process, and the directory with the certificates that are needed to talk to it."""
    place = shared / f"cluster-{uuid.uuid4().hex[:12]}"
    place.mkdir(mode=0o700)
    options = {
        "security": _certificates(place),
        "scheduler_options": {"dashboard_address": cluster.dashboard},
        **({"interface": cluster.interface} if cluster.interface else {}),
    }
    made = _local(cluster, place, options) if cluster.kind == "local" else _jobs(cluster, place, options)
    try:
        yield made, place
    finally:
        with suppress(AssertionError):  # Raised about jobs that could not be submitted.
            made.close()
        shutil.rmtree(place, ignore_errors=True)


def _certificates(place: Path) -> Any:
    """A new certificate that scheduler, workers and client show each other, in files that only this user can read."""
    from distributed.security import Security

    made = Security.temporary()
    texts = {"ca": made.tls_ca_file, "cert": made.tls_worker_cert, "key": made.tls_worker_key}
    for name, file in _CERTIFICATE.items():
        with open(place / file, "x", encoding="ascii", opener=lambda path, flags: os.open(path, flags, 0o600)) as one:
            one.write(texts[name])
    return _security(place)


def _security(place: Path) -> Any:
    from distributed.security import Security

    paths = {name: str(place / file) for name, file in _CERTIFICATE.items()}
    files = {"tls_ca_file": paths["ca"]}
    for role in ("client", "scheduler", "worker"):
        files |= {f"tls_{role}_cert": paths["cert"], f"tls_{role}_key": paths["key"]}
    return Security(require_encryption=True, **files)


def _local(cluster: ClusterSettings, place: Path, options: Mapping[str, Any]) -> Any:
    from distributed import LocalCluster

    return LocalCluster(
        n_workers=0,
        threads_per_worker=cluster.cores,
        memory_limit=cluster.memory_bytes,
        processes=True,
        resources={"CORES": cluster.cores, "MEMORY": cluster.memory_bytes},
        local_directory=cluster.scratch or str(place),
        dashboard_address=cluster.dashboard,
        security=options["security"],
        protocol="tls://",
        silence_logs=logging.CRITICAL,
    )


def _jobs(cluster: ClusterSettings, place: Path, options: Mapping[str, Any]) -> Any:
    import dask_jobqueue

    kind = {"slurm": "SLURMCluster", "pbs": "PBSCluster", "htcondor": "HTCondorCluster"}[cluster.kind]
    own: dict[str, Any] = {"queue": cluster.queue or None, "account": cluster.account or None}
    own |= {"walltime": cluster.walltime} if cluster.walltime else {}
    if cluster.kind == "htcondor":
        own = {"disk": "4 GB"}
    declared = f"CORES={cluster.cores},MEMORY={cluster.memory_bytes}"
    made = getattr(dask_jobqueue, kind)
    return type(kind, (made,), {"job_cls": _watched(made.job_cls)})(
        cores=cluster.cores,
        processes=1,
        memory=cluster.memory,
        job_name="daxa",
        log_directory=str(place),
        local_directory=cluster.scratch or str(place),
        shared_temp_directory=str(place),
        job_extra_directives=list(cluster.directives),
        worker_extra_args=["--resources", declared],
        **own,
        **options,
    )


def _watched(job: Any) -> Any:
    """A job class that records errors of submission for `_scale`; the library only logs them."""

    async def submit(self: Any, script: str) -> Any:
        try:
            return await job._submit_job(self, script)  # noqa: SLF001 - the hook that the library's pages name
        except Exception as error:
            _refused.append(str(error))
            raise

    return type(job.__name__, (job,), {"_submit_job": submit})


_refused: deque[str] = deque(maxlen=8)
"""Messages of batch systems about jobs that they refused."""


def _scale(made: Any, cluster: ClusterSettings, jobs: int) -> None:
    """Start jobs, and replace those that have ended."""
    if _refused:
        message = " ".join(_refused.pop().partition("stderr:")[2].split())
        _refused.clear()
        raise _refusal(f"{cluster.kind} does not take jobs: {message[:300]}")
    made.scale(jobs)
