"""What carries out the steps that follow fetching: native Python, and what plug-ins bring."""

from daxa.backends.registry import backend_names, find_backend

__all__ = ["backend_names", "find_backend"]
