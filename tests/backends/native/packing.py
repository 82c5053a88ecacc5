"""Files as the oldest archives hold them: packed by compress, in the form that ``gzip -d`` reads."""

from __future__ import annotations

__all__ = ["compressed"]


def compressed(content: bytes, widest: int = 16) -> bytes:
    """What compress makes of it, without ever clearing its table."""
    codes = {bytes([value]): value for value in range(256)}
    free, width, out, group, filled = 257, 9, bytearray([0x1F, 0x9D, 0x80 | widest]), 0, 0
    known = b""
    for value in content:
        longer = known + bytes([value])
        if longer in codes:
            known = longer
            continue
        group |= codes[known] << filled
        filled += width
        full = free > (1 << width) - 1 and width < widest
        if filled == 8 * width or full:
            # Eight codes make a group; a group is filled up before codes become wider.
            out += group.to_bytes(width, "little")
            group, filled = 0, 0
        width += full
        if free < 1 << widest:
            codes[longer] = free
            free += 1
        known = bytes([value])
    group |= codes[known] << filled
    return bytes(out + group.to_bytes((filled + width + 7) // 8, "little"))
