"""What is fixed about a worker before it starts, and how a client that asks for one is recognised."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import struct
import sys
from collections.abc import Mapping, Sequence

from daxa.run.redirection import without_redirection

__all__ = [
    "CHANGING",
    "LONGEST",
    "NUMBER",
    "SHARED",
    "identity_of",
    "is_ours",
    "library_paths",
    "module_paths",
    "worker_environ",
]

_ENVIRONMENT = {
    # Tasks run side by side: threads inside them would compete, and sums would depend on their number.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    # Products must not depend on the order of sets, the time zone, a display or the user's language.
    "PYTHONHASHSEED": "0",
    "PYTHONUTF8": "1",
    "TZ": "UTC",
    "MPLBACKEND": "agg",
}

SHARED = "_DAXA_FORKS"
"""The variable that names the socket of a server that is shared."""

CHANGING = {SHARED, "DVC_NO_ANALYTICS", "DVC_ROOT", "DVC_STAGE", "OLDPWD", "PATH", "PWD", "SHLVL", "_"}
"""What may differ between ``daxa run`` and its stages, since no library reads it as it is imported."""
NUMBER = struct.Struct("i")
"""A process number or an exit code, as servers send them."""
_CREDENTIALS = struct.Struct("3i")
LONGEST = 4096
"""Most bytes of a message."""


def worker_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of a worker.

    Parameters
    ----------
    environ
        The environment of the stage.
    """
    return without_redirection({**environ, **_ENVIRONMENT})


def module_paths(paths: Sequence[object]) -> str:
    """Paths of modules as text, for the command line of another interpreter."""
    return json.dumps([path for path in paths if isinstance(path, str)])


def library_paths() -> list[str]:
    """Where modules are looked for, without the directory of the script that runs."""
    return sys.path if sys.flags.safe_path else sys.path[1:]


def identity_of(environ: Mapping[str, str]) -> bytes:
    """Digest of everything that is fixed about a worker before it starts."""
    import daxa

    kept = {name: value for name, value in worker_environ(environ).items() if name not in CHANGING}
    what = [sys.executable, sys.version, daxa.__file__, module_paths(library_paths()), sorted(kept.items())]
    return hashlib.sha256(json.dumps(what).encode("utf-8", "surrogateescape")).hexdigest().encode()


def is_ours(peer: socket.socket) -> bool:
    """Whether the process at the other end of a socket belongs to this user."""
    answer = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    credentials: tuple[int, int, int] = _CREDENTIALS.unpack(answer)
    return credentials[1] == os.getuid()
