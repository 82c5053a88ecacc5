"""INTEGRAL, public pointed science windows, from HEASARC's archive.

All instruments see through coded masks, so none is chosen by default, and none is imaged
here.  A science window needs the files of its revolution beside its own.
"""

from daxa.missions.places import HEASARC
from daxa.missions.spec import Credit, FieldOfView, Instrument, MissionSpec, ObservationTable

_JEMX, _IBIS = FieldOfView("circle", 144.0), FieldOfView("square", 249.0)

SPEC = MissionSpec(
    name="integral",
    title="INTEGRAL",
    aliases=("integral_pointed",),
    table=ObservationTable(
        name="intscwpub",
        columns={
            "obs_id": "scw_id",
            "target": "scw_id",
            "ra": "ra",
            "dec": "dec",
            "start": "start_date",
            "end": "end_date",
            "exposure": "good_isgri",
            "public_date": "start_date",
        },
        where=(
            "data_in_heasarc = 'Y'",
            "(good_jemx1 > 0 or good_jemx2 > 0 or good_isgri > 0 or good_picsit > 0 or good_spi > 0)",
        ),
        proprietary="none",
        mode=("spi_mode",),
    ),
    id_pattern=r"[0-9]{12}",
    id_example="005100410010",
    instruments=(
        Instrument("JEMX1", _JEMX, exposure="good_jemx1", wide=True),
        Instrument("JEMX2", _JEMX, exposure="good_jemx2", wide=True),
        Instrument("ISGRI", _IBIS, exposure="good_isgri", wide=True),
        Instrument("PICSIT", _IBIS, exposure="good_picsit", wide=True),
        Instrument("SPI", FieldOfView("circle", 420.0), exposure="good_spi", wide=True),
    ),
    default_instruments=(),
    mirrors=HEASARC,
    directory="integral/data/scw/{first4}/{obs_id}.{scw_ver}",
    directory_columns=("scw_ver",),
    credit=Credit("INTEGRAL", "https://heasarc.gsfc.nasa.gov/docs/heasarc/datasetid.html"),
    note="Coded masks: files and good time intervals only, never images.",
    bibcodes=(
        "2003A&A...411L...1W",
        "2003A&A...411L.131U",
        "2003A&A...411L.141L",
        "2003A&A...411L..63V",
        "2003A&A...411L.231L",
    ),
)
