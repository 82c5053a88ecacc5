"""MAXI GSC and SSC, a row per day and sky tile, from HEASARC's archive.

It scans the sky with every orbit, in 768 HEALPix tiles of 7.3 degrees.  Of the columns of
``maximaster`` only ``unique_id`` (the day as MJD, then the tile) is recorded in the
sources used here; the service says which others it has.
"""

from daxa.missions.facts import PUBLIC_COLUMNS
from daxa.missions.places import HEASARC
from daxa.missions.spec import ArchiveProduct, Credit, FieldOfView, Instrument, MissionSpec, ObservationTable

_TILE = FieldOfView("square", 219.9)

SPEC = MissionSpec(
    name="maxi",
    title="MAXI",
    table=ObservationTable(
        name="maximaster",
        columns=PUBLIC_COLUMNS | {"obs_id": "unique_id", "target": "unique_id"},
        proprietary="none",
        usual=True,
    ),
    id_pattern=r"5[0-9]{4}[0-7][0-9]{2}|6[0-9]{4}[0-7][0-9]{2}",
    id_example="57115078",
    instruments=(Instrument("GSC", _TILE, wide=True), Instrument("SSC", _TILE, wide=True)),
    default_instruments=(),
    mirrors=HEASARC,
    directory="maxi/data/obs/MJD{first2}000/MJD{first5}",
    products=(
        ArchiveProduct("events", r"events/gsc_low/mx_mjd{first5}_gsc_low_{last3}\.evt(\.gz)?", "GSC"),
        ArchiveProduct("events", r"events/gsc_med/mx_mjd{first5}_gsc_med_{last3}\.evt(\.gz)?", "GSC"),
    ),
    credit=Credit("MAXI", "https://maxi.riken.jp/top/readme.html"),
    note="Scanning: a row is one day of one tile, so the list has some million rows.",
    bibcodes=("2009PASJ...61..999M",),
)
