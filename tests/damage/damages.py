"""What can happen to a file, and the kinds of files that an archive, its cache and its remote have."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from tests.publish.workshop import FIRST, THIRD, Workshop

NUSTAR = "30101031002"


def flip(victim: Path, other: Path) -> None:
    """Invert a byte in the middle; size, modification time and inode stay."""
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 0xFF
    _overwrite(victim, bytes(content))


def truncate(victim: Path, other: Path) -> None:
    content = victim.read_bytes()
    _overwrite(victim, content[: len(content) // 2])


def delete(victim: Path, other: Path) -> None:
    victim.unlink()


def swap(victim: Path, other: Path) -> None:
    """Exchange the contents of two files of the same kind; inodes and times stay."""
    one, two = victim.read_bytes(), other.read_bytes()
    assert one != two
    _overwrite(victim, two)
    _overwrite(other, one)


def _overwrite(path: Path, content: bytes) -> None:
    found = path.stat()
    path.chmod(0o644)
    with path.open("r+b") as stream:
        stream.write(content)
        stream.truncate()
    path.chmod(found.st_mode)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


DAMAGES: dict[str, Callable[[Path, Path], None]] = {"flip": flip, "truncate": truncate, "delete": delete, "swap": swap}

_PRODUCT = "data/xmm/clean/{0}/obsid{0}-instM1-subexpS001-en-clean.fits"
TREE: dict[str, tuple[str, str]] = {
    "configuration": ("daxa.toml", "software.toml"),
    "software": ("software.toml", "daxa.toml"),
    "parameters": ("params/xmm.toml", "params/nustar.toml"),
    "selection": ("selection/xmm.parquet", "selection/nustar.parquet"),
    "ledger": ("ledger/xmm-clean.parquet", "ledger/xmm-images.parquet"),
    "upstream": ("upstream/xmm.parquet", "upstream/nustar.parquet"),
    "pipeline": ("dvc.yaml", "dvc.lock"),
    "lock": ("dvc.lock", "dvc.yaml"),
    "logs of the release": ("logs.dvc", "README.md"),
    "metrics": ("metrics.json", ".zenodo.json"),
    "read me": ("README.md", "LICENSE"),
    "citation": ("CITATION.cff", "README.md"),
    "attributes": (".gitattributes", ".gitignore"),
    "settings of DVC": (".dvc/config", ".dvc/.gitignore"),
    "workflow": (".github/workflows/verify.yml", "README.md"),
    "product": (_PRODUCT.format(FIRST), _PRODUCT.format(THIRD)),
    "manifest": (f"data/xmm/images/{FIRST}/manifest.json", f"data/xmm/images/{THIRD}/manifest.json"),
    "fetched": (f"data/xmm/fetch/{FIRST}/PPS/raw.FTZ", f"data/xmm/fetch/{THIRD}/PPS/raw.FTZ"),
    "log": (f"logs/xmm/clean/{FIRST}.log", f"logs/xmm/clean/{THIRD}.log"),
    "report": ("report/index.html", "metrics.json"),
}
"""Kind of a file to the one that is damaged and another one with which it may be exchanged."""


def objects(base: Path, kind: str) -> list[Path]:
    """Objects of a cache or a remote: files of products, or listings."""
    found = sorted(path for path in (base / "files" / "md5").rglob("*") if path.is_file())
    if kind == "listing":
        return [path for path in found if path.suffix == ".dir"]
    return [path for path in found if path.suffix != ".dir" and b" clean " in path.read_bytes()]


def contents(base: Path) -> dict[str, bytes]:
    return {path.relative_to(base).as_posix(): path.read_bytes() for path in base.rglob("*") if path.is_file()}


def damaged_pair(workshop: Workshop, kind: str) -> tuple[Path, Path]:
    victim, other = TREE[kind]
    return workshop.layout.root / victim, workshop.layout.root / other
