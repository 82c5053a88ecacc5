"""What daxa knows about telescopes, as data: one declaration per mission."""

from daxa.missions.facts import CATEGORIES
from daxa.missions.registry import find_mission, mission_names
from daxa.missions.spec import (
    ArchiveProduct,
    Bundle,
    Credit,
    FieldOfView,
    Instrument,
    Mirror,
    MissionSpec,
    NativeInput,
    ObservationTable,
)

__all__ = [
    "CATEGORIES",
    "ArchiveProduct",
    "Bundle",
    "Credit",
    "FieldOfView",
    "Instrument",
    "Mirror",
    "MissionSpec",
    "NativeInput",
    "ObservationTable",
    "find_mission",
    "mission_names",
]
