"""Whether a server answers, for people who wonder why nothing arrives."""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx

from daxa.addresses import Mirror
from daxa.errors import DataError, ServiceError
from daxa.fetch.connection import connect, open_answer, retryable_failure
from daxa.settings import Settings

__all__ = ["Probe", "probe_servers"]

_SECONDS = 20.0
_AT_ONCE = 8


@dataclass(frozen=True)
class Probe:
    """What a server said.

    Parameters
    ----------
    address
        What was requested.
    answers
        Whether it gave any answer other than a server error.
    said
        The status and how long it took, or why there was none.
    """

    address: str
    answers: bool
    said: str


def probe_servers(addresses: Iterable[str], settings: Settings) -> list[Probe]:
    """Ask every server once, several at a time, each for at most 20 s.

    Parameters
    ----------
    addresses
        What to request; the answers themselves are not read.
    settings
        Timeouts.
    """
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(lambda address: _probe(address, settings), addresses))


def _probe(address: str, settings: Settings) -> Probe:
    begin = time.monotonic()
    try:
        with open_answer(connect(settings, [Mirror(address)]), address, seconds=_SECONDS) as response:
            problem = retryable_failure(response)
            said = f"HTTP {response.status_code} in {time.monotonic() - begin:.1f} s"
            return Probe(address, problem is None, said)
    except (httpx.TransportError, DataError, ServiceError) as error:
        return Probe(address, False, " ".join(str(error).split())[:200] or type(error).__name__)
