"""Checks of everything that daxa depends on: programs, packages, disks, backends, services, and the archive.

Checks are independent of each other, and one that fails is a finding as well.
"""

from daxa.doctor.examine import ASKED, PARTS, examine
from daxa.doctor.finding import STATES, Finding

__all__ = ["ASKED", "PARTS", "STATES", "Finding", "examine"]
