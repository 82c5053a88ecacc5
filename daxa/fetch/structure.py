"""Walk the structure of a FITS file as its bytes stream by, without keeping them.

Sizes follow from the mandatory keywords (FITS Standard 4.0, sections 4.4.1 and 7), the
sums from its appendix J: the ones' complement sum of the big-endian 32-bit words.
"""

from __future__ import annotations

import re

import numpy as np

from daxa.errors import DataError

__all__ = ["BLOCK", "FitsWalk", "ones_complement_sum"]

BLOCK = 2880
"""Bytes of a FITS block."""

_CARD = 80
_LARGEST = 1 << 50
_ALL_ONES = 0xFFFFFFFF
_INTEGER = re.compile(r"[+-]?\d{1,18}", re.ASCII)
_TEXT = re.compile(r"\s*'((?:[^']|'')*)'")
_TOLD = re.compile(r"EXTNAME|HDUNAME|OBS_ID|\d{0,3}DSREF\d{1,3}", re.ASCII)
_MOST_HDUS = 20_000


def ones_complement_sum(data: bytes | memoryview, before: int = 0) -> int:
    r"""Add the 32-bit words of `data` (a multiple of four bytes) to a sum, carrying round.

    Examples
    --------
    >>> ones_complement_sum(b"\xff\xff\xff\xff\x00\x00\x00\x02")
    2
    """
    return _carry(before + int(np.frombuffer(data, dtype=">u4").sum(dtype=np.uint64)))


def _carry(total: int) -> int:
    while total > _ALL_ONES:
        total = (total & _ALL_ONES) + (total >> 32)
    return total


