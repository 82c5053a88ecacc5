"""The metadata files of a release: for Zenodo and GitHub, CodeMeta, RO-Crate and PROV, all from one description."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from daxa.archive.citation_files import read_extra, read_zenodo_extra
from daxa.archive.layout import Layout
from daxa.archive.template import render_citation
from daxa.files import TEXT_LIMIT, read_note, read_plain, replace_file
from daxa.publish.citing.crate import crate_of, creator_id
from daxa.publish.citing.provenance import provenance_of
from daxa.publish.citing.release_description import ReleaseDescription
from daxa.text import json_escaped

__all__ = ["METADATA", "People", "interrupted", "metadata_files", "people_of", "write_metadata"]

METADATA = ("CITATION.cff", ".zenodo.json", "codemeta.json", "ro-crate-metadata.json", "prov.json")
"""Names of the files."""

People = tuple[Mapping[str, Any], Mapping[str, Any]]
"""What people added to ``CITATION.cff`` and to ``.zenodo.json``."""


def people_of(layout: Layout) -> People:
    """What people added to the citation files of an archive, which a release keeps.

    Raises
    ------
    DataError
        One of them cannot be read.
    """
    cff, zenodo = (_content(layout, name) for name in METADATA[:2])
    return read_extra(cff), read_zenodo_extra(zenodo)


def metadata_files(release: ReleaseDescription, people: People) -> dict[str, str]:
    """Name to content of every metadata file of a release.

    Parameters
    ----------
    release
        The release.
    people
        What people added.
    """
    config = release.config
    files = render_citation(
        config.name,
        release.missions,
        title=config.title,
        creators=config.creators,
        licence=config.licence,
        version=release.tag,
        released=release.day,
        related=release.datasets,
        cff_extra=people[0],
        zenodo_extra=people[1],
    )
    files["codemeta.json"] = _json(_codemeta(release))
    files["ro-crate-metadata.json"] = _json(crate_of(release))
    files["prov.json"] = _json(provenance_of(release))
    return files


def write_metadata(layout: Layout, files: Mapping[str, str]) -> None:
    """Write the files, after recording what they will be, so that an interrupted release is not taken for edits."""
    digests = {name: hashlib.sha256(content.encode()).hexdigest() for name, content in files.items()}
    replace_file(_note(layout), json.dumps(digests).encode())
    for name, content in files.items():
        if _content(layout, name) != content.encode():
            replace_file(layout.root / name, content.encode())


def interrupted(layout: Layout) -> list[str]:
    """Metadata files that are as an interrupted release wrote them before its commit."""
    noted = read_note(_note(layout))
    return [name for name in METADATA if noted.get(name) == hashlib.sha256(_content(layout, name)).hexdigest()]


def _note(layout: Layout) -> Path:
    return layout.private / "release" / "metadata.json"


def _content(layout: Layout, name: str) -> bytes:
    try:
        return read_plain(layout.root / name, limit=TEXT_LIMIT)
    except FileNotFoundError:
        return b""


def _codemeta(release: ReleaseDescription) -> dict[str, Any]:
    """CodeMeta 3.0: the repository as software, since it is a pipeline with its requirements."""
    programs = dict.fromkeys((stage.backend, stage.step, stage.version) for stage in release.stages)
    return {
        "@context": "https://w3id.org/codemeta/3.0",
        "@type": "SoftwareSourceCode",
        "name": release.title,
        "identifier": release.config.name,
        "description": release.description,
        "version": release.tag,
        "datePublished": release.day,
        "license": release.licence_address,
        "author": [
            {"@id": creator_id(one, at), "@type": "Person", "name": one.name}
            | ({"affiliation": {"@type": "Organization", "name": one.affiliation}} if one.affiliation else {})
            for at, one in enumerate(release.config.creators, 1)
        ],
        "keywords": release.keywords,
        "softwareRequirements": [
            {"@type": "SoftwareApplication", "name": f"{backend}, step {step}", "softwareVersion": version}
            for backend, step, version in programs
        ],
    }


def _json(value: object) -> str:
    return json_escaped(json.dumps(value, indent=1, ensure_ascii=False)) + "\n"
