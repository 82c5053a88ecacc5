"""eROSITA calibration and performance verification, the early data release at MPE.

Data come as one tar file for each of 32 fields, with nested folders and up to thirty observations; of each, the list
of all modules is used.  The columns of ``erosmaster`` are not recorded in the sources used here: the service says
which it has.
"""

from daxa.missions.facts import PUBLIC_COLUMNS, expand_ids
from daxa.missions.places import MPE
from daxa.missions.spec import (
    ArchiveProduct,
    Bundle,
    Credit,
    FieldOfView,
    Instrument,
    MissionSpec,
    NativeInput,
    ObservationTable,
)

# The modules see a circle of 1.03 degrees; a scan moved it over some degrees, in a shape that is not recorded.
_MODULE = FieldOfView("circle", 31.0)
_SCAN = FieldOfView("square", 190.9)
_CLOUDS, _GALACTIC, _EXTRAGALACTIC = "MAGELLANIC_CLOUDS", "GALACTIC_FIELDS", "EXTRAGALACTIC_FIELDS"
_FIELDS = (
    ("SURVEY", "EFEDS", "eFEDS.tar.gz", "300007-300010"),
    ("SURVEY", "ETA_CHA", "eta_Cha.tar.gz", "300004"),
    (_CLOUDS, "LMC_SN1987A", "LMC_SN1987A.tar.gz", "700016 700161 700203 700204"),
    (_CLOUDS, "LMC_N132D", "LMC_N132D.tar.gz", "700156 700179 700182-700185 700201 700202"),
    (_CLOUDS, "PSR_J0540_6919", "PSR_J0540m6919.tar.gz", "700206"),
    (_CLOUDS, "PSR_J0537_6910", "PSR_J0537m6910.tar.gz", "700205"),
    (_CLOUDS, "PSR_J0540_PSR_J0537", "PSR_J0540_PSR_J0537.tar.gz", "700207"),
    (_CLOUDS, "1ES_0102_72", "1ES_0102m72.tar.gz", "700001-700005"),
    (_GALACTIC, "NGC_2516", "NGC_2516.tar.gz", "700018 700019"),
    (_GALACTIC, "PSR_B0656_14", "PSR_B0656p14.tar.gz", "300000"),
    (_GALACTIC, "PSR_1509_58", "PSR_1509m58.tar.gz", "900035 900043"),
    (_GALACTIC, "IGR_J13020_6359__2RXP_J130159_635806_", "IGR_J13020m6359.tar.gz", "900033"),
    (_GALACTIC, "IGR_J16318_4848", "IGR_J16318m4848.tar.gz", "900062"),
    (_GALACTIC, "OAO_1657_415", "OAO_1657m415.tar.gz", "900072"),
    (_GALACTIC, "1RXS_J072025_312554", "1RXS_J072025m312554.tar.gz", "700007"),
    (_GALACTIC, "VELA_SNR", "Vela_SNR.tar.gz", "700039"),
    (_GALACTIC, "PUPPIS_A", "Puppis_A.tar.gz", "700199 700200"),
    (_GALACTIC, "HR_3165__ZET_PUP_", "HR_3165.tar.gz", "700167"),
    (_GALACTIC, "CRAB_1", "Crab_I.tar.gz", "900056 900075-900099"),
    (_GALACTIC, "CRAB_2", "Crab_II.tar.gz", "900100-900129"),
    (_GALACTIC, "CRAB_3", "Crab_III.tar.gz", "900130-900159"),
    (_GALACTIC, "CRAB_4", "Crab_IV.tar.gz", "900160-900181"),
    (_EXTRAGALACTIC, "RE_J2334_471", "RE_J2334m471.tar.gz", "700180 700181"),
    (_EXTRAGALACTIC, "A3158", "A3158.tar.gz", "700177"),
    (_EXTRAGALACTIC, "A3266", "A3266.tar.gz", "700154"),
    (_EXTRAGALACTIC, "1H0707", "1H0707.tar.gz", "300003"),
    (_EXTRAGALACTIC, "NGC_7793_P13", "NGC_7793P13.tar.gz", "300011"),
    (_EXTRAGALACTIC, "47_TUC__NGC_104_", "47_Tuc.tar.gz", "700011-700014 700163 700173-700175"),
    (_EXTRAGALACTIC, "TGUH2213P1__DARK_CLOUD_", "TGUH2213P1.tar.gz", "300017"),
    (_EXTRAGALACTIC, "A3391_A3395", "A3391_A3395.tar.gz", "300005 300006 300014 300016"),
    (_EXTRAGALACTIC, "1RXS_J185635_375433", "1RXS_J185635m375433.tar.gz", "700008"),
    (_EXTRAGALACTIC, "3C390_3", "3C390.tar.gz", "900060 900068-900070"),
)

# Survey fields are scans (https://heasarc.gsfc.nasa.gov/docs/srg/erosita/archive/erosita_archivestart.html), as are
# three observations of A3391_A3395 (2021A&A...647A...2R); how TGUH2213P1 was observed is not recorded.
_SCANS = "300007-300010 300004 300005 300006 300016 300017"

# In all other observations the seven telescope modules were on.
_ACTIVE = (
    ("TM5 TM6 TM7", "300005 300006 300014 700018 700156 900070 900072 900075-900181"),
    ("TM6", "700012 900056 900060 900062 900068 900069"),
    ("TM1 TM2 TM4 TM5 TM6 TM7", "700011 700013 700163"),
    ("TM1 TM2 TM3 TM4 TM6", "700199 700200"),
    ("TM1 TM2 TM5 TM6 TM7", "300003"),
    ("TM1 TM2", "900035"),
    ("TM3 TM4", "700016"),
    ("TM1", "900033"),
    ("TM3", "900043"),
)

SPEC = MissionSpec(
    name="erosita_calpv",
    title="eROSITA CalPV",
    aliases=("calpv", "erosita_edr"),
    table=ObservationTable(
        name="erosmaster",
        columns=PUBLIC_COLUMNS,
        proprietary="none",
        usual=True,
    ),
    id_pattern=r"[0-9]{6}",
    id_example="300007",
    instruments=tuple(Instrument(f"TM{number}", _MODULE, chip=number) for number in range(1, 8)),
    default_instruments=("TM1", "TM2", "TM3", "TM4", "TM5", "TM6", "TM7"),
    other_fields=((_SCAN, expand_ids(_SCANS)),),
    active=tuple((tuple(names.split()), expand_ids(ids)) for names, ids in _ACTIVE),
    mirrors=(MPE,),
    directory="edr/eROSITAObservations/CalPvObs",
    listings=("",),
    native_inputs=(NativeInput("events", r"(?:[\w.+-]+/)*[a-z]m00_{obs_id}_020_EventList_c001\.fits", required=True),),
    processed=True,
    bundles=tuple(Bundle(field, file, expand_ids(ids), kind) for kind, field, file, ids in _FIELDS),
    products=(ArchiveProduct("events", r".*[pf][mico]00_{obs_id}_020_EventList_c001\.fits", "", (("0", 0.2, 10.0),)),),
    credit=Credit("eROSITA", "https://erosita.mpe.mpg.de/edr/"),
    note="An observation's data come with its whole field, as a tar file that is fetched once for all of them.",
    bibcodes=("2021A&A...647A...1P", "2022A&A...661A...1B", "2021A&A...656A.132S"),
)
