"""Where the files of a release come from, in the W3C's PROV-JSON."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import quote

from daxa.publish.citing.release_description import ReleaseDescription, StageDescription

__all__ = ["provenance_of"]

_RELEASE = "r:release"
_KINDS = ("used", "wasGeneratedBy", "wasAssociatedWith", "wasAttributedTo", "hadMember", "wasDerivedFrom")
"""Kinds of relations, in the order of the document."""

_Group: TypeAlias = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class _Graph:
    """A document that is being put together: identifier to what is said of it, and kind to relations."""

    entities: _Group = field(default_factory=dict)
    activities: _Group = field(default_factory=dict)
    agents: _Group = field(default_factory=dict)
    relations: dict[str, _Group] = field(default_factory=lambda: {kind: {} for kind in _KINDS})

    def relate(self, kind: str, **ends: str) -> None:
        group = self.relations[kind]
        group[f"_:{kind}{len(group) + 1}"] = {f"prov:{end}": value for end, value in ends.items()}


def provenance_of(release: ReleaseDescription) -> dict[str, Any]:
    """The content of ``prov.json``.

    Entities are files and directories, activities the stages, agents people and software.

    Parameters
    ----------
    release
        The release.
    """
    graph = _Graph()
    for path, known in release.files.items():
        size = {"daxa:size": known[0], "daxa:sha256": known[1]} if known else {}
        graph.entities[_file(path)] = {"prov:label": path} | size
    graph.entities[_RELEASE] = {
        "prov:type": _type("prov:Collection"),
        "prov:label": f"{release.title}, {release.tag}",
        "daxa:date": release.day,
    }
    for stage in release.stages:
        _add_stage(graph, stage, release.files)
    _add_origins(graph, release)
    return {
        "prefix": {
            "r": f"urn:daxa:{quote(release.config.name)}:{release.tag}:",
            "daxa": "urn:daxa:terms:",
            "orcid": "https://orcid.org/",
            "doi": "https://doi.org/",
        },
        "entity": graph.entities,
        "activity": graph.activities,
        "agent": graph.agents,
        **{kind: group for kind, group in graph.relations.items() if group},
    }


def _add_stage(graph: _Graph, stage: StageDescription, files: Container[str]) -> None:
    """What a stage read and made, and with which software."""
    activity, software = f"r:stage-{stage.name}", f"r:software-{stage.backend}-{stage.step}-{stage.version}"
    graph.activities[activity] = {"prov:label": f"{stage.step} of {stage.mission}"}
    graph.agents[software] = {
        "prov:type": _type("prov:SoftwareAgent"),
        "prov:label": f"{stage.backend}, step {stage.step}, version {stage.version}",
    }
    graph.entities[_file(stage.data)] = {"prov:type": _type("prov:Collection"), "prov:label": stage.data}
    graph.relate("wasAssociatedWith", activity=activity, agent=software)
    for path in stage.used:
        if path in files:
            graph.relate("used", activity=activity, entity=_file(path))
    for path in [*(one for one in stage.made if one in files), stage.data]:
        graph.relate("wasGeneratedBy", entity=_file(path), activity=activity)


def _add_origins(graph: _Graph, release: ReleaseDescription) -> None:
    """The release before, the people, the files of the release, and the datasets of the missions."""
    if release.previous:
        before = f"r:{release.previous}"
        graph.entities[before] = {"prov:label": f"{release.title}, {release.previous}"}
        graph.relate("wasDerivedFrom", generatedEntity=_RELEASE, usedEntity=before)
    for at, creator in enumerate(release.config.creators, 1):
        agent = f"orcid:{creator.orcid}" if creator.orcid else f"r:creator-{at}"
        graph.agents[agent] = {"prov:type": _type("prov:Person"), "prov:label": creator.name}
        graph.relate("wasAttributedTo", entity=_RELEASE, agent=agent)
    for path in release.files:
        graph.relate("hadMember", collection=_RELEASE, entity=_file(path))
    for doi in release.datasets:
        graph.entities[f"doi:{doi}"] = {"prov:label": f"doi:{doi}"}
        graph.relate("wasDerivedFrom", generatedEntity=_RELEASE, usedEntity=f"doi:{doi}")


def _file(path: str) -> str:
    return f"r:{path}"


def _type(name: str) -> dict[str, str]:
    return {"$": name, "type": "prov:QUALIFIED_NAME"}
