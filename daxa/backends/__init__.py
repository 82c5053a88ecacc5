"""Backends, which do the steps that follow fetching: the native one in Python, and those of plug-ins."""

from daxa.backends.registry import backend_names, find_backend

__all__ = ["backend_names", "find_backend"]
