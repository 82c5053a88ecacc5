"""Fetch one file from an address that the user gives."""

from __future__ import annotations

from pathlib import Path

from daxa.addresses import Mirror, check_address
from daxa.errors import CriteriaError
from daxa.fetch.connection import connect
from daxa.fetch.transfer import download
from daxa.settings import Settings

__all__ = ["fetch_single", "is_address"]


def is_address(text: str) -> bool:
    """Whether a text is meant as an address, not as a path.

    Examples
    --------
    >>> is_address("https://zenodo.example/a907.bundle"), is_address("a907.bundle")
    (True, False)
    """
    return text.startswith(("http://", "https://"))


def fetch_single(url: str, target: Path, settings: Settings, *, most: int) -> None:
    """Download a file to `target`, continuing what an earlier call left there.

    Redirects are followed on the same server alone.

    Raises
    ------
    CriteriaError
        It is not an address that can be queried.
    DataError, ServiceError, StorageError
        It cannot be fetched, or has more than `most` bytes.
    """
    try:
        mirror = Mirror(check_address(url))
    except ValueError as error:
        raise CriteriaError("address", str(error), remedy="give a path, or an address as https://...") from None
    download(connect(settings, (mirror,)), url, target, most=most)
