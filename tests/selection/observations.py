"""Small tables of observations for tests."""

from __future__ import annotations

import pandas as pd

ROW = {
    "obs_id": "0404910601",
    "target": "RXCJ0958-1103",
    "ra": 149.591375,
    "dec": -11.0887,
    "start": 53882.416,
    "end": 53882.653,
    "exposure": 20470.0,
    "instruments": "PN,M1,M2",
    "public_date": 54300.0,
    "category": "GCL",
    "mode": "PrimeFullWindow",
    "roll": 306.72,
    "exposures": "15000,19000,19000",
}


def observations(*changes: dict) -> pd.DataFrame:
    """One row per change, each the row above with that change; other instruments have no exposures of their own."""
    unknown = {"exposures": ""}
    return pd.DataFrame([ROW | (unknown if "instruments" in one else {}) | one for one in changes or ({},)])
