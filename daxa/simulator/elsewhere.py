"""Observations that the tables list besides those of the sample field.

Most lie elsewhere on the sky and have no data.  The others are the odd rows that real
tables hold: planned, withheld, without a position, with numbers that mean "unknown".
"""

from __future__ import annotations

import numpy as np

from daxa.simulator.observation_tables import Cell, Row
from daxa.simulator.sky import CENTRE

__all__ = ["FUTURE", "chandra_rows", "nustar_rows", "xmm_rows"]

FUTURE = 88000.0
"""A public date that is still to come (MJD, in 2099)."""


def _places(seed: int, count: int) -> list[tuple[float, float, float]]:
    rng = np.random.default_rng([seed, count])
    ra, dec = rng.uniform(0, 360, count), np.degrees(np.arcsin(rng.uniform(-1, 1, count)))
    start = rng.uniform(54000, 60000, count)
    # None may lie in the sample field by chance.
    dec = np.where(np.hypot(ra - CENTRE[0], dec - CENTRE[1]) < 3, dec + 10, dec)
    return [
        (round(float(a), 5), round(float(d), 5), round(float(t), 6)) for a, d, t in zip(ra, dec, start, strict=True)
    ]


def xmm_rows(seed: int) -> list[Row]:
    """Further rows of ``xmmmaster``."""
    common: dict[str, Cell] = {"status": "archived", "data_in_heasarc": "Y", "pn_time": 20000.0, "mos1_time": 22000.0,
              "mos2_time": 22000.0, "pn_mode": "FLG", "pi_lname": "SAMPLE", "duration": 23000.0}  # fmt: skip
    rows: list[Row] = [
        {**common, "obsid": f"01{number:06d}01", "name": f"SAMPLE FIELD {number}", "ra": ra, "dec": dec, "time": start,
         "end_time": start + 23000 / 86400, "public_date": start + 400.0}
        for number, (ra, dec, start) in enumerate(_places(seed, 60), start=1)
    ]  # fmt: skip
    near: dict[str, Cell] = {**common, "name": "Abell 907", "ra": CENTRE[0] + 0.01, "dec": CENTRE[1], "time": 59000.0,
            "end_time": 59000.3, "public_date": 59400.0}  # fmt: skip
    return [
        *rows,
        {**near, "obsid": "9900000001", "name": "SLEW"},
        {**near, "obsid": "0900000301", "status": "scheduled", "time": 0.0, "end_time": 0.0, "pn_time": 0.0,
         "mos1_time": 0.0, "mos2_time": 0.0, "duration": 0.0, "data_in_heasarc": "N", "public_date": 0.0},
        {**near, "obsid": "0900000401", "data_in_heasarc": "N", "public_date": 416422.0},
        {**common, "obsid": "0900000501", "name": "NO POSITION", "ra": None, "dec": None, "time": 57000.0,
         "end_time": 57000.2, "public_date": 57400.0},
        {**common, "obsid": "0900000601", "name": "WITHHELD FIELD", "ra": 200.0, "dec": 30.0, "time": 60900.0,
         "end_time": 60900.3, "public_date": FUTURE},
        {**common, "obsid": "0900000701", "name": "NEVER PUBLIC", "ra": 200.2, "dec": 30.1, "time": 60910.0,
         "end_time": 60910.3, "public_date": 416422.0},
    ]  # fmt: skip


def chandra_rows(seed: int) -> list[Row]:
    """Further rows of ``chanmaster``."""
    common: dict[str, Cell] = {"status": "archived", "detector": "ACIS-S", "grating": "NONE", "data_mode": "FAINT",
              "type": "GO", "class": "CLUSTER OF GALAXIES", "pi": "SAMPLE", "exposure": 30000.0}  # fmt: skip
    rows: list[Row] = [
        {**common, "obsid": str(1000 + number), "name": f"SAMPLE FIELD {number}", "ra": ra, "dec": dec, "time": start,
         "public_date": start + 370.0}
        for number, (ra, dec, start) in enumerate(_places(seed + 1, 60), start=1)
    ]  # fmt: skip
    near: dict[str, Cell] = {**common, "name": "ABELL 907", "ra": CENTRE[0] - 0.01, "dec": CENTRE[1], "time": 58000.0,
            "public_date": 58400.0}  # fmt: skip
    return [
        *rows,
        {**near, "obsid": "90011", "detector": "HRC-S", "grating": "LETG"},
        {**near, "obsid": "90012", "grating": "HETG"},
        {**near, "obsid": "90013", "status": "scheduled", "time": 0.0, "exposure": 40000.0, "public_date": 0.0},
        {**common, "obsid": "90014", "name": "NO POSITION", "ra": None, "dec": None, "time": 57100.0,
         "public_date": 57500.0},
        {**common, "obsid": "90015", "name": "WITHHELD FIELD", "ra": 200.0, "dec": 30.0, "time": 60920.0,
         "public_date": FUTURE},
    ]  # fmt: skip


def nustar_rows(seed: int) -> list[Row]:
    """Further rows of ``numaster``."""
    common: dict[str, Cell] = {"status": "archived", "observation_mode": "SCIENCE", "spacecraft_mode": "INERTIAL",
              "exposure_a": 21000.0, "exposure_b": 20900.0, "ontime_a": 22500.0, "ontime_b": 22500.0, "issue_flag": 0,
              "subject_category": "SAMPLE", "pi_lname": "SAMPLE"}  # fmt: skip
    rows: list[Row] = [
        {**common, "obsid": f"{10000000 + number}002", "name": f"SAMPLE_FIELD_{number}", "ra": ra, "dec": dec,
         "time": start, "end_time": start + 0.5, "public_date": start + 380.0}
        for number, (ra, dec, start) in enumerate(_places(seed + 2, 40), start=1)
    ]  # fmt: skip
    near: dict[str, Cell] = {**common, "name": "Abell_907", "ra": CENTRE[0], "dec": CENTRE[1] + 0.01, "time": 58500.0,
            "end_time": 58500.5, "public_date": 58900.0}  # fmt: skip
    return [
        *rows,
        {**near, "obsid": "90900001001", "observation_mode": "SLEW"},
        {**near, "obsid": "90900002002", "spacecraft_mode": "STELLAR"},
        # Planned targets carry the time they were granted as a negative exposure.
        {**near, "obsid": "90900003002", "status": "accepted", "time": 0.0, "end_time": 0.0, "exposure_a": -30000.0,
         "exposure_b": -30000.0, "ontime_a": 0.0, "ontime_b": 0.0, "public_date": None},
        {**near, "obsid": "90900004002", "ontime_a": 0.0, "ontime_b": 0.0, "exposure_a": 0.0, "exposure_b": 0.0},
        {**common, "obsid": "90900005002", "name": "WITHHELD_FIELD", "ra": 200.0, "dec": 30.0, "time": 60930.0,
         "end_time": 60930.5, "public_date": None},
    ]  # fmt: skip
