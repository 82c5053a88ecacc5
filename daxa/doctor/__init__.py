"""Looks at everything that daxa depends on: programs, packages, disks, backends, services, and the archive.

Each look is independent of the others, and what cannot be looked at is a finding as well.
"""

from daxa.doctor.examine import ASKED, PARTS, examine
from daxa.doctor.finding import STATES, Finding

__all__ = ["ASKED", "PARTS", "STATES", "Finding", "examine"]
