"""Ask archives which observations exist, and choose among them."""

from daxa.query.criteria import Criteria, make_criteria, read_criteria
from daxa.query.mission import Mission, Selection

__all__ = ["Criteria", "Mission", "Selection", "make_criteria", "read_criteria"]
