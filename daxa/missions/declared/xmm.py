"""XMM-Newton, pointed observations, from HEASARC's mirror of the pipeline products.

Table ``xmmmaster`` and the file names are described in the XMM-Newton Data Files
Handbook and the PPS Interface document; the field of view is the 30 arcmin circle of EPIC.
The gratings see 5 arcmin across their dispersion, the optical monitor a square of 17 arcmin
(Users Handbook); they are found when named, and not processed here.
"""

from daxa.missions.places import HEASARC
from daxa.missions.spec import (
    Credit,
    FieldOfView,
    Instrument,
    MissionSpec,
    NativeInput,
    ObservationTable,
)

_EPIC = FieldOfView("circle", 15.0)
_RGS = FieldOfView("circle", 2.5)

SPEC = MissionSpec(
    name="xmm",
    title="XMM-Newton",
    aliases=("xmm-newton", "xmm_pointed", "epic"),
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
        where=("status in ('processed', 'archived')", "data_in_heasarc = 'Y'", "obsid not like '9%'"),
        mode=("pn_mode", "mos1_mode", "mos2_mode"),
        never_public=(0.0, 416422.0),
    ),
    id_pattern=r"[0-8][0-9]{9}",
    id_example="0404910601",
    instruments=(
        Instrument("PN", _EPIC, aliases=("EPN", "EPIC-PN"), exposure="pn_time"),
        Instrument("M1", _EPIC, aliases=("MOS1", "EMOS1"), exposure="mos1_time"),
        Instrument("M2", _EPIC, aliases=("MOS2", "EMOS2"), exposure="mos2_time"),
        Instrument("R1", _RGS, aliases=("RGS1",), exposure="rgs1_time"),
        Instrument("R2", _RGS, aliases=("RGS2",), exposure="rgs2_time"),
        Instrument("OM", FieldOfView("square", 8.5), exposure="om_time"),
    ),
    default_instruments=("PN", "M1", "M2"),
    mirrors=HEASARC,
    directory="xmm/data/rev0/{obs_id}",
    listings=("PPS",),
    event_tables=("EVENTS", r"STDGTI\d\d", "CALINDEX"),
    native_inputs=(
        NativeInput("events", r"PPS/P{obs_id}PN[SUX]\d{3}PIEVLI0000\.FTZ", "PN", required=True),
        NativeInput("events", r"PPS/P{obs_id}M1[SUX]\d{3}MIEVLI0000\.FTZ", "M1", required=True),
        NativeInput("events", r"PPS/P{obs_id}M2[SUX]\d{3}MIEVLI0000\.FTZ", "M2", required=True),
        NativeInput("events", r"PPS/P{obs_id}PN[SUX]\d{3}TIEVLI0000\.FTZ", "PN", curves=True),
        NativeInput("events", r"PPS/P{obs_id}M1[SUX]\d{3}TIEVLI0000\.FTZ", "M1", curves=True),
        NativeInput("events", r"PPS/P{obs_id}M2[SUX]\d{3}TIEVLI0000\.FTZ", "M2", curves=True),
        NativeInput("attitude", r"PPS/P{obs_id}OBX000ATTTSR0000\.FTZ"),
        NativeInput("flare-background", r"PPS/P{obs_id}PN[SUX]\d{3}FBKTSR0000\.FTZ", "PN"),
        NativeInput("flare-background", r"PPS/P{obs_id}M1[SUX]\d{3}FBKTSR0000\.FTZ", "M1"),
        NativeInput("flare-background", r"PPS/P{obs_id}M2[SUX]\d{3}FBKTSR0000\.FTZ", "M2"),
        NativeInput("exposure-map", r"PPS/P{obs_id}PN[SUX]\d{3}EXPMAP8000\.FTZ", "PN"),
        NativeInput("exposure-map", r"PPS/P{obs_id}M1[SUX]\d{3}EXPMAP8000\.FTZ", "M1"),
        NativeInput("exposure-map", r"PPS/P{obs_id}M2[SUX]\d{3}EXPMAP8000\.FTZ", "M2"),
    ),
    processed=True,
    credit=Credit(
        "XMM",
        "https://www.cosmos.esa.int/web/xmm-newton/publication-guidelines",
        read="2026-11-30",
        checked=("2001A&A...365L...1J",),
    ),
    acknowledgement=(
        "Based on observations obtained with XMM-Newton, an ESA science mission with instruments and "
        "contributions directly funded by ESA Member States and NASA"
    ),
    bibcodes=("2001A&A...365L...1J", "2001A&A...365L..18S", "2001A&A...365L..27T"),
    other_tables=(
        # The archive at ESAC: no end, no exposures of single instruments; its name for the target is not known to us.
        ObservationTable(
            name="xsa.v_all_observations",
            columns={
                "obs_id": "observation_id",
                "ra": "ra",
                "dec": "dec",
                "start": "start_utc",
                "exposure": "duration",
                "public_date": "proprietary_end_date",
            },
            where=("observation_id not like '9%'",),
            service="xsa",
        ),
    ),
)
