"""Who made an archive, as people write it: names with ORCIDs, whose check digit is checked."""

from __future__ import annotations

import re
from collections.abc import Iterable

from daxa.archive.config import Creator
from daxa.errors import ConfigError

__all__ = ["check_creators", "is_orcid", "parse_creator"]

_FORM = re.compile(r"\s*(?P<name>[^<>]*[^<>\s])\s*(?:<\s*(?:https?://orcid\.org/)?(?P<orcid>[^<>\s]*)\s*>)?\s*")
_ORCID = re.compile(r"(?:\d{4}-){3}\d{3}[\dX]", re.ASCII)


def is_orcid(text: str) -> bool:
    """Whether this is an ORCID: four groups of digits, of which the last is the check digit of ISO 7064 MOD 11-2.

    Examples
    --------
    >>> is_orcid("0000-0002-1825-0097"), is_orcid("0000-0002-1825-0098")
    (True, False)
    """
    if not _ORCID.fullmatch(text):
        return False
    total = 0
    for digit in text.replace("-", "")[:-1]:
        total = 2 * (total + int(digit)) % 11
    return text[-1] == "0123456789X"[(12 - total) % 11]


def parse_creator(text: str) -> Creator:
    """A creator written as ``Name`` or ``Name <ORCID>``; the ORCID may be its address.

    Raises
    ------
    ConfigError
        It is neither, or the ORCID is not valid.

    Examples
    --------
    >>> parse_creator("Leavitt, Henrietta <https://orcid.org/0000-0002-1825-0097>").orcid
    '0000-0002-1825-0097'
    """
    found = _FORM.fullmatch(text)
    if not found or not found["name"].isprintable():
        raise ConfigError(
            "creator",
            f"{text[:100]!r} is not a valid creator",
            remedy='write "Family, Given <0000-0002-1825-0097>"; the ORCID may be omitted',
        )
    if found["orcid"] is not None:
        _refuse(found["name"], found["orcid"])
    return Creator(name=found["name"], orcid=found["orcid"] or "")


def check_creators(creators: Iterable[Creator]) -> None:
    """Refuse creators whose ORCID is not valid, such as one with a mistyped digit.

    Raises
    ------
    ConfigError
        There is such a creator.
    """
    for creator in creators:
        if creator.orcid:
            _refuse(creator.name, creator.orcid)


def _refuse(name: str, orcid: str) -> None:
    if not is_orcid(orcid):
        raise ConfigError(
            "orcid",
            f"{orcid[:40]!r} of {name} is not an ORCID: its check digit, or its form, is wrong",
            remedy="correct it; https://orcid.org shows it, such as 0000-0002-1825-0097",
        )
