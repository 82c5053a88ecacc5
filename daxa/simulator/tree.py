"""Real event lists, laid out as HEASARC's tree holds them.

The shared real XMM lists are cleaned lists of a survey; they stand in for the
pipeline's lists, under the names that the pipeline would have given them.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Mapping
from pathlib import Path

from astropy.io import fits

from daxa.errors import DataError
from daxa.missions import find_mission
from daxa.simulator.observation_tables import Cell, Row
from daxa.simulator.sky import Sky
from daxa.simulator.times import utc_mjd

__all__ = ["real_sky"]

_XMM_LISTS = {
    "0404910601": {"M1": "mos1_exp1_clean_evts.fits", "M2": "mos2_exp1_clean_evts.fits"},
    "0201901401": {"M1": "mos1_exp1_clean_evts.fits", "M2": "mos2_exp1_clean_evts.fits"},
}
_XMM_ATTITUDE = {"0404910601": "xmm/0404910601/P0404910601OBX000ATTTSR0000.FIT"}
_CHANDRA_LIST = "chandra/acis_18461_cena_evt2.fits"
_NUSTAR_LIST = "nustar/nu30101031002A_cut_evt.fits"
_SINCE_1998 = 50814.0


def real_sky(data: Path, root: Path) -> Sky:
    """Lay out the shared real files as an archive would.

    Parameters
    ----------
    data
        The directory of real data.
    root
        Where to build the tree.

    Returns
    -------
    Sky
        Its ``files`` say which real file is at each path of the archive.

    Raises
    ------
    DataError
        A real file is missing.
    """
    data, tree = Path(data), Path(root).absolute() / "tree"
    files: dict[str, Path] = {}
    tables = {
        "xmmmaster": [_xmm(data, obs_id, files) for obs_id in _XMM_LISTS],
        "chanmaster": [_chandra(data, files)],
        "numaster": [_nustar(data, files)],
    }
    for path, file in files.items():
        target = tree / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(gzip.compress(file.read_bytes(), 4, mtime=0))
        os.utime(target, (1_600_000_000, 1_600_000_000))
    names = {str(row["name"]): _position(row) for rows in tables.values() for row in rows}
    return Sky(tree, tables, names, files=files)


def _position(row: Row) -> tuple[float, float]:
    ra, dec = (row[name] for name in ("ra", "dec"))
    if not isinstance(ra, float | int) or not isinstance(dec, float | int):
        raise TypeError("a row of an observation has no place")
    return ra, dec


def _headers(data: Path, name: str) -> tuple[Path, fits.Header]:
    file = data / name
    if not file.is_file():
        raise DataError("absent", f"the real file {name} is not below {data}", remedy="set DAXA_TEST_DATA")
    with fits.open(file) as hdus:
        return file, hdus["EVENTS"].header.copy()


def _xmm(data: Path, obs_id: str, files: dict[str, Path]) -> Row:
    directory = find_mission("xmm").directory_of(obs_id)
    headers: dict[str, fits.Header] = {}
    for camera, name in _XMM_LISTS[obs_id].items():
        file, headers[camera] = _headers(data, f"xmm/{obs_id}/eclean/{name}")
        exposure = headers[camera]["EXPIDSTR"].strip()
        files[f"{directory}/PPS/P{obs_id}{camera}{exposure}MIEVLI0000.FTZ"] = file
    if obs_id in _XMM_ATTITUDE:
        files[f"{directory}/PPS/P{obs_id}OBX000ATTTSR0000.FTZ"] = data / _XMM_ATTITUDE[obs_id]
    header = headers["M1"]
    start = min(utc_mjd(one["TSTART"], _SINCE_1998) for one in headers.values())
    end = max(utc_mjd(one["TSTOP"], _SINCE_1998) for one in headers.values())
    return {
        **_place(header, "OBS_ID", "RA_PNT", "DEC_PNT"), "time": start, "end_time": end,
        "duration": (end - start) * 86400, "pn_time": 0.0, "mos1_time": _longest(headers["M1"]),
        "mos2_time": _longest(headers["M2"]), "status": "archived", "data_in_heasarc": "Y", "public_date": start + 400,
        "xmm_revolution": int(header["REVOLUT"]),
    }  # fmt: skip


def _longest(header: fits.Header) -> float:
    return max(float(value) for key, value in header["ONTIME??"].items() if key[6:].isdigit())


def _place(header: Mapping, obs_id: str, ra: str, dec: str) -> dict[str, Cell]:
    return {
        "obsid": header[obs_id].strip(), "name": header["OBJECT"].strip(), "ra": float(header[ra]),
        "dec": float(header[dec]),
    }  # fmt: skip


def _chandra(data: Path, files: dict[str, Path]) -> Row:
    file, header = _headers(data, _CHANDRA_LIST)
    place = _place(header, "OBS_ID", "RA_PNT", "DEC_PNT")
    obs_id = str(place["obsid"])
    files[f"{find_mission('chandra').directory_of(obs_id)}/primary/acisf{obs_id:>05}N001_evt2.fits.gz"] = file
    start = utc_mjd(header["TSTART"], _SINCE_1998)
    return {
        **place, "time": start, "exposure": float(header["EXPOSURE"]), "detector": "ACIS-I", "grating": "NONE",
        "data_mode": header["DATAMODE"], "status": "archived", "type": "GO", "public_date": start + 400,
    }  # fmt: skip


def _nustar(data: Path, files: dict[str, Path]) -> Row:
    file, header = _headers(data, _NUSTAR_LIST)
    place = _place(header, "OBS_ID", "RA_PNT", "DEC_PNT")
    obs_id = str(place["obsid"])
    files[f"{find_mission('nustar').directory_of(obs_id)}/event_cl/nu{obs_id}A01_cl.evt.gz"] = file
    reference = header["MJDREFI"] + header["MJDREFF"]
    start, end = (utc_mjd(header[key], reference) for key in ("TSTART", "TSTOP"))
    return {
        **place, "time": start, "end_time": end, "exposure_a": float(header["EXPOSURE"]), "exposure_b": 0.0,
        "ontime_a": float(header["ONTIME"]), "ontime_b": 0.0, "observation_mode": "SCIENCE",
        "spacecraft_mode": "INERTIAL", "status": "archived", "public_date": start + 400,
    }  # fmt: skip
