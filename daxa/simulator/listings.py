"""Directory pages as the Apache server of HEASARC writes them."""

from __future__ import annotations

import time
from collections.abc import Callable
from html import escape
from pathlib import Path
from urllib.parse import quote

__all__ = ["listing_page", "rounded_size"]

_ICONS = {".gz": ("compressed", "   "), ".FTZ": ("unknown", "   "), ".txt": ("text", "TXT"), ".html": ("layout", "TXT")}


def listing_page(directory: Path, url_path: str, query: str = "") -> bytes:
    """The fancy index of a directory.

    Parameters
    ----------
    directory
        What to list; names that begin with a dot are left out.
    url_path
        Its decoded path in the address, with slashes at both ends.
    query
        The query of the address, such as ``C=M;O=D``.
    """
    order = dict(part.partition("=")[::2] for part in query.replace("&", ";").split(";") if "=" in part)
    entries = [path for path in directory.iterdir() if not path.name.startswith(".")]
    entries.sort(key=_sort_key(order.get("C", "N")), reverse=order.get("O") == "D")
    entries.sort(key=lambda path: not path.is_dir())
    width = max((len(_label(path)) for path in entries), default=16) + 1
    width = max(width, len("Parent Directory") + 1)
    flip = {letter: "D" if order.get("C", "N") == letter and order.get("O", "A") == "A" else "A" for letter in "NMSD"}
    head = (
        f'<pre><img src="/icons/blank.gif" alt="Icon "> <a href="?C=N;O={flip["N"]}">Name</a>{" " * (width - 4)} '
        f'<a href="?C=M;O={flip["M"]}">Last modified</a>      <a href="?C=S;O={flip["S"]}">Size</a>  '
        f'<a href="?C=D;O={flip["D"]}">Description</a><hr>'
    )
    parent = url_path.rstrip("/").rpartition("/")[0] + "/"
    up = (
        f'<img src="/icons/back.gif" alt="[PARENTDIR]"> <a href="{quote(parent)}">Parent Directory</a>'
        f"{' ' * (width - 16)}                    -   "
    )
    lines = [up, *(_line(path, width) for path in entries)]
    title = f"Index of {escape(url_path.rstrip('/') or '/')}"
    body = "\n".join(lines)
    page = (
        '<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 3.2 Final//EN">\n'
        f"<html>\n <head>\n  <title>{title}</title>\n </head>\n <body>\n<h1>{title}</h1>\n{head}{body}\n<hr></pre>\n"
        "</body></html>\n"
    )
    return page.encode()


def rounded_size(size: int) -> str:
    """A file size as a listing shows it: three digits at most, then K, M, G.

    Examples
    --------
    >>> rounded_size(900), rounded_size(3500), rounded_size(1_800_000)
    ('900 ', '3.4K', '1.7M')
    """
    if size < 973:
        return f"{size:3d} "
    value, unit = float(size), ""
    for unit in "KMGTP":  # noqa: B007 - the last unit is used after the loop
        value /= 1024
        if value < 973:
            break
    return f"{value:.1f}{unit}" if value < 9.95 else f"{value:3.0f}{unit}"


def _sort_key(column: str) -> Callable[[Path], tuple[float, str] | str]:
    if column == "M":
        return lambda path: (path.stat().st_mtime, path.name)
    if column == "S":
        return lambda path: (0 if path.is_dir() else path.stat().st_size, path.name)
    return lambda path: path.name


def _label(path: Path) -> str:
    return path.name + ("/" if path.is_dir() else "")


def _line(path: Path, width: int) -> str:
    label = _label(path)
    icon, text = ("folder", "DIR") if path.is_dir() else _ICONS.get(path.suffix, ("unknown", "   "))
    size = "  - " if path.is_dir() else rounded_size(path.stat().st_size)
    modified = time.strftime("%Y-%m-%d %H:%M", time.gmtime(path.stat().st_mtime))
    return (
        f'<img src="/icons/{icon}.gif" alt="[{text}]"> <a href="{quote(label)}">{escape(label)}</a>'
        f"{' ' * (width - len(label))} {modified}  {size}  "
    )
