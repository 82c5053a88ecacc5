"""Download one file so that nothing short of the whole file can look complete.

The body goes into a `Part`, beside a note of what it is a part of.  A later attempt,
also of another process, continues it with ``Range`` and ``If-Range`` (RFC 9110, sections
13.1.5 and 14): 206 appends, 200 begins again, 416 means that nothing is missing.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from errno import EDQUOT, ENOSPC
from pathlib import Path

import httpx

from daxa.errors import DataError, DaxaError
from daxa.fetch.connection import Connection, RetryableFailure, open_answer, receive, refusal, retry, retryable_failure
from daxa.fetch.content_check import is_packed
from daxa.fetch.file_sizes import LARGEST, check_space, insufficient_space, spare
from daxa.fetch.parts import Part, Transfer, disk_errors

__all__ = ["download", "is_current"]

_SLOWEST = 1024
_LOOK = 4 << 20
_RESERVED = 128 << 20
_CONTENT_RANGE = re.compile(r"bytes (?:(\d{1,18})-(\d{1,18})|\*)/(\d{1,18}|\*)", re.ASCII)


def download(
    connection: Connection,
    url: str,
    part: Path,
    *,
    known: Transfer | None = None,
    most: int = LARGEST["extra"],
    progress: Callable[[int, int], None] | None = None,
) -> Transfer:
    """Download a file to `part`, continuing what is there.

    Parameters
    ----------
    connection
        To the archive.
    url
        The file.
    part
        Where the bytes go; whole when this returns, unless the answer says `unchanged`.
    known
        A copy that we have: it is not downloaded again while the server says that it is current.
    most
        Bytes that it may have at most.
    progress
        Called with the bytes that are there and the size of the file (0 when it is not known).

    Raises
    ------
    DataError
        ``data.absent``, ``data.proprietary``, ``data.refused``, ``data.not-served``,
        ``data.redirected``, ``data.recoded``, ``data.no-length``, ``data.oversized`` or ``data.no-room``.
    ServiceError
        The service cannot be reached, or ``service.stopped``; what has arrived stays.
    StorageError
        The disk is full or cannot be written.
    """
    with disk_errors(part):
        part.parent.mkdir(parents=True, exist_ok=True)
        begun = Part(part, url, connection.settings.store)

    def attempt() -> Transfer | RetryableFailure:
        headers = _continuing(of, begun.have) if (of := begun.lasting) else _conditional(known)
        with open_answer(connection, url, headers) as response:
            answer = _judge(response, begun, known)
            if isinstance(answer, _Body):
                _check_size(answer, begun, most)
                return _write(response, answer, begun, _Watch(connection, most, progress))
            return answer

    return retry(attempt, url, connection, progress=lambda: begun.have)


def is_current(connection: Connection, url: str, known: Transfer) -> bool:
    """Whether a server still gives the version of a file that is known, by its validators; nothing is downloaded.

    Parameters
    ----------
    connection
        To the archive.
    url
        The file.
    known
        What was said of the version that we have.

    Raises
    ------
    DataError
        ``data.absent`` and others: the file is not served.
    ServiceError
        The service cannot be reached.
    """

    def attempt() -> bool | RetryableFailure:
        with open_answer(connection, url, _conditional(known)) as response:
            if problem := retryable_failure(response):
                return problem
            if response.status_code == 304:
                return True
            if response.status_code != 200:
                raise refusal(url, response.status_code)
            return _same_version(_summary(response, url), known)

    return retry(attempt, url, connection)


@dataclass(frozen=True)
class _Body:
    """A body to be written from `offset` on."""

    of: Transfer
    offset: int


@dataclass(frozen=True)
class _Watch:
    """The limits on a body while it arrives."""

    connection: Connection
    most: int
    progress: Callable[[int, int], None] | None


def _judge(response: httpx.Response, begun: Part, known: Transfer | None) -> _Body | Transfer | RetryableFailure:
    """Decide what an answer means for what we have."""
    if problem := retryable_failure(response):
        return problem
    status, reported = response.status_code, _summary(response, begun.url)
    of = begun.lasting
    fresh = None if of else known
    if fresh and (status == 304 or (status == 200 and _same_version(reported, fresh))):
        return replace(fresh, unchanged=True)
    if status == 200:
        return _Body(reported, 0)
    if of and status in (206, 416):
        return _continued(response, reported, of, begun)
    raise refusal(begun.url, status)


def _continued(
    response: httpx.Response, reported: Transfer, of: Transfer, begun: Part
) -> _Body | Transfer | RetryableFailure:
    """Decide whether an answer to a range request goes on where the part of `of` ends."""
    first, last, total = _content_range(response)
    have = begun.have
    if total in (None, of.size) and _may_be_same(reported, of):
        if response.status_code == 206 and (first, last) == (have, of.size - 1):
            return _Body(of, have)
        if response.status_code == 416 and have == of.size:
            return of
    with disk_errors(begun.path):
        begun.discard()
    return RetryableFailure(f"HTTP {response.status_code}: the part that was kept belongs to another version")


def _check_size(body: _Body, part: Part, most: int) -> None:
    """Refuse what is too large, before it is received."""
    if body.of.size > most:
        part.discard()
        raise _oversized(part.url, f"is reported to have {body.of.size} bytes", most)
    with disk_errors(part.path):
        if not body.offset:
            part.discard()
        check_space(part.path.parent, part.url, body.of.size - body.offset)


def _oversized(url: str, what: str, most: int) -> DataError:
    return DataError(
        "oversized",
        f"{url} {what}, and cannot have more than {most}",
        remedy="run `daxa run` again later; if it persists, report the file to the archive's help desk",
    )


def _summary(response: httpx.Response, url: str) -> Transfer:
    """What the headers of an answer say about the file."""
    headers = response.headers
    encoding = headers.get("content-encoding", "identity").lower()
    if response.status_code in (200, 206) and encoding not in ("identity", "") and not _stored_packed(url):
        raise DataError(
            "recoded",
            f"{url} was sent as {encoding[:20]} although uncompressed data were requested",
            remedy="use another mirror, or ask for help: a proxy may recode what it passes on",
        )
    length = headers.get("content-length", "")[:18]
    chunked = "chunked" in headers.get("transfer-encoding", "").lower()
    if response.status_code == 200 and not length.isdigit() and not chunked:
        raise DataError(
            "no-length",
            f"the server does not say how long {url} is, so a truncated download could not be noticed",
            remedy="use another mirror of the archive",
        )
    # Without a length, 0 says that the size is not known.
    size = int(length) if length.isdigit() and not chunked else 0
    return Transfer(url, size, _validator(headers, "etag", 256), _validator(headers, "last-modified", 64))


def _validator(headers: httpx.Headers, name: str, longest: int) -> str:
    """A validator that can be sent back unchanged, else ''."""
    text = headers.get(name, "")
    return text if len(text) <= longest and text.isascii() and text.isprintable() else ""


def _stored_packed(url: str) -> bool:
    # Apache labels a stored .gz file as encoded, which it is.
    return is_packed(url) or url.lower().endswith((".z", ".tgz"))


def _same_version(reported: Transfer, other: Transfer) -> bool:
    """True only if size and validators prove that both are the same bytes."""
    if reported.size != other.size:
        return False
    if reported.strong or other.strong:
        return reported.etag == other.etag
    return bool(reported.last_modified) and reported.last_modified == other.last_modified


def _may_be_same(reported: Transfer, begun: Transfer) -> bool:
    """False if a validator that both have differs."""
    pairs = ((reported.etag, begun.etag), (reported.last_modified, begun.last_modified))
    return all(one == other for one, other in pairs if one and other)


def _content_range(response: httpx.Response) -> tuple[int | None, int | None, int | None]:
    found = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", "").strip())
    if not found:
        return (None, None, None)
    first, last, total = found.groups()
    return (
        int(first) if first else None,
        int(last) if last else None,
        int(total) if total != "*" else None,
    )


def _continuing(of: Transfer, have: int) -> dict[str, str]:
    return {"Range": f"bytes={have}-", "If-Range": of.etag if of.strong else of.last_modified}


def _conditional(known: Transfer | None) -> dict[str, str]:
    if known and known.etag:
        return {"If-None-Match": known.etag}
    return {"If-Modified-Since": known.last_modified} if known and known.last_modified else {}


def _write(response: httpx.Response, body: _Body, part: Part, watch: _Watch) -> Transfer | RetryableFailure:
    """Write a body as it arrives; what has arrived stays, unless it cannot be used."""
    useless: DaxaError | None = None
    with disk_errors(part.path), part.resume() if body.offset else part.begin(body.of):
        try:
            _receive(response, part, body.of.size, watch)
        except DataError as error:
            useless = error
        except OSError as error:
            if error.errno not in (ENOSPC, EDQUOT) or body.of.size:
                raise
            useless = DataError("no-room", f"{part.url} filled the disk", remedy="")
    if useless is not None:
        part.discard()
        full = useless.name == "no-room"
        raise insufficient_space(part.path.parent, f"{part.url} does not end") if full else useless
    if body.of.size in (0, part.have):
        return replace(body.of, size=part.have)
    arrived = part.have
    part.discard()
    return RetryableFailure(f"{arrived} bytes arrived of a file of {body.of.size}")


def _receive(response: httpx.Response, part: Part, size: int, watch: _Watch) -> None:
    silence = watch.connection.settings.read_timeout
    mark, since, looked = part.have, time.monotonic(), part.have
    for chunk in receive(response):
        if part.have + len(chunk) > (size or watch.most):
            raise _oversized(part.url, "goes on", size or watch.most)
        if not size and part.have - looked >= _LOOK:
            # Its length is unknown: it must not take the room of the files that are written beside it.
            looked = part.have
            if spare(part.path.parent) < max(_RESERVED, part.have // 4):
                raise DataError("no-room", f"{part.url} filled the disk", remedy="")
        part.write(chunk)
        if watch.progress:
            watch.progress(part.have, size)
        watch.connection.check_stop()
        if time.monotonic() - since > silence:
            # A server that drips a byte now and then never meets the timeout of a read.
            if part.have - mark < _SLOWEST:
                raise httpx.ReadTimeout(f"fewer than {_SLOWEST} bytes in {silence:g} s")
            mark, since = part.have, time.monotonic()
