"""RXTE PCA and HEXTE, pointed observations, from HEASARC's archive.

A directory's path contains the observing cycle.  Collimated, not imaging.  The table has
no end time: it is estimated from the exposure.
"""

from daxa.missions.places import HEASARC
from daxa.missions.spec import Credit, FieldOfView, Instrument, MissionSpec, ObservationTable

_COLLIMATOR = FieldOfView("circle", 60.0)

SPEC = MissionSpec(
    name="rxte",
    title="RXTE",
    aliases=("xte",),
    table=ObservationTable(
        name="xtemaster",
        columns={
            "obs_id": "obsid",
            "target": "target_name",
            "ra": "ra",
            "dec": "dec",
            "start": "time",
            "exposure": "exposure",
            "public_date": "time",
        },
        where=("exposure > 0",),
        proprietary="none",
        mode=("pca_config1", "pca_config2", "hexte_modea", "hexte_modeb"),
        # How its subject categories are written is not recorded in the sources used here.
    ),
    id_pattern=r"[0-9]{5}-[0-9]{2}-[0-9]{2}-[0-9]{2,3}[A-Z]{0,2}",
    id_example="93087-01-02-11",
    instruments=(
        Instrument("PCA", _COLLIMATOR, exposure="exposure"),
        Instrument("HEXTE", _COLLIMATOR, exposure="exposure"),
    ),
    default_instruments=("PCA", "HEXTE"),
    mirrors=HEASARC,
    directory="rxte/data/archive/AO{cycle}/P{first5}/{obs_id}",
    directory_columns=("cycle",),
    credit=Credit("RXTE", "https://heasarc.gsfc.nasa.gov/docs/heasarc/datasetid.html"),
    note="No imaging; reading its science array and event modes is not declared.",
)
