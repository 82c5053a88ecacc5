"""A field of eROSITA's CalPV as MPE offers it: one tar file with the event lists of two pointings.

It is apart from the sample sky, whose files stay what they are; the sources are those of its field.
"""

from __future__ import annotations

import gzip
import io
import os
import shutil
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from daxa.missions import find_mission
from daxa.simulator.erosita import ModulePointing, write_pointing
from daxa.simulator.observation_tables import Row
from daxa.simulator.sky import CENTRE, FIELD, Sky

__all__ = ["FIELD_FILE", "POINTINGS", "build_field_sky", "member_of", "pack_field"]

_SECONDS = 400.0

POINTINGS = (
    ModulePointing("700180", "Abell 907", *CENTRE, 58800.0, _SECONDS),
    ModulePointing("700181", "Abell 907", CENTRE[0] + 0.05, CENTRE[1] - 0.05, 58801.5, _SECONDS),
)
"""Two observations that are in one field."""

FIELD_FILE = next(one.file for one in find_mission("erosita_calpv").bundles if POINTINGS[0].obs_id in one.obs_ids)
"""The tar file of that field."""


def member_of(obs_id: str) -> str:
    """Path of an observation's event list in the tar file.

    Examples
    --------
    >>> member_of("700180")
    'RE_J2334m471/700180/pm00_700180_020_EventList_c001.fits'
    """
    return f"{FIELD_FILE.partition('.')[0]}/{obs_id}/pm00_{obs_id}_020_EventList_c001.fits"


def pack_field(members: Sequence[tuple[str, bytes]]) -> bytes:
    """A compressed tar file as GNU tar writes it, with folders; the same bytes every time.

    Parameters
    ----------
    members
        Path and content of each file.
    """
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        folders = dict.fromkeys(str(one) for name, _ in members for one in reversed(Path(name).parents) if one.name)
        for folder in folders:
            info = tarfile.TarInfo(folder)
            info.type, info.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(info)
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return gzip.compress(out.getvalue(), 1, mtime=0)


def build_field_sky(root: Path, *, seed: int = 907) -> Sky:
    """Simulate the field, with a readme and a catalogue beside the lists as real ones have.

    Parameters
    ----------
    root
        Directory for it; what is there already is left as it is.
    seed
        Of the random numbers.  The same seed gives the same bytes.

    Returns
    -------
    Sky
        Ready to be served; its table lists the two observations.
    """
    place = Path(root).absolute() / f"field-{seed}"
    spec = find_mission("erosita_calpv")
    if not place.is_dir():
        place.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".building-", dir=place.parent))
        try:
            file = scratch / "tree" / spec.directory_of(POINTINGS[0].obs_id) / FIELD_FILE
            file.parent.mkdir(parents=True)
            file.write_bytes(
                pack_field([("README", b"simulated\n"), *(_member(scratch, one, seed) for one in POINTINGS)])
            )
            os.utime(file, (1_600_000_000, 1_600_000_000))
            scratch.chmod(0o755)
            scratch.rename(place)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return Sky(place / "tree", {spec.table.name: [_row(one) for one in POINTINGS]}, {"Abell 907": CENTRE}, FIELD)


def _member(scratch: Path, pointing: ModulePointing, seed: int) -> tuple[str, bytes]:
    path = scratch / "list.fits"
    write_pointing(path, pointing, FIELD, seed=seed)
    content = path.read_bytes()
    path.unlink()
    return member_of(pointing.obs_id), content


def _row(one: ModulePointing) -> Row:
    return {
        "obsid": one.obs_id, "name": one.target, "ra": one.ra, "dec": one.dec, "time": one.start,
        "end_time": one.start + one.seconds / 86400, "exposure": one.seconds,
    }  # fmt: skip
