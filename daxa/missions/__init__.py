"""What daxa knows about telescopes, as data: one declaration per mission."""

from daxa.missions.registry import find_mission, mission_names
from daxa.missions.spec import (
    Band,
    FieldOfView,
    FlareFilter,
    Instrument,
    MissionSpec,
    NativeInput,
    ObservationTable,
)

__all__ = [
    "Band",
    "FieldOfView",
    "FlareFilter",
    "Instrument",
    "MissionSpec",
    "NativeInput",
    "ObservationTable",
    "find_mission",
    "mission_names",
]
