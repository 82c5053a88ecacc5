"""Compare two files: whether their content is the same, and where it differs, HDU by HDU, cards and data.

The verdict follows from digests (`daxa.run.equality`); the differences are found by reading both files
side by side, piece by piece: neither is ever in memory as a whole, and neither is trusted.  Files packed by gzip
are compared unpacked.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from io import BufferedIOBase, BufferedReader
from pathlib import Path
from typing import Any, Literal

from daxa.errors import DataError
from daxa.files import open_plain
from daxa.naming import number_of
from daxa.run.card_comparison import Cards, compare_cards
from daxa.run.equality import BLOCK, NotFits, data_size, read_header, read_up_to, science_digest

__all__ = ["VERDICTS", "Comparison", "Difference", "Verdict", "compare_files"]

Verdict = Literal["identical bytes", "identical science", "equal within counting noise", "different"]

VERDICTS: tuple[Verdict, ...] = ("identical bytes", "identical science", "equal within counting noise", "different")
"""From the closest to the farthest."""

_LARGEST = 64 << 30
"""Most bytes that a file may hold, or unpack to."""

_PACKED = 2000
"""Largest factor of compression; gzip reaches 1032."""

_MOST_HDUS = 10_000
_MOST_CARDS = 64 << 20
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Difference:
    """One difference between two files.

    Parameters
    ----------
    hdu
        The HDU by its name, or its number where it has none; '' for the file as a whole.
    what
        ``cards``, ``data``, ``structure`` or ``bytes``.
    text
        How, as the end of a sentence that begins with the HDU: "differs in 12 pixels, at most 3 counts".
    noise
        Whether random numbers alone may have caused it, such as those that spread events within a pixel.
    """

    hdu: str
    what: str
    text: str
    noise: bool = False

    def __str__(self) -> str:
        return f"{self.hdu or 'the file'} {self.text}"


@dataclass(frozen=True)
class Comparison:
    """The result of comparing two files.

    Parameters
    ----------
    first, second
        The files.
    verdict
        One of `VERDICTS`.
    differences
        Those of the data in the order of the HDUs, then those of cards; empty unless the verdict is about noise or
        ``different``.
    set_aside
        Volatile keywords (`daxa.run.equality.VOLATILE`) whose cards differ, which does not count.
    packing
        Whether the content is the same and only its compression differs.
    """

    first: str
    second: str
    verdict: Verdict
    differences: tuple[Difference, ...] = ()
    set_aside: tuple[str, ...] = ()
    packing: bool = False

    @property
    def same(self) -> bool:
        """Whether the science content is the same."""
        return self.verdict in VERDICTS[:2]

    def as_dict(self) -> dict[str, Any]:
        """As plain values, ready for JSON."""
        return asdict(self)


def compare_files(
    first: str | os.PathLike[str], second: str | os.PathLike[str], *, randomised: bool = False
) -> Comparison:
    """Compare two files, FITS files HDU by HDU.

    Parameters
    ----------
    first, second
        The files, packed by gzip or not.
    randomised
        Whether the program that made them uses random numbers, so that two of its products are never the same:
        their differences are then measured against counting noise (5 standard deviations).

    Returns
    -------
    Comparison
        "equal within counting noise" only if `randomised` allows it.

    Raises
    ------
    DataError
        A file is a link, a device or a directory, is damaged, or is larger than 64 GiB unpacked.
    OSError
        A file is absent or cannot be read.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as place:
    ...     one, two = Path(place) / "one.txt", Path(place) / "two.txt"
    ...     _ = one.write_bytes(b"12 events"), two.write_bytes(b"13 events")
    ...     found = compare_files(one, two)
    >>> found.verdict, str(found.differences[0])
    ('different', 'the file differs from byte 2 on')
    """
    paths = Path(first), Path(second)
    names = str(paths[0]), str(paths[1])
    with _opened(paths[0]) as one, _opened(paths[1]) as two:
        digests = one.digests(), two.digests()
        if digests[0].bytes == digests[1].bytes:
            return Comparison(*names, "identical bytes")
        if digests[0].content == digests[1].content:
            return Comparison(*names, "identical science", packing=True)
        same = bool(digests[0].science) and digests[0].science == digests[1].science
        if not (digests[0].science and digests[1].science):
            return Comparison(*names, "different", (_plain_difference(one, two, digests),))
        differences, set_aside = _compare_hdus(one, two, randomised=randomised)
        if same:
            return Comparison(*names, "identical science", (), set_aside)
    unsaid = (Difference("", "bytes", "differs in something that no HDU shows"),)
    noise = randomised and bool(differences) and all(one.noise for one in differences)
    return Comparison(
        *names, "equal within counting noise" if noise else "different", tuple(differences) or unsaid, set_aside
    )


@dataclass(frozen=True)
class _Digests:
    bytes: str
    content: str
    science: str


class _Counted(io.RawIOBase):
    """Reads up to a limit, and digests what is read."""

    def __init__(self, stream: BufferedIOBase, path: Path, most: int) -> None:
        self._stream, self._path, self._most = stream, path, most
        self.digest = hashlib.sha256()
        self._read = 0

    def read(self, size: int = -1, /) -> bytes:
        data = self._stream.read(size if size >= 0 else _CHUNK)
        self._read += len(data)
        if self._read > self._most:
            raise DataError(
                "too-large", f"{self._path} holds more than {self._most >> 20} MiB", remedy="compare smaller files"
            )
        self.digest.update(data)
        return data


@dataclass(frozen=True)
class _Hdu:
    """Where an HDU is, and its cards."""

    name: str
    cards: Cards
    start: int
    size: int


class _File:
    """An open file, both packed and unpacked."""

    def __init__(self, path: Path, raw: BufferedReader) -> None:
        self.path, self.raw = path, raw
        self.packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        size = os.fstat(raw.fileno()).st_size
        self.most = min(_LARGEST, size * _PACKED) if self.packed else _LARGEST
        self.plain: BufferedIOBase = gzip.GzipFile(fileobj=raw) if self.packed else raw

    def digests(self) -> _Digests:
        """Of the bytes, of the content, and of the science ('' if it is not a FITS file)."""
        self.plain.seek(0)
        content = _Counted(self.plain, self.path, self.most)
        science = science_digest(content)
        while content.read(_CHUNK):
            pass
        whole = content.digest.hexdigest()
        if self.packed:
            self.raw.seek(0)
            return _Digests(hashlib.file_digest(self.raw, "sha256").hexdigest(), whole, science)
        return _Digests(whole, whole, science)

    def hdus(self) -> list[_Hdu]:
        """Every HDU of a file that is known to be complete FITS."""
        found: list[_Hdu] = []
        read, place = 0, 0
        self.plain.seek(0)
        while (block := read_up_to(self.plain, BLOCK)).startswith((b"SIMPLE  =", b"XTENSION")):
            header = read_header(self.plain, block)
            place, size = self.plain.tell(), data_size(header)
            read += len(header)
            if read > _MOST_CARDS or len(found) >= _MOST_HDUS:
                raise DataError("too-large", f"{self.path} has too many cards or HDUs", remedy="compare smaller files")
            cards = Cards.of(header)
            number = str(len(found)) if found else "primary"
            found.append(_Hdu(cards.text("EXTNAME") or number, cards, place, size))
            place += size + -size % BLOCK
            self.plain.seek(place)
        return found

    def data(self, hdu: _Hdu) -> BufferedIOBase:
        """The file, positioned at the data of an HDU."""
        self.plain.seek(hdu.start)
        return self.plain


@contextmanager
def _opened(path: Path) -> Iterator[_File]:
    with open_plain(path.resolve(), limit=_LARGEST) as raw:
        try:
            yield _File(path, raw)
        except (EOFError, gzip.BadGzipFile, zlib.error, NotFits):
            raise DataError("damaged", f"{path} cannot be unpacked", remedy="get the file again") from None


def _plain_difference(one: _File, two: _File, digests: Sequence[_Digests]) -> Difference:
    """Where two files, of which at least one is not FITS, begin to differ."""
    if bool(digests[0].science) != bool(digests[1].science):
        which = (one if not digests[0].science else two).path
        return Difference("", "structure", f"is FITS, but {which.name} is not a complete FITS file")
    one.plain.seek(0)
    two.plain.seek(0)
    place = 0
    while True:
        left, right = read_up_to(one.plain, _CHUNK), read_up_to(two.plain, _CHUNK)
        if left != right:
            place += next((at for at, pair in enumerate(zip(left, right, strict=False)) if pair[0] != pair[1]), -1) + 1
            ends = left.startswith(right) or right.startswith(left)
            place += min(len(left), len(right)) if ends else 0
            text = f"has {number_of(place, 'byte')} in common, and ends there in one" if ends else ""
            return Difference("", "bytes", text or f"differs from byte {place} on")
        place += len(left)


def _compare_hdus(one: _File, two: _File, *, randomised: bool) -> tuple[list[Difference], tuple[str, ...]]:
    first, second = one.hdus(), two.hdus()
    differences: list[Difference] = []
    set_aside: dict[str, None] = {}
    for number, (left, right) in enumerate(_pairs(first, second)):
        if left is None:
            differences += [Difference(right.name, "structure", f"is in {two.path} alone")] if right else ()
            continue
        if right is None:
            differences.append(Difference(left.name, "structure", f"is in {one.path} alone"))
            continue
        texts, volatile = compare_cards(left.cards, right.cards)
        set_aside |= dict.fromkeys(volatile)
        differences += [Difference(left.name, "cards", text) for text in texts]
        differences += _compare_data(one, left, two, right, number, randomised=randomised)
    if [hdu.name for hdu in first] != (order := [hdu.name for hdu in second]) and sorted(order) == sorted(
        hdu.name for hdu in first
    ):
        differences.append(Difference("", "structure", "has its HDUs in another order"))
    # What was measured comes first: a list that is cut short must not end among keywords.
    return sorted(differences, key=lambda one: one.what == "cards"), tuple(sorted(set_aside))


def _pairs(first: Sequence[_Hdu], second: Sequence[_Hdu]) -> Iterator[tuple[_Hdu | None, _Hdu | None]]:
    """HDUs that belong together: by name, those of equal names by order; the primary HDUs always."""
    yield first[0], second[0]
    waiting: dict[tuple[str, int], _Hdu] = {}
    counts: Counter[str] = Counter()
    for hdu in second[1:]:
        waiting[hdu.name, counts[hdu.name]] = hdu
        counts[hdu.name] += 1
    counts.clear()
    for hdu in first[1:]:
        yield hdu, waiting.pop((hdu.name, counts[hdu.name]), None)
        counts[hdu.name] += 1
    for hdu in waiting.values():
        yield None, hdu


def _compare_data(
    one: _File, left: _Hdu, two: _File, right: _Hdu, number: int, *, randomised: bool
) -> list[Difference]:
    """How the data of two HDUs differ."""
    if left.size == right.size and _equal(one.data(left), two.data(right), left.size):
        return []
    from daxa.run.arrays import compare_images, compare_tables, image_of, table_of

    name = left.name
    if left.cards.text("XTENSION") == right.cards.text("XTENSION") == "BINTABLE":
        tables = table_of(left.cards), table_of(right.cards)
        if tables[0] and tables[1]:
            found = compare_tables(one.data(left), tables[0], two.data(right), tables[1])
            return [Difference(name, "data", text, noise and randomised) for text, noise in found]
    images = image_of(left.cards, left.size), image_of(right.cards, right.size)
    if images[0] and images[1]:
        text, noise = compare_images(one.data(left), images[0], two.data(right), images[1])
        if name == "primary" and number == 0:
            name = "image"
        return [Difference(name, "data", text, noise and randomised)]
    return [Difference(name, "data", f"has other data ({left.size} and {right.size} bytes)")]


def _equal(one: BufferedIOBase, two: BufferedIOBase, size: int) -> bool:
    while size > 0:
        left, right = read_up_to(one, min(_CHUNK, size)), read_up_to(two, min(_CHUNK, size))
        if left != right or not left:
            return False
        size -= len(left)
    return True
