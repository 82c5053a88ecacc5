"""Small observations with all that the missions' own software starts from, in the archive's tree.

They are apart from the sample sky, whose files stay what they are.  The places are those of its field.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from daxa.missions import find_mission
from daxa.missions.tiling import tile_at
from daxa.simulator import chandra, erosita, nustar
from daxa.simulator.programme import AcisPointing, FpmPointing
from daxa.simulator.raw_lists import write_raw
from daxa.simulator.sky import CENTRE, FIELD, Sky

__all__ = ["RAW", "ROW", "build_raw_sky"]

_FPM = FpmPointing("90900003002", "Abell_907", 149.600, -11.070, 153.0, 58311.40, 12000.0)
_ACIS = AcisPointing("90003", "Abell 907", 149.595, -11.060, 41.4, 58130.10, 4000.0, flare=(0.55, 0.65, 6.0))
_TILE = tile_at(*CENTRE)

_OTHERS = {"swift": "00090900001", "nicer": "9090000101", "suzaku": "909000010", "xrism": "909000010"}
_START = 58258.25
"""Begin of the observations of these, MJD UTC; it is part of the paths of some."""

RAW = {"nustar": _FPM.obs_id, "chandra": _ACIS.obs_id, "erass1": _TILE.obs_id, **_OTHERS}
"""Mission to the observation of it."""

ROW = {"start": _START}
"""What a row of the observation tables would say of each, as `daxa.missions.MissionSpec.directory_of` needs it."""


def _write_other(mission: str, place: Path, seed: int) -> None:
    write_raw(place, mission, _OTHERS[mission], FIELD[5::-1], place=CENTRE, start=_START, seed=seed)


_WRITERS: Mapping[str, Callable[[Path, int], None]] = {
    "nustar": lambda place, seed: nustar.write_raw_observation(place, _FPM, FIELD, seed=seed),
    "chandra": lambda place, seed: chandra.write_raw_observation(place, _ACIS, FIELD, seed=seed),
    "erass1": lambda place, seed: erosita.write_tile(place, _TILE, FIELD, seed=seed),
    **{mission: partial(_write_other, mission) for mission in _OTHERS},
}


def build_raw_sky(root: Path, *, seed: int = 907) -> Sky:
    """Simulate one observation of each mission of `RAW`, with raw files.

    Parameters
    ----------
    root
        Directory for it; what is there already is left as it is.
    seed
        Of the random numbers.  The same seed gives the same bytes.

    Returns
    -------
    Sky
        Ready to be served; no table lists its observations.
    """
    place = Path(root).absolute() / f"raw-{seed}"
    if not place.is_dir():
        place.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".building-", dir=place.parent))
        try:
            for mission, write in _WRITERS.items():
                write(scratch / "tree" / find_mission(mission).directory_of(RAW[mission], ROW), seed)
            scratch.chmod(0o755)
            scratch.rename(place)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return Sky(place / "tree", {}, {source.name: (source.ra, source.dec) for source in FIELD}, FIELD)
