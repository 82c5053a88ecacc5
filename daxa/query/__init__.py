"""Ask archives which observations exist, and choose among them."""

from daxa.query.ask import Found, search
from daxa.query.criteria import Criteria
from daxa.query.mission import Mission, Selection
from daxa.query.reading import make_criteria, read_criteria

__all__ = ["Criteria", "Found", "Mission", "Selection", "make_criteria", "read_criteria", "search"]
