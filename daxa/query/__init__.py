"""Query archives for the observations that exist, and select from them."""

from daxa.query.criteria.criteria import Criteria
from daxa.query.criteria.parsing import make_criteria, read_criteria
from daxa.query.many_missions import SearchResult, search
from daxa.query.mission import Mission, Selection

__all__ = ["Criteria", "Mission", "SearchResult", "Selection", "make_criteria", "read_criteria", "search"]
