"""Download one file so that nothing short of the whole file can look complete.

The body goes into a ``.part`` file beside a note of what it is a part of.  A later attempt,
also of another process, continues it with ``Range`` and ``If-Range`` (RFC 9110, sections
13.1.5 and 14): 206 appends, 200 begins again, 416 means that nothing is missing.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from errno import EDQUOT, ENOSPC
from pathlib import Path

import httpx

from daxa.errors import DataError, StorageError
from daxa.fetch.connection import Connection, Setback, open_answer, persist, refusal, setback
from daxa.fetch.verify import is_packed

__all__ = ["Transfer", "discard_part", "disk_errors", "download", "part_of"]

_MARGIN = 16 << 20
_SLOWEST = 1024
_CONTENT_RANGE = re.compile(r"bytes (?:(\d{1,18})-(\d{1,18})|\*)/(\d{1,18}|\*)", re.ASCII)


@dataclass(frozen=True)
class Transfer:
    """What the server said of a file that is now whole.

    Parameters
    ----------
    url
        Its address.
    size
        Bytes.
    etag, last_modified
        The server's validators, '' where it gives none.
    unchanged
        True where the server confirmed that the copy we know is still current: nothing was downloaded.
    """

    url: str
    size: int
    etag: str = ""
    last_modified: str = ""
    unchanged: bool = False


def part_of(parts: Path, url: str) -> Path:
    """Where the download of an address is kept while it is not whole."""
    return parts / f"{hashlib.sha256(url.encode()).hexdigest()[:40]}.part"


def discard_part(part: Path) -> None:
    """Forget a download that has begun."""
    _note(part).unlink(missing_ok=True)
    part.unlink(missing_ok=True)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn errors of this machine's disk below `path` into `StorageError`."""
    try:
        yield
    except OSError as error:
        if error.errno in (ENOSPC, EDQUOT):
            raise _full(path) from error
        raise StorageError(
            "unusable",
            f"{error.filename or path} cannot be used: {error.strerror or error}",
            remedy="check the permissions and the disk, or choose another place with DAXA_STORE",
        ) from error


def _full(path: Path) -> StorageError:
    return StorageError(
        "full", f"there is no room left at {path}", remedy="free some space, then run the same command again"
    )


