"""FITS files that other programs wrote: whatever is wrong with one is one kind of error."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from astropy.io.fits import HDUList

__all__ = ["open_fits"]

_MOST_FIELDS = 999
"""Columns of a table (FITS 4.0, section 7.2.1)."""


@contextmanager
def open_fits(path: Path, *, whole: bool = True) -> Iterator[HDUList]:
    """Open a FITS file; what is found wrong with it while it is open is a ValueError too.

    Parameters
    ----------
    path
        The file.
    whole
        Whether its data are needed: headers that promise more than there is would have the reader make room for it.

    Raises
    ------
    ValueError
        It is not a FITS file, is cut off, contradicts itself, or lacks what the caller looks for.

    Examples
    --------
    >>> with open_fits(Path("none.fits")) as parts:
    ...     pass
    Traceback (most recent call last):
    ValueError: [Errno 2] No such file or directory: 'none.fits'
    """
    from astropy.io import fits

    faults = (OSError, EOFError, StopIteration, TypeError, LookupError, AttributeError, ArithmeticError, zlib.error)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with fits.open(path, memmap=False) as parts:
                if whole:
                    _check_promises(parts, path)
                yield parts
    except (*faults, AssertionError, MemoryError, fits.VerifyError) as error:
        raise ValueError(str(error) or type(error).__name__) from error


def _check_promises(parts: HDUList, path: Path) -> None:
    with path.open("rb") as stream:
        packed = stream.read(2) == b"\x1f\x8b"
    size = path.stat().st_size
    for part in parts:
        if not 0 <= int(part.header.get("TFIELDS", 0)) <= _MOST_FIELDS:
            raise ValueError(f"a table has more than {_MOST_FIELDS} columns")
        if not packed and part.fileinfo()["datLoc"] + part.size > size:
            raise ValueError("it is truncated")
