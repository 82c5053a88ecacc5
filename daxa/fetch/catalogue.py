"""The checksums that an archive publishes of an observation's files.

HEASARC keeps a FITS table beside some observations, with the POSIX ``cksum`` of each file
as it is stored.  The files may be newer than their catalogue, which then says nothing.
"""

from __future__ import annotations

import io
import re
import struct
import warnings
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from daxa.answers import moment_of
from daxa.errors import DataError
from daxa.fetch.connection import Connection, read_dated
from daxa.fetch.directories import list_directory
from daxa.fetch.listing import child_url
from daxa.fetch.parts import Transfer
from daxa.missions.facts import fill_pattern
from daxa.missions.spec import MissionSpec

__all__ = ["Catalogue", "check_listed", "posix_cksum", "read_catalogue"]

_LARGEST, _UNPACKED = 8 << 20, 64 << 20
_BLOCK = 1 << 20
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_NO_TABLE = (ArithmeticError, AttributeError, LookupError, OSError, TypeError, ValueError, struct.error, zlib.error)


@dataclass(frozen=True)
class Catalogue:
    """Checksums by the path below the observation's directory, or by the name alone.

    Parameters
    ----------
    sums
        The POSIX ``cksum`` of each.
    modified
        When the catalogue was written, as the server says; '' where it does not.
    """

    sums: Mapping[str, int] = field(default_factory=dict)
    modified: str = ""

    def sum_of(self, path: str) -> int | None:
        """The recorded checksum of a file; None where there is none."""
        return self.sums.get(path, self.sums.get(path.rpartition("/")[2]))


def posix_cksum(path: Path) -> int:
    """The checksum that the POSIX command ``cksum`` prints.

    It is the CRC of zlib over mirrored bytes, followed by the length.
    """
    crc, size = 0xFFFFFFFF, 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            size += len(block)
            crc = zlib.crc32(block.translate(_MIRRORED), crc)
    length = size.to_bytes((size.bit_length() + 7) // 8, "little")
    return int(f"{zlib.crc32(length.translate(_MIRRORED), crc):032b}"[::-1], 2)


def read_catalogue(
    connection: Connection, base: str, spec: MissionSpec, obs_id: str, say: Callable[[str], None]
) -> Catalogue:
    """The catalogue of an observation; an empty one where the archive has none that can be read.

    Parameters
    ----------
    connection, base
        To the archive, and the observation's directory.
    spec, obs_id
        The observation.
    say
        Receives remarks on anything unusual.

    Raises
    ------
    ServiceError
        The archive cannot be reached.
    """
    if not spec.catalogue:
        return Catalogue()
    name = re.compile(fill_pattern(spec.catalogue, obs_id))
    try:
        there = [one.name for one in list_directory(connection, base) or () if name.fullmatch(one.name)]
        if not there:
            return Catalogue()
        answer = read_dated(connection, child_url(base, there[0]), limit=_LARGEST)
    except DataError as error:
        say(f"the archive's checksums cannot be read: {error.message}")
        return Catalogue()
    if not answer:
        return Catalogue()
    try:
        return Catalogue(_sums(answer[0]), answer[1])
    except _NO_TABLE as error:
        say(f"the archive's checksums cannot be read: {there[0]} is not a FITS table of them ({type(error).__name__})")
    return Catalogue()


def _sums(content: bytes) -> dict[str, int]:
    from astropy.io import fits

    if content.startswith(b"\x1f\x8b"):
        content = zlib.decompressobj(wbits=31).decompress(content, _UNPACKED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with fits.open(io.BytesIO(content), memmap=False) as hdus:
            table = next((hdu for hdu in hdus if isinstance(hdu, fits.BinTableHDU | fits.TableHDU)), None)
            if table is None or table.header["NAXIS1"] * table.header["NAXIS2"] > len(content):
                raise ValueError("it holds no table, or claims to be larger than it is")
            names = [str(cell).strip() for cell in table.data["FILENAME"].tolist()]
            # A column of 32 bits shows the upper half of the sums as negative numbers.
            sums = [int(cell) % (1 << 32) for cell in table.data["CHECKSUM"].tolist()]
    return {name.removeprefix("./"): one for name, one in zip(names, sums, strict=True) if name and one}


def check_listed(catalogue: Catalogue, file: Path, path: str, transfer: Transfer) -> str:
    """Compare a file with the catalogue.

    Parameters
    ----------
    catalogue
        Of its observation.
    file, path
        Where it is, and its path below the observation's directory.
    transfer
        What the server said of it.

    Returns
    -------
    str
        A remark: the file is newer than its catalogue, and differs.

    Raises
    ------
    DataError
        ``data.checksum``: it differs, and is not newer.
    """
    recorded = catalogue.sum_of(path)
    if recorded is None or recorded == posix_cksum(file):
        return ""
    changed, written = moment_of(transfer.last_modified), moment_of(catalogue.modified)
    if changed and written and changed > written:
        return "it is newer than the archive's catalogue, whose checksum it does not have"
    raise DataError(
        "checksum",
        f"{path} does not have the checksum {recorded} that the archive's catalogue records",
        remedy="run `daxa run` again later; if it persists, report the file to the archive's help desk",
    )