class FitsWalk:
    """Follows the HDUs of one file; give it all bytes with `feed`, then `finish`.

    Parameters
    ----------
    name
        The file's name, for messages.

    Attributes
    ----------
    hdus : int
        HDUs that are complete so far.
    headers : list of dict
        Of each HDU, by keyword, the texts that say what it is and what it refers to.
    warnings : list of str
        Recorded checksums that do not match: the file is readable, but was altered after they were written.

    Raises
    ------
    DataError
        From `feed` and `finish`: ``data.not-fits``, ``data.damaged`` or ``data.truncated``.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.hdus = 0
        self.headers: list[dict[str, str]] = []
        self.warnings: list[str] = []
        self._pending = b""
        self._cards: dict[str, str] = {}
        self._inside = False
        self._data_left = 0
        self._padded_left = 0
        self._header_sum = 0
        self._data_sum = 0
        self._tail = False

    def feed(self, data: bytes) -> None:
        """Take the next bytes, in pieces of any length."""
        self._pending += data
        whole = len(self._pending) // BLOCK * BLOCK
        view = memoryview(self._pending)[:whole]
        at = 0
        while at < whole:
            if self._padded_left:
                step = min(self._padded_left, whole - at)
                self._data_sum = ones_complement_sum(view[at : at + step], self._data_sum)
                self._data_left = max(0, self._data_left - step)
                self._padded_left -= step
                if not self._padded_left:
                    self._end_hdu()
            else:
                step = BLOCK
                self._header_block(bytes(view[at : at + step]))
            at += step
        self._pending = self._pending[whole:]

    def finish(self) -> None:
        """Say that the file ends here."""
        if self._tail:
            return
        between = not self._inside and not self._padded_left
        if between and self.hdus and not self._pending.strip(b"\x00 "):
            return
        if self._padded_left and self._data_left <= len(self._pending):
            self.warnings.append(f"HDU {self.hdus} is not padded to a complete block")
            return
        if not self.hdus and not self._inside and not self._pending.startswith(b"SIMPLE  ="):
            raise self._error("not-fits", "does not begin as a FITS file")
        raise self._error("truncated", f"ends inside HDU {self.hdus}")

    def _header_block(self, block: bytes) -> None:
        if self._tail:
            return
        if not self._inside and not self._begins_hdu(block):
            return
        self._header_sum = ones_complement_sum(block, self._header_sum)
        for start in range(0, BLOCK, _CARD):
            card = block[start : start + _CARD].decode("latin-1")
            keyword = card[:8].rstrip()
            if keyword == "END" and not card[8:].strip():
                self._end_header()
                return
            if card[8:10] == "= " and keyword not in self._cards:
                self._remember(keyword, card[10:])

    def _begins_hdu(self, block: bytes) -> bool:
        starts = b"XTENSION=" if self.hdus else b"SIMPLE  ="
        if block.startswith(starts):
            self._inside, self._cards, self._header_sum, self._data_sum = True, {}, 0, 0
            if self.hdus >= _MOST_HDUS:
                raise self._error("damaged", f"has more than {_MOST_HDUS} HDUs")
            self.headers.append({})
            return True
        if not self.hdus:
            raise self._error("not-fits", "does not begin as a FITS file")
        if block.strip(b"\x00 "):
            raise self._error("damaged", f"holds something other than an HDU after HDU {self.hdus - 1}")
        self._tail = True
        self.warnings.append("blank blocks follow the last HDU")
        return False

    def _remember(self, keyword: str, field: str) -> None:
        if keyword in ("BITPIX", "PCOUNT", "GCOUNT", "GROUPS") or re.fullmatch(r"NAXIS\d{0,3}", keyword):
            self._cards[keyword] = field.partition("/")[0].strip()
        elif keyword in ("CHECKSUM", "DATASUM") and field.lstrip().startswith("'"):
            self._cards[keyword] = field.split("'")[1].strip()
        elif _TOLD.fullmatch(keyword):
            text = _TEXT.match(field)
            value = text[1].replace("''", "'") if text else field.partition("/")[0]
            self.headers[-1].setdefault(keyword, value.strip())

    def _end_header(self) -> None:
        self._data_left = self._data_size()
        self._padded_left = -(-self._data_left // BLOCK) * BLOCK
        if not self._padded_left:
            self._end_hdu()

    def _data_size(self) -> int:
        naxis = self._number("NAXIS")
        if not 0 <= naxis <= 999:
            raise self._error("damaged", f"has NAXIS = {naxis} in HDU {self.hdus}")
        axes = [self._number(f"NAXIS{axis + 1}") for axis in range(naxis)]
        if naxis and axes[0] == 0 and self._cards.get("GROUPS") == "T":
            axes = axes[1:]
        elements = int(naxis > 0)
        for length in axes:
            elements *= length
            if length < 0 or elements > _LARGEST:
                raise self._error("damaged", f"has impossible axes {axes} in HDU {self.hdus}")
        groups, parameters = self._number("GCOUNT", 1), self._number("PCOUNT", 0)
        width = abs(self._number("BITPIX"))
        if width not in (8, 16, 32, 64) or groups < 0 or parameters < 0:
            raise self._error("damaged", f"has an impossible size in HDU {self.hdus}")
        size = width // 8 * groups * (parameters + elements) if naxis else 0
        if size > _LARGEST:
            raise self._error("damaged", f"claims {size} bytes in HDU {self.hdus}")
        return size

    def _number(self, keyword: str, default: int | None = None) -> int:
        text = self._cards.get(keyword, "" if default is None else str(default))
        if not _INTEGER.fullmatch(text):
            raise self._error("damaged", f"has {keyword} = {text!r} in HDU {self.hdus}")
        return int(text)

    def _end_hdu(self) -> None:
        recorded = self._cards.get("DATASUM", "")
        # An empty text means that nobody computed the sum (FITS Standard 4.0, section 4.4.2.7).
        if _INTEGER.fullmatch(recorded) and int(recorded) != self._data_sum:
            self.warnings.append(f"DATASUM of HDU {self.hdus} does not match its data")
        if self._cards.get("CHECKSUM", "").strip("0"):
            total = _carry(self._header_sum + self._data_sum)
            if total not in (0, _ALL_ONES):
                self.warnings.append(f"CHECKSUM of HDU {self.hdus} does not match its contents")
        self._inside = False
        self.hdus += 1

    def _error(self, kind: str, what: str) -> DataError:
        return DataError(kind, f"{self.name} {what}", remedy="fetch it again with `daxa run`")
