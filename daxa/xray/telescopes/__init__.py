"""What is known of each telescope and its instruments, as data: the ground of the science library.

`spec` has the values in which it is declared, `declared` one module per telescope, `registry`
finds them and those of plug-ins, and `contract` has the checks for a declaration's own tests.
"""

from daxa.xray.telescopes.detector import Detector
from daxa.xray.telescopes.eventformat import EventFormat, Refusal
from daxa.xray.telescopes.imaging import Band, FlareFilter, Imaging
from daxa.xray.telescopes.optics import PsfFacts, Vignetting
from daxa.xray.telescopes.registry import camera_of, imaging_of, telescopes
from daxa.xray.telescopes.rule import Either, Rule
from daxa.xray.telescopes.spec import Camera, Corners, Readout, Telescope

__all__ = [
    "Band",
    "Camera",
    "Corners",
    "Detector",
    "Either",
    "EventFormat",
    "FlareFilter",
    "Imaging",
    "PsfFacts",
    "Readout",
    "Refusal",
    "Rule",
    "Telescope",
    "Vignetting",
    "camera_of",
    "imaging_of",
    "telescopes",
]
