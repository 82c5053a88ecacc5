"""Read VOTables and FITS files of unknown origin, from services and from users.

A FITS header may claim any amount of data; for VOTables see `daxa.votables`.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from daxa.votables import PARSE_ERRORS, parse_votable

if TYPE_CHECKING:
    from astropy.io.fits import HDUList

__all__ = ["PARSE_ERRORS", "open_fits", "parse_votable"]


def open_fits(content: bytes) -> HDUList:
    """Open a FITS file that is whole.

    Raises
    ------
    ValueError
        It is not a FITS file, damaged or cut off; and any other of `PARSE_ERRORS`.
    """
    from astropy.io import fits

    if not content.startswith(b"SIMPLE  ="):
        raise ValueError("it is not a FITS file")
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
