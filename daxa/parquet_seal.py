"""The seal of a Parquet file: a digest that shows whether all its bytes are those that were written.

Between the pages and the footer, where the format leaves room, is the SHA-256 of all its other
bytes.  Page checksums alone would cover neither the headers of pages nor the footer.  A file
without a seal was written by another program.
"""

from __future__ import annotations

import hashlib

__all__ = ["footer_of", "is_whole", "sealed"]

_SEAL = b"daxa-sha256:"
_SEALED = len(_SEAL) + 64
_TAIL = 8
"""Bytes behind the footer: its length, and ``PAR1``."""


def sealed(content: bytes) -> bytes:
    """A file with its seal."""
    split = _footer_start(content)
    head, foot = content[:split] + _SEAL, content[split:]
    return head + hashlib.sha256(head + foot).hexdigest().encode() + foot


def is_whole(content: bytes) -> bool:
    """Whether the seal, if there is one, holds."""
    split = _footer_start(content)
    head, seal = content[: split - 64], content[split - 64 : split]
    if split < _SEALED or not head.endswith(_SEAL):
        # A damaged length of the footer points elsewhere.
        return _SEAL not in content[-_TAIL - _SEALED - (1 << 20) :]
    digest = hashlib.sha256(head)
    digest.update(content[split:])
    return digest.hexdigest().encode() == seal


def footer_of(content: bytes) -> bytes:
    """The metadata at the end of a file, without their length."""
    return content[_footer_start(content) : -_TAIL]


def _footer_start(content: bytes) -> int:
    """Where the footer begins, 0 where the end of the file cannot be right."""
    return max(len(content) - _TAIL - int.from_bytes(content[-_TAIL:-4], "little"), 0)
