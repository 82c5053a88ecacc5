"""A release as a research object crate (RO-Crate 1.1, with the profile Process Run Crate 0.5)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, TypeAlias

from daxa.archive.config import Creator
from daxa.publish.citing.release_description import ReleaseDescription, StageDescription

__all__ = ["crate_of", "creator_id"]

_CRATE = "https://w3id.org/ro/crate/1.1"
_PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
_TYPES = {
    ".toml": "application/toml",
    ".yaml": "application/yaml",
    ".lock": "application/yaml",
    ".dvc": "application/yaml",
    ".json": "application/json",
    ".parquet": "application/vnd.apache.parquet",
    ".md": "text/markdown",
}
_TEXT = "text/plain"

_Entity: TypeAlias = dict[str, Any]


def crate_of(release: ReleaseDescription) -> _Entity:
    """The content of ``ro-crate-metadata.json``.

    Parameters
    ----------
    release
        The release.

    Returns
    -------
    dict
        Its size depends on the number of stages, not of observations, whose files are in the ledgers.
    """
    stages = [stage for stage in release.stages if stage.made]
    return {
        "@context": [f"{_CRATE}/context", {"sha256": "http://schema.org/sha256"}],
        "@graph": [
            {
                "@id": "ro-crate-metadata.json",
                "@type": "CreativeWork",
                "about": {"@id": "./"},
                "conformsTo": {"@id": _CRATE},
            },
            _root(release, stages),
            *_context(release),
            *_files(release),
            *_data(stages),
            *_programs(stages),
            *_actions(release, stages),
        ],
    }


def creator_id(creator: Creator, number: int) -> str:
    """Identifier of a creator: the address of the ORCID, or a number within the file."""
    return f"https://orcid.org/{creator.orcid}" if creator.orcid else f"#creator-{number}"


def _root(release: ReleaseDescription, stages: list[StageDescription]) -> _Entity:
    authors = [{"@id": creator_id(one, at)} for at, one in enumerate(release.config.creators, 1)]
    return {
        "@id": "./",
        "@type": "Dataset",
        "name": f"{release.title}, {release.tag}",
        "description": release.description,
        "version": release.tag,
        "datePublished": release.day,
        "license": {"@id": release.licence_address},
        "author": authors if len(authors) != 1 else authors[0],
        "keywords": release.keywords,
        "conformsTo": {"@id": _PROFILE},
        "hasPart": [{"@id": path} for path in [*release.files, *(stage.data for stage in stages)]],
        "mentions": [{"@id": f"#{stage.name}"} for stage in stages],
    } | ({"isBasedOn": [{"@id": f"https://doi.org/{doi}"} for doi in release.datasets]} if release.datasets else {})


def _context(release: ReleaseDescription) -> Iterator[_Entity]:
    """The licence, the profile, the people, and the datasets with DOIs."""
    yield {
        "@id": release.licence_address,
        "@type": "CreativeWork",
        "name": release.config.licence,
        "description": f"The licence {release.config.licence}, in the list of SPDX",
    }
    yield {"@id": _PROFILE, "@type": ["CreativeWork", "Profile"], "name": "Process Run Crate", "version": "0.5"}
    places = list(dict.fromkeys(one.affiliation for one in release.config.creators if one.affiliation))
    for at, creator in enumerate(release.config.creators, 1):
        person: _Entity = {"@id": creator_id(creator, at), "@type": "Person", "name": creator.name}
        if creator.affiliation:
            person["affiliation"] = {"@id": f"#affiliation-{places.index(creator.affiliation) + 1}"}
        yield person
    for at, place in enumerate(places, 1):
        yield {"@id": f"#affiliation-{at}", "@type": "Organization", "name": place}
    for doi in release.datasets:
        yield {"@id": f"https://doi.org/{doi}", "@type": "CreativeWork", "name": f"doi:{doi}"}


def _files(release: ReleaseDescription) -> Iterator[_Entity]:
    for path, known in release.files.items():
        entity: _Entity = {"@id": path, "@type": "File", "name": path}
        if known:
            entity |= {"contentSize": str(known[0]), "sha256": known[1]}
        yield entity | {"encodingFormat": _TYPES.get(PurePosixPath(path).suffix, _TEXT)}


def _data(stages: list[StageDescription]) -> Iterator[_Entity]:
    for stage in stages:
        yield {
            "@id": stage.data,
            "@type": "Dataset",
            "name": f"Products of the step {stage.step} for {stage.mission}",
            "description": f"A directory per observation, kept by DVC: `daxa pull`. {stage.counts.done} observations.",
        }


def _programs(stages: list[StageDescription]) -> Iterator[_Entity]:
    for backend, step, version in dict.fromkeys((stage.backend, stage.step, stage.version) for stage in stages):
        yield {
            "@id": f"#{backend}-{step}-{version}",
            "@type": "SoftwareApplication",
            "name": f"{backend}, step {step}",
            "softwareVersion": version,
        }


def _actions(release: ReleaseDescription, stages: list[StageDescription]) -> Iterator[_Entity]:
    for stage in stages:
        yield {
            "@id": f"#{stage.name}",
            "@type": "CreateAction",
            "name": f"{stage.step} of {stage.mission}",
            "instrument": {"@id": f"#{stage.backend}-{stage.step}-{stage.version}"},
            "object": [{"@id": path} for path in stage.used if path in release.files],
            "result": [{"@id": path} for path in [*(one for one in stage.made if one in release.files), stage.data]],
            "description": f"{stage.counts.done} done, {stage.counts.failed} failed, {stage.counts.skipped} skipped",
        }