def download(
    connection: Connection,
    url: str,
    part: Path,
    *,
    known: Transfer | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Transfer:
    """Bring a file to `part`, continuing what is there.

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
    progress
        Called with the bytes that are there and the size of the file (0 when it is not known).

    Raises
    ------
    DataError
        ``data.absent``, ``data.proprietary``, ``data.refused``, ``data.not-served``,
        ``data.recoded`` or ``data.no-length``.
    ServiceError
        The service cannot be reached, or ``service.stopped``; what has arrived stays.
    StorageError
        The disk is full or cannot be written.
    """
    with disk_errors(part.parent):
        part.parent.mkdir(parents=True, exist_ok=True)

    def attempt() -> Transfer | Setback:
        begun = _begun(part, url)
        headers = _continuing(begun, part) if begun else _conditional(known)
        with open_answer(connection, url, headers) as response:
            answer = _judge(response, url, part, begun, known)
            if isinstance(answer, _Body):
                with disk_errors(part):
                    _write(response, answer, part, connection, progress)
                    return _finished(answer, part)
            return answer

    return persist(attempt, url, connection, progress=lambda: _have(part))


@dataclass(frozen=True)
class _Body:
    """A body to be written from `offset` on."""

    of: Transfer
    offset: int


def _judge(
    response: httpx.Response, url: str, part: Path, begun: Transfer | None, known: Transfer | None
) -> _Body | Transfer | Setback:
    """Decide what an answer means for what we have."""
    if problem := setback(response):
        return problem
    status, told = response.status_code, _told(response, url)
    fresh = known if not begun else None
    if fresh and (status == 304 or (status == 200 and _same_version(told, fresh))):
        return replace(fresh, unchanged=True)
    if status == 200:
        return _Body(told, 0)
    if begun and status in (206, 416):
        return _continued(response, told, begun, part)
    raise refusal(url, status)


def _continued(response: httpx.Response, told: Transfer, begun: Transfer, part: Path) -> _Body | Transfer | Setback:
    """Decide whether an answer to a range request goes on where the part ends."""
    first, last, total = _content_range(response)
    have = _have(part)
    if total in (None, begun.size) and _may_be_same(told, begun):
        if response.status_code == 206 and (first, last) == (have, begun.size - 1):
            return _Body(begun, have)
        if response.status_code == 416 and have == begun.size:
            return begun
    with disk_errors(part):
        discard_part(part)
    return Setback(f"HTTP {response.status_code}: the part that we have is of another version")


def _told(response: httpx.Response, url: str) -> Transfer:
    """What the headers of an answer say of the file."""
    headers = response.headers
    encoding = headers.get("content-encoding", "identity").lower()
    if response.status_code in (200, 206) and encoding not in ("identity", "") and not _stored_packed(url):
        raise DataError(
            "recoded",
            f"{url} was sent as {encoding[:20]} although its plain bytes were asked for",
            remedy="use another mirror, or ask for help: a proxy may recode what it passes on",
        )
    length = headers.get("content-length", "")
    chunked = "chunked" in headers.get("transfer-encoding", "").lower()
    if response.status_code == 200 and not length.isdigit() and not chunked:
        raise DataError(
            "no-length",
            f"the server does not say how long {url} is, so that a cut could not be noticed",
            remedy="use another mirror of the archive",
        )
    # Without a length, 0 says that the size is not known.
    size = int(length) if length.isdigit() and not chunked else 0
    return Transfer(url, size, headers.get("etag", "")[:256], headers.get("last-modified", "")[:64])


def _stored_packed(url: str) -> bool:
    # Apache labels a stored .gz file as encoded, which it is.
    return is_packed(url) or url.lower().endswith((".z", ".tgz"))


def _strong(etag: str) -> bool:
    return etag.startswith('"')


def _same_version(told: Transfer, other: Transfer) -> bool:
    """True only if size and validators prove that both are the same bytes."""
    if told.size != other.size:
        return False
    if _strong(told.etag) or _strong(other.etag):
        return told.etag == other.etag
    return bool(told.last_modified) and told.last_modified == other.last_modified


def _may_be_same(told: Transfer, begun: Transfer) -> bool:
    """False if a validator that both have differs."""
    pairs = ((told.etag, begun.etag), (told.last_modified, begun.last_modified))
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


def _continuing(begun: Transfer, part: Path) -> dict[str, str]:
    validator = begun.etag if _strong(begun.etag) else begun.last_modified
    return {"Range": f"bytes={_have(part)}-", "If-Range": validator}


def _conditional(known: Transfer | None) -> dict[str, str]:
    if known and known.etag:
        return {"If-None-Match": known.etag}
    return {"If-Modified-Since": known.last_modified} if known and known.last_modified else {}


def _have(part: Path) -> int:
    try:
        return part.stat().st_size
    except FileNotFoundError:
        return 0


def _note(part: Path) -> Path:
    return part.with_suffix(".json")


def _begun(part: Path, url: str) -> Transfer | None:
    """What the part is a part of; None where it cannot be continued."""
    try:
        noted = json.loads(_note(part).read_text(encoding="utf-8"))
        begun = Transfer(str(noted["url"]), int(noted["size"]), str(noted["etag"]), str(noted["last_modified"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    validated = _strong(begun.etag) or begun.last_modified
    printable = (begun.etag + begun.last_modified).isascii() and (begun.etag + begun.last_modified).isprintable()
    return begun if begun.url == url and validated and printable and 0 < _have(part) <= begun.size else None


def _write(
    response: httpx.Response,
    body: _Body,
    part: Path,
    connection: Connection,
    progress: Callable[[int, int], None] | None,
) -> None:
    size, there, silence = body.of.size, body.offset, connection.settings.read_timeout
    if size and shutil.disk_usage(part.parent).free < size - there + _MARGIN:
        raise _full(part.parent)
    if not there:
        _begin(body.of, part)
    with part.open("r+b") as file:
        file.seek(there)
        mark, since = there, time.monotonic()
        for chunk in response.iter_raw():
            file.write(chunk)
            there += len(chunk)
            if progress:
                progress(there, size)
            connection.check_stop()
            if time.monotonic() - since > silence:
                # A server that drips a byte now and then never meets the timeout of a read.
                if there - mark < _SLOWEST:
                    raise httpx.ReadTimeout(f"fewer than {_SLOWEST} bytes in {silence:g} s")
                mark, since = there, time.monotonic()
        file.flush()
        os.fsync(file.fileno())


def _begin(of: Transfer, part: Path) -> None:
    # A part without its note is never continued, so that the note must not outlive the bytes it speaks of.
    discard_part(part)
    part.touch()
    if of.size:
        fresh = _note(part).with_suffix(".new")
        fresh.write_text(json.dumps(asdict(of), sort_keys=True), encoding="utf-8")
        fresh.replace(_note(part))


def _finished(body: _Body, part: Path) -> Transfer | Setback:
    have = _have(part)
    if body.of.size in (0, have):
        return replace(body.of, size=have)
    discard_part(part)
    return Setback(f"{have} bytes arrived of a file of {body.of.size}")
