"""Build the sample sky: event lists in the archive's tree, and the tables that list them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path

from daxa.errors import StorageError
from daxa.missions import find_mission
from daxa.simulator import chandra, nustar, xmm
from daxa.simulator.elsewhere import chandra_rows, nustar_rows, xmm_rows
from daxa.simulator.observation_tables import Row
from daxa.simulator.programme import CHANDRA, NUSTAR, XMM, AcisPointing, EpicPointing, FpmPointing
from daxa.simulator.sky import CENTRE, FIELD, Sky

__all__ = ["build_sky"]


_NAMES = {
    "Abell 907": CENTRE,
    "A907": CENTRE,
    "ACO 907": CENTRE,
    "RXC J0958.3-1103": CENTRE,
    "Withheld field": (200.0, 30.0),
    **{source.name: (source.ra, source.dec) for source in FIELD[1:]},
}
_YEAR = 380.0


def build_sky(root: Path, *, seed: int = 907) -> Sky:
    """Simulate the sample sky, unless it is there already.

    Parameters
    ----------
    root
        Directory for simulated skies; each seed (and version of the simulation) has its own below it.
    seed
        Of the random numbers.  The same seed gives the same bytes.

    Returns
    -------
    Sky
        Ready for `Observatory` or `serve`: two XMM-Newton, two Chandra and one NuSTAR
        observation of the field of Abell 907, and tables that list many others.

    Raises
    ------
    StorageError
        The directory cannot be written.
    """
    place = Path(root).absolute() / f"sky-{seed}-{_version()}"
    if not (place / "tables.json").is_file():
        try:
            _build(place, seed)
        except OSError as error:
            raise StorageError(
                "sample", f"the sample sky cannot be written to {root}: {error}", remedy="choose another directory"
            ) from None
    tables = json.loads((place / "tables.json").read_text(encoding="ascii"))
    return Sky(place / "tree", tables, _NAMES, FIELD)


def _version() -> str:
    # The code that makes the sky is part of what it is made of.
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:8]


def _build(place: Path, seed: int) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".building-", dir=place.parent))
    try:
        tables = {
            "xmmmaster": [_xmm_row(scratch, pointing, seed) for pointing in XMM] + xmm_rows(seed),
            "chanmaster": [_chandra_row(scratch, pointing, seed) for pointing in CHANDRA] + chandra_rows(seed),
            "numaster": [_nustar_row(scratch, pointing, seed) for pointing in NUSTAR] + nustar_rows(seed),
        }
        _settle_dates(scratch / "tree")
        text = json.dumps({name: _numbered(rows) for name, rows in tables.items()}, indent=1, sort_keys=True)
        (scratch / "tables.json").write_text(text + "\n", encoding="ascii")
        scratch.chmod(0o755)
        try:
            scratch.rename(place)
        except OSError:
            # Another process was faster, which is as good.
            if not (place / "tables.json").is_file():
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _numbered(rows: list[Row]) -> list[Row]:
    # HEASARC's row identifiers have nothing to do with the order of the rows.
    return [{**row, "__row": str(2000 + 7 * number)} for number, row in enumerate(rows)]


def _settle_dates(tree: Path) -> None:
    for path in sorted(tree.rglob("*"), reverse=True):
        os.utime(path, (1_600_000_000, 1_600_000_000))


def _directory(scratch: Path, mission: str, obs_id: str) -> Path:
    place = scratch / "tree" / find_mission(mission).directory_of(obs_id)
    place.mkdir(parents=True)
    return place


def _xmm_row(scratch: Path, pointing: EpicPointing, seed: int) -> Row:
    ontime = xmm.write_observation(_directory(scratch, "xmm", pointing.obs_id), pointing, FIELD, seed=seed)
    return {
        "obsid": pointing.obs_id, "name": pointing.target, "ra": pointing.ra, "dec": pointing.dec,
        "time": pointing.start, "end_time": pointing.start + pointing.seconds / 86400, "duration": pointing.seconds,
        "pn_time": ontime["PN"], "mos1_time": ontime["M1"], "mos2_time": ontime["M2"], "pn_mode": "EFF",
        "mos1_mode": "FF", "mos2_mode": "FF", "pn_num": 1, "mos1_num": 1, "mos2_num": 1, "status": "archived",
        "data_in_heasarc": "Y", "public_date": pointing.start + _YEAR, "pi_lname": "SAMPLE",
    }  # fmt: skip


def _chandra_row(scratch: Path, pointing: AcisPointing, seed: int) -> Row:
    place = _directory(scratch, "chandra", pointing.obs_id)
    live = chandra.write_observation(place, pointing, FIELD, seed=seed)
    return {
        "obsid": pointing.obs_id, "name": pointing.target.upper(), "ra": pointing.ra, "dec": pointing.dec,
        "time": pointing.start, "exposure": live, "detector": "ACIS-I", "grating": "NONE", "data_mode": "FAINT",
        "status": "archived", "type": "GO", "class": "CLUSTER OF GALAXIES", "pi": "SAMPLE",
        "public_date": pointing.start + _YEAR,
    }  # fmt: skip


def _nustar_row(scratch: Path, pointing: FpmPointing, seed: int) -> Row:
    place = _directory(scratch, "nustar", pointing.obs_id)
    ontime = nustar.write_observation(place, pointing, FIELD, seed=seed)
    return {
        "obsid": pointing.obs_id, "name": pointing.target, "ra": pointing.ra, "dec": pointing.dec,
        "time": pointing.start, "end_time": pointing.start + pointing.seconds / 86400, "ontime_a": ontime["A"],
        "ontime_b": ontime["B"], "exposure_a": ontime["A"] * nustar.DEADC, "exposure_b": ontime["B"] * nustar.DEADC,
        "observation_mode": "SCIENCE", "spacecraft_mode": "INERTIAL", "status": "archived", "issue_flag": 0,
        "instrument_mode": "SCIENCE", "roll_angle": pointing.roll,
        "subject_category": "Galaxy clusters and extragalactic diffuse objects", "pi_lname": "SAMPLE",
        "public_date": pointing.start + _YEAR,
    }  # fmt: skip
