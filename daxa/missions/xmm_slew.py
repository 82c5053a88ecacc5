"""XMM-Newton EPIC, slews between pointings, from HEASARC's mirror.

A slew crosses the sky: the position in the table says little about what it saw, so no
camera is chosen by default.
"""

from daxa.missions.spec import Credit, EventTimes, FieldOfView, Instrument, MissionSpec, ObservationTable

_EPIC = FieldOfView("circle", 15.0)

SPEC = MissionSpec(
    name="xmm_slew",
    title="XMM-Newton, slews",
    aliases=("xmm-newton_slew",),
    table=ObservationTable(
        name="xmmmaster",
        columns={
            "obs_id": "obsid",
            "target": "name",
            "ra": "ra",
            "dec": "dec",
            "start": "time",
            "end": "end_time",
            "exposure": "duration",
            "public_date": "public_date",
        },
        where=("status in ('processed', 'archived')", "data_in_heasarc = 'Y'", "obsid like '9%'"),
        mode=("pn_mode", "mos1_mode", "mos2_mode"),
        never_public=(0.0, 416422.0),
    ),
    id_pattern=r"9[0-9]{9}",
    # No real slew is recorded where these facts come from.
    id_example="",
    instruments=(
        Instrument("PN", _EPIC, aliases=("EPN", "EPIC-PN"), exposure="pn_time", wide=True),
        Instrument("M1", _EPIC, aliases=("MOS1", "EMOS1"), exposure="mos1_time", wide=True),
        Instrument("M2", _EPIC, aliases=("MOS2", "EMOS2"), exposure="mos2_time", wide=True),
    ),
    default_instruments=(),
    directory="xmm/data/rev0/{obs_id}",
    event_times=EventTimes(50814.0),
    credit=Credit("XMM", "https://www.cosmos.esa.int/web/xmm-newton/publication-guidelines"),
    note="Scanning: a position finds a slew only by chance.",
    acknowledgement=(
        "Based on observations obtained with XMM-Newton, an ESA science mission with instruments and "
        "contributions directly funded by ESA Member States and NASA"
    ),
    bibcodes=("2001A&A...365L...1J", "2001A&A...365L..18S", "2001A&A...365L..27T"),
)
