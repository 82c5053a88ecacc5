"""The address of an archive's storage: what DVC takes, and how it is written into ``.dvc/config``."""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path
from urllib.parse import urlsplit

from daxa.errors import ConfigError

__all__ = ["SCHEMES", "config_value", "is_local", "storage_address"]

SCHEMES = (
    "azure",
    "gdrive",
    "gs",
    "hdfs",
    "http",
    "https",
    "oss",
    "remote",
    "s3",
    "ssh",
    "webdav",
    "webdavs",
    "webhdfs",
)
"""Kinds of remote storage that DVC 3 knows (``dvc/config_schema.py``); a path is a directory on this machine."""

_PLAIN = re.compile(r"[\w./:@+~=-]+", re.ASCII)
_SCP = re.compile(r"[\w.-]+@[\w.-]+:.*|[\w-]+(?:\.[\w-]+)+:.*", re.ASCII)


def is_local(address: str) -> bool:
    """Whether an address is a directory on this machine.

    Examples
    --------
    >>> is_local("../storage"), is_local("s3://bucket/a907")
    (True, False)
    """
    return "://" not in address


def storage_address(given: str, directory: Path) -> str:
    """The text that ``.dvc/config`` gets for a storage, so that DVC finds it from the archive's directory.

    A directory that was given by a relative path, or that lies beside or below the archive,
    is written relative to ``.dvc/``, so that the archive and its storage can move together.

    Parameters
    ----------
    given
        What the user gave: an address, or a path from the current directory; '' for none.
    directory
        Where the archive will be.

    Raises
    ------
    ConfigError
        DVC could not use it, or it contains a password.

    Examples
    --------
    >>> storage_address("/data/storage", Path("/data/a907")), storage_address("/srv/x", Path("/data/a907"))
    ('../../storage', '/srv/x')
    """
    _check(given)
    if given.startswith("file://"):
        given = urlsplit(given).path
    if not given or not is_local(given):
        return given
    try:
        path = Path(given).expanduser()
    except RuntimeError:
        raise _refusal(given, "there is no such home directory", "give the whole path") from None
    absolute = Path(os.path.normpath(path.absolute()))
    near = absolute.is_relative_to(directory.parent)
    written = str(absolute) if path.is_absolute() and not near else os.path.relpath(absolute, directory / ".dvc")
    config_value(written)
    return written


def config_value(value: str) -> str:
    """A value as DVC's configuration files hold it: quoted where a character would mean something there.

    Raises
    ------
    ConfigError
        No such file can hold it.

    Examples
    --------
    >>> config_value("../../storage"), config_value("/data/a, b#1")
    ('../../storage', '"/data/a, b#1"')
    """
    if any(unicodedata.category(character) in ("Cc", "Zl", "Zp", "Cs") for character in value) or "%(" in value:
        raise _refusal(value, "it contains a line break, a control character or %(", "use another name")
    if _PLAIN.fullmatch(value):
        return value
    if '"' not in value:
        return f'"{value}"'
    if "'" not in value:
        return f"'{value}'"
    raise _refusal(value, "it contains both kinds of quotes", "use another name")


def _check(given: str) -> None:
    if any(unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp", "Cs") for character in given):
        raise _refusal(given, "it contains a line break or a character that cannot be seen", "type it again")
    if is_local(given):
        kind = given.partition(":")[0].lower()
        if _SCP.fullmatch(given) or (kind in SCHEMES and ":" in given):
            raise _refusal(
                given, "it is neither a directory nor an address", "write it as ssh://host/path, s3://bucket/path"
            )
        return
    parts = urlsplit(given)
    if parts.scheme.lower() not in (*SCHEMES, "file"):
        raise _refusal(
            given,
            f"DVC does not know {parts.scheme}://" if parts.scheme else "it does not say what kind of storage it is",
            f"use a directory, or one of {', '.join(f'{scheme}://' for scheme in SCHEMES)}",
        )
    if parts.password:
        raise _refusal(
            given.replace(parts.password, "..."),
            "it contains a password",
            "keep it in `dvc remote modify --local` instead",
        )
    if parts.scheme != "file" and (not parts.netloc or any(character in " \t'\"<>\\^`{|}" for character in given)):
        raise _refusal(
            given,
            "it is not a complete address",
            "give it as scheme://host/path, with %20 for a blank and without quotes",
        )
    if parts.scheme == "file" and (parts.netloc not in ("", "localhost") or not parts.path.startswith("/")):
        raise _refusal(given, "it is not a directory on this machine", "give the directory's path")


def _refusal(given: str, why: str, remedy: str) -> ConfigError:
    return ConfigError("remote", f"{given!r} cannot be the address of a remote: {why}", remedy=remedy)
