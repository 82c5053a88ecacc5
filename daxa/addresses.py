"""Addresses of servers: which services and mirrors there are, and how a user writes others in their place."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args
from urllib.parse import urlsplit

__all__ = ["DECLARED", "SERVICES", "Listing", "Mirror", "check_address", "read_mirrors"]

Listing = Literal["apache", "nginx", "s3", "local"]
"""How a server lists a directory: a page of Apache's or nginx's, S3's ListObjectsV2, or a directory of this machine."""

DECLARED = "declared"
"""In a user's list of mirrors: those that the mission declares."""

SERVICES = {
    "heasarc_tap": "https://heasarc.gsfc.nasa.gov/xamin/vo/tap",
    "heasarc_datalink": "https://heasarc.gsfc.nasa.gov/xamin/vo/datalink",
    "heasarc_tree": "https://heasarc.gsfc.nasa.gov/FTP",
    "xsa_tap": "https://nxsa.esac.esa.int/tap-server/tap",
    "sesame": "https://cds.unistra.fr/cgi-bin/nph-sesame/",
    "simbad_tap": "https://simbad.cds.unistra.fr/simbad/sim-tap",
    "ned": "https://ned.ipac.caltech.edu/cgi-bin",
}
"""The services that daxa knows, by the name of the setting that replaces them."""

_LISTINGS: Mapping[str, Listing] = {style: style for style in get_args(Listing)}
_LONGEST = 2000
_FORM = re.compile(r"(?:.?[<>])?\d{0,2}(?:\.\d{1,2})?", re.ASCII)
"""How a field of a layout may be written: no wider than a name can be."""

_LAYOUT = re.compile(r"[A-Za-z0-9_.+~=,@{}:<>-]+", re.ASCII)


@dataclass(frozen=True)
class Mirror:
    """A server that holds files of a mission.

    Parameters
    ----------
    root
        Address of its file tree, or of the bucket (``s3``), without a slash at the end.
    listing
        How it lists a directory.
    layout
        Template of an observation's directory below `root`, with the fields of
        `MissionSpec.directory`, or with ``{directory}`` for the whole of that; '' where it is that.
    datalink
        Address of the DataLink service whose paths below ``/FTP/`` are valid here below `root`; '' for none.

    Examples
    --------
    >>> Mirror("https://archive.example/lobster", "nginx").listing
    'nginx'
    """

    root: str
    listing: Listing = "apache"
    layout: str = ""
    datalink: str = ""


def check_address(text: str, *, files: bool = False) -> str:
    """An address that daxa may query, without a slash at its end.

    Parameters
    ----------
    text
        The address.
    files
        Whether it may name a directory of this machine (``file:///...``).

    Raises
    ------
    ValueError
        It has another scheme, no host, a query, or a name and password.

    Examples
    --------
    >>> check_address("https://archive.example/data/")
    'https://archive.example/data'
    """
    parts = urlsplit(text)
    odd = len(text) > _LONGEST or any(ord(letter) <= 0x20 or ord(letter) == 0x7F for letter in text)
    if odd or parts.query or parts.fragment or parts.username or parts.password:
        raise ValueError(f"{text[:100]!r} is not an address")
    if files and parts.scheme == "file" and not parts.netloc and parts.path.startswith("/"):
        return text.rstrip("/")
    if parts.scheme not in ("http", "https") or not parts.hostname or (parts.port is not None and parts.port == 0):
        raise ValueError(f"{text[:100]!r} is not an address that begins with https://")
    return text if text.endswith("nph-sesame/") else text.rstrip("/")


def read_mirrors(text: str, declared: Sequence[Mirror] = (), *, files: bool = True) -> tuple[Mirror, ...]:
    """The mirrors that a user lists, in their order.

    Parameters
    ----------
    text
        Addresses, separated by spaces.  ``nginx+`` or ``s3+`` before one says how it lists directories
        (otherwise as Apache does; ``file:///...`` is a directory of this machine).  Where a part of its
        path holds a field such as ``{obs_id}``, the layout begins there.  The word ``declared`` means
        the mission's own mirrors, so that without it they are replaced.
    declared
        The mission's own mirrors.
    files
        Whether directories of this machine are allowed.

    Raises
    ------
    ValueError
        One of them cannot be used, or there is none.

    Examples
    --------
    >>> first, last = read_mirrors("nginx+https://m.example/x/{obs_id} declared", [Mirror("https://a.example")])
    >>> first
    Mirror(root='https://m.example/x', listing='nginx', layout='{obs_id}', datalink='')
    >>> last.root
    'https://a.example'
    """
    found: list[Mirror] = []
    for word in text.split():
        found += declared if word == DECLARED else [_read_mirror(word, files=files)]
    if not text.split():
        raise ValueError("no mirror is named")
    return tuple(dict.fromkeys(found))


def _read_mirror(word: str, *, files: bool) -> Mirror:
    style, plus, rest = word.partition("+")
    named = bool(plus) and style in _LISTINGS
    listing: Listing = _LISTINGS[style] if named else "apache"
    parts = (rest if named else word).split("/")
    at = next((place for place, part in enumerate(parts) if "{" in part), len(parts))
    layout = "/".join(parts[at:]).rstrip("/")
    root = check_address("/".join(parts[:at]), files=files)
    _check_layout(layout)
    local = root.startswith("file:")
    if (listing == "local") != local and (local and named):
        raise ValueError(f"{word[:100]!r}: a directory of this machine is not listed as {style} does")
    if listing == "local" and not local:
        raise ValueError(f"{word[:100]!r} is not a directory of this machine")
    return Mirror(root, "local" if local else listing, layout)


def _check_layout(layout: str) -> None:
    if not layout:
        return
    for _, field, form, conversion in string.Formatter().parse(layout):
        named = field is None or re.fullmatch(r"[a-z][a-z0-9_]*", field)
        if conversion or not named or not _FORM.fullmatch(form or ""):
            raise ValueError(f"{layout[:100]!r} is not a valid layout")
    if not all(_LAYOUT.fullmatch(part) and part not in (".", "..") for part in layout.split("/")):
        raise ValueError(f"{layout[:100]!r} is not a valid layout")
