"""A real Slurm of one node, in a directory of its own: Debian's packages `slurm-wlm` and `munge`, as root."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "sinfo")
PORTS = (26817, 26818)
CONF = """ClusterName=daxa
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={place}/munge.socket
CredType=cred/munge
StateSaveLocation={place}/state
SlurmdSpoolDir={place}/spool
SlurmctldPidFile={place}/slurmctld.pid
SlurmdPidFile={place}/slurmd.pid
SlurmctldLogFile={place}/slurmctld.log
SlurmdLogFile={place}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
JobCompType=jobcomp/none
AccountingStorageType=accounting_storage/none
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory=4000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> list[str]:
    """What is not here of what it takes."""
    lacking = [name for name in PROGRAMS if shutil.which(name) is None]
    return lacking if os.getuid() == 0 else [*lacking, "the rights of root"]


@contextmanager
def running_slurm(place: Path) -> Iterator[dict[str, str]]:
    """The environment in which its commands find it."""
    for name in ("state", "spool"):
        (place / name).mkdir(parents=True)
    place.chmod(0o755)
    host = socket.gethostname().partition(".")[0]
    conf = place / "slurm.conf"
    conf.write_text(CONF.format(host=host, place=place, ports=PORTS, cores=os.cpu_count()))
    key = place / "munge.key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o600)
    own = [f"--{name}={place}/munge.{name.split('-')[0]}" for name in ("socket", "key-file", "pid-file", "log-file")]
    environ = {**os.environ, "SLURM_CONF": str(conf)}
    try:
        call(["munged", "--force", *own, f"--seed-file={place}/munge.seed"], environ)
        call(["slurmctld", "-f", str(conf)], environ)
        time.sleep(2)
        call(["slurmd", "-f", str(conf), "-N", host], environ)
        wait_for(lambda: "idle" in call(["sinfo", "-h", "-o", "%T"], environ))
        yield environ
    finally:
        for name in ("slurmd.pid", "slurmctld.pid", "munge.pid"):
            with suppress(OSError, ValueError):
                os.kill(int((place / name).read_text()), signal.SIGTERM)


def call(argv: list[str], environ: dict[str, str]) -> str:
    """What a command says."""
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout


def wait_for(condition, seconds: float = 60.0):
    """The first true value of a condition."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.3)
    raise AssertionError("waited in vain")


def jobs(environ: dict[str, str]) -> list[str]:
    """Numbers of the jobs that run or wait."""
    return call(["squeue", "-h", "-o", "%i"], environ).split()
