"""Rows as HEASARC's tables hold them."""

from __future__ import annotations

XMM = {
    "__row": "2108",
    "obsid": "0404910601",
    "name": "RXCJ0958-1103",
    "ra": 149.591375,
    "dec": -11.08872,
    "time": 53882.416,
    "end_time": 53882.653,
    "duration": 20470.0,
    "pn_time": 15000.0,
    "mos1_time": 19000.0,
    "mos2_time": 19000.0,
    "rgs1_time": 0.0,
    "rgs2_time": 0.0,
    "om_time": 0.0,
    "pn_mode": "PrimeFullWindow",
    "mos1_mode": "PrimeFullWindow",
    "mos2_mode": "PrimePartialW2",
    "public_date": 54300.0,
}

NUSTAR = {
    "__row": "17",
    "obsid": "30101031002",
    "name": "PSR_B1937p21",
    "ra": 294.8752,
    "dec": 21.567,
    "time": 57263.8367,
    "end_time": 57264.7855,
    "exposure_a": 38221.4,
    "exposure_b": 38000.0,
    "instrument_mode": "SCIENCE",
    "subject_category": "Galactic Compact Sources",
    "roll_angle": 331.2,
    "public_date": 57600.0,
}

CHANDRA = {
    "__row": "2487",
    "obsid": "18461",
    "name": "Centaurus A",
    "ra": 201.391,
    "dec": -43.0395,
    "time": 57501.524,
    "exposure": 5124.6,
    "detector": "ACIS-I",
    "grating": "NONE",
    "data_mode": "VFAINT",
    "class": "AGN UNCLASSIFIED",
    "type": "GO",
    "public_date": 57870.0,
}

BY_MISSION = {"xmm": XMM, "nustar": NUSTAR, "chandra": CHANDRA}
