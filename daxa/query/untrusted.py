"""Read VOTables and FITS files of unknown origin, from services and from users.

A VOTable may have its data fetched from any address or file (``STREAM href``), and XML
lets it define entities that grow without bound or name files.  No table of observations or
objects needs either, so neither is followed.  A FITS header may promise any amount of data.
"""

from __future__ import annotations

import io
import re
import struct
from typing import TYPE_CHECKING
from xml.parsers.expat import ExpatError

if TYPE_CHECKING:
    from astropy.io.fits import HDUList
    from astropy.io.votable.tree import VOTableFile

__all__ = ["PARSE_ERRORS", "open_fits", "parse_votable"]

PARSE_ERRORS = (ArithmeticError, AttributeError, EOFError, ExpatError, LookupError, OSError, struct.error, SyntaxError,
                TypeError, ValueError, Warning)  # fmt: skip
"""What astropy's reader lets through when its input is arbitrary."""

_ENTITY = re.compile(rb"<!ENTITY", re.IGNORECASE)
_ELSEWHERE = re.compile(rb"<(?:[^\s<>/:]+:)?STREAM\s[^<>]*\bhref\s*=", re.IGNORECASE)


def parse_votable(body: bytes) -> VOTableFile:
    """Parse a document without following what it refers to.

    Parameters
    ----------
    body
        The document, XML in UTF-8 or a subset of it.

    Raises
    ------
    ValueError
        It is no UTF-8 text, defines entities, or keeps its data elsewhere; and any other of
        `PARSE_ERRORS` when it is no VOTable.
    """
    from astropy.io import votable

    # In UTF-16 the marks below would not be found; every byte of it that matters is beside a zero.
    if b"\0" in body or body.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ValueError("it is no text in UTF-8")
    if _ENTITY.search(body):
        raise ValueError("it defines XML entities, which are not expanded")
    if _ELSEWHERE.search(body):
        raise ValueError("it keeps its data elsewhere, from where they are not fetched")
    return votable.parse(io.BytesIO(body))


def open_fits(content: bytes) -> HDUList:
    """Open a FITS file that is whole.

    Raises
    ------
    ValueError
        It is no FITS file, damaged or cut off; and any other of `PARSE_ERRORS`.
    """
    from astropy.io import fits

    if not content.startswith(b"SIMPLE  ="):
        raise ValueError("it is no FITS file")
    try:
        hdus = fits.open(io.BytesIO(content))
        for hdu in hdus:
            if not hasattr(hdu, "fileinfo"):
                raise ValueError("a part of it is damaged")
            # Headers that promise more than there is would have the reader make room for it.
            if (ends := hdu.fileinfo()["datLoc"] + hdu.size) > len(content):
                raise ValueError(f"it is cut off: {len(content)} of at least {ends} bytes are there")
    except fits.VerifyError as error:
        raise ValueError(str(error)) from None
    return hdus
