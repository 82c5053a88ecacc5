"""Raw files of XMM-Newton for the stand-ins: a chip's file holds the calibrated list that the chain will give."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

CHIPS = {"PN": "01", "M1": "10", "M2": "10"}
_LIST = re.compile(r"P(\d{10})(PN|M1|M2)([SUX]\d{3})[PM]IEVLI0000\.(?:FTZ|FIT)")


def write_odf(products: Path, target: Path, start: str = "2006-05-27T09:58:06") -> None:
    """Write raw files into `target`, from a directory with event lists and attitude as the pipeline names them."""
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(products.iterdir()):
        content = path.read_bytes()
        packed = content if content[:2] == b"\x1f\x8b" else gzip.compress(content, 1, mtime=0)
        if found := _LIST.fullmatch(path.name):
            obs_id, camera, exposure = found.groups()
            (target / f"0001_{obs_id}_{camera}{exposure}{CHIPS[camera]}IME.FIT.gz").write_bytes(packed)
            summary = f"OBSERVATION {obs_id}\n{start} / Scheduled Start Time\n".encode()
            (target / f"0001_{obs_id}_SCX00000SUM.ASC.gz").write_bytes(gzip.compress(summary, mtime=0))
        elif "ATTTSR" in path.name:
            (target / f"0001_{path.name[1:11]}_SCX00000ATS.FIT.gz").write_bytes(packed)
