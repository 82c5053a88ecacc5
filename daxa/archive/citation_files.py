"""What people may add to the citation files of an archive, read so that nothing of a stranger's file acts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from daxa.errors import DataError

__all__ = ["CFF_EXTRA", "OWN_DESCRIPTION", "ZENODO_EXTRA", "read_extra", "read_zenodo_extra"]

CFF_EXTRA = (
    "abstract",
    "contact",
    "doi",
    "identifiers",
    "preferred-citation",
    "references",
    "repository",
    "repository-artifact",
    "repository-code",
    "url",
)
"""Keys of a ``CITATION.cff`` that daxa leaves to people (Citation File Format 1.2.0)."""

ZENODO_EXTRA = (
    "communities",
    "contributors",
    "description",
    "doi",
    "grants",
    "language",
    "notes",
    "references",
    "subjects",
)
"""Keys of a ``.zenodo.json`` that daxa leaves to people."""

OWN_DESCRIPTION = "selected and processed reproducibly with daxa."
"""How the description ends that daxa gives itself."""

_MOST = 200_000
"""Bytes of such a file: names and abstracts take a few thousand."""


def read_extra(content: bytes) -> dict[str, Any]:
    r"""What people wrote into a ``CITATION.cff``: the keys of `CFF_EXTRA`, as plain values.

    Parameters
    ----------
    content
        Of the file.

    Raises
    ------
    DataError
        It is not plain YAML: too large, with anchors or tags, or no mapping.

    Examples
    --------
    >>> read_extra(b"title: a907\ndoi: 10.5281/zenodo.1234567\n")
    {'doi': '10.5281/zenodo.1234567'}
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    if len(content) > _MOST:
        raise _damaged("CITATION.cff", f"it has more than {_MOST} bytes")
    try:
        text = content.decode("utf-8")
        for event in YAML(typ="safe", pure=True).parse(text):
            # An alias stands for what may be large, and a tag for an object.
            if getattr(event, "anchor", None) or getattr(event, "tag", None):
                raise _damaged("CITATION.cff", "it has an anchor, an alias or a tag")
        found = YAML(typ="safe", pure=True).load(text) or {}
        # Dates become texts, as the format wants them.
        plain = json.loads(json.dumps(_chosen(found, CFF_EXTRA, "CITATION.cff"), default=str, allow_nan=False))
    except (YAMLError, ValueError, TypeError, RecursionError):
        raise _damaged("CITATION.cff", "it is not YAML") from None
    return dict(plain)


def read_zenodo_extra(content: bytes) -> dict[str, Any]:
    """What people wrote into a ``.zenodo.json``: the keys of `ZENODO_EXTRA`.

    Raises
    ------
    DataError
        It is too large, or no JSON object.

    Examples
    --------
    >>> read_zenodo_extra(b'{"title": "a907", "communities": [{"identifier": "x-ray"}]}')
    {'communities': [{'identifier': 'x-ray'}]}
    """
    if len(content) > _MOST:
        raise _damaged(".zenodo.json", f"it has more than {_MOST} bytes")
    try:
        found = _chosen(json.loads(content or b"{}"), ZENODO_EXTRA, ".zenodo.json")
    except (ValueError, RecursionError):
        raise _damaged(".zenodo.json", "it is not JSON") from None
    if str(found.get("description", "")).endswith(OWN_DESCRIPTION):
        del found["description"]
    return found


def _chosen(found: object, keys: tuple[str, ...], name: str) -> dict[str, Any]:
    if not isinstance(found, Mapping):
        raise _damaged(name, "it does not consist of keys and values")
    return {key: found[key] for key in keys if key in found}


def _damaged(name: str, why: str) -> DataError:
    return DataError(
        "citation-file", f"{name} cannot be read: {why}", remedy=f"correct it, or restore it: `git checkout -- {name}`"
    )
