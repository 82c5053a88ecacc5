"""Which products a backend declares as made with random numbers, so that they are never the same twice."""

from __future__ import annotations

from pathlib import Path

from daxa.backends.protocol import Backend
from daxa.backends.registry import find_backend
from daxa.errors import DataError, DaxaError
from daxa.files import read_plain
from daxa.run.hashes import MANIFEST
from daxa.run.product import parse_product

__all__ = ["is_randomised", "randomised_kinds"]

_LARGEST = 1 << 20


def randomised_kinds(backend: Backend, step: str) -> frozenset[str]:
    """Kinds of products of a step that a backend declares as randomised; by default none.

    Examples
    --------
    >>> randomised_kinds(find_backend("native"), "images")
    frozenset()
    """
    return frozenset(getattr(backend, "randomised", {}).get(step, ()))


def is_randomised(path: Path) -> bool:
    """Whether a product is declared as randomised by the backend that made it, according to its manifest.

    Examples
    --------
    >>> is_randomised(Path("image.fits"))
    False
    """
    import json

    try:
        kind = parse_product(path.name).kind
        made = json.loads(read_plain(path.resolve().parent / MANIFEST, limit=_LARGEST))
        return kind in randomised_kinds(find_backend(made["backend"]), made["step"])
    except (OSError, DataError, DaxaError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False
