"""Where the files of a release come from, in the W3C's PROV-JSON."""

from __future__ import annotations

from typing import Any, TypeAlias
from urllib.parse import quote

from daxa.publish.citing.release_record import ReleaseRecord

__all__ = ["provenance_of"]

_Group: TypeAlias = dict[str, dict[str, Any]]


def provenance_of(record: ReleaseRecord) -> dict[str, Any]:
    """The content of ``prov.json``.

    Entities are files and directories, activities the stages, agents people and software.

    Parameters
    ----------
    record
        The release.
    """
    name = f"{quote(record.config.name)}:{record.tag}"
    entities: _Group = {
        _file(path): {"prov:label": path} | ({"daxa:size": known[0], "daxa:sha256": known[1]} if known else {})
        for path, known in record.files.items()
    }
    release = "r:release"
    entities[release] = {
        "prov:type": _type("prov:Collection"),
        "prov:label": f"{record.title}, {record.tag}",
        "daxa:date": record.day,
    }
    agents: _Group = {}
    activities: _Group = {}
    relations: dict[str, _Group] = {
        "used": {},
        "wasGeneratedBy": {},
        "wasAssociatedWith": {},
        "wasAttributedTo": {},
        "hadMember": {},
        "wasDerivedFrom": {},
    }

    def relate(kind: str, **ends: str) -> None:
        relations[kind][f"_:{kind}{len(relations[kind]) + 1}"] = {f"prov:{end}": value for end, value in ends.items()}

    for stage in record.stages:
        activity, software = f"r:stage-{stage.name}", f"r:software-{stage.backend}-{stage.step}-{stage.version}"
        activities[activity] = {"prov:label": f"{stage.step} of {stage.mission}"}
        agents[software] = {
            "prov:type": _type("prov:SoftwareAgent"),
            "prov:label": f"{stage.backend}, step {stage.step}, version {stage.version}",
        }
        entities[_file(stage.data)] = {"prov:type": _type("prov:Collection"), "prov:label": stage.data}
        relate("wasAssociatedWith", activity=activity, agent=software)
        for path in stage.used:
            if path in record.files:
                relate("used", activity=activity, entity=_file(path))
        for path in [*(one for one in stage.made if one in record.files), stage.data]:
            relate("wasGeneratedBy", entity=_file(path), activity=activity)
    if record.previous:
        before = f"r:{record.previous}"
        entities[before] = {"prov:label": f"{record.title}, {record.previous}"}
        relate("wasDerivedFrom", generatedEntity=release, usedEntity=before)
    for at, creator in enumerate(record.config.creators, 1):
        agent = f"orcid:{creator.orcid}" if creator.orcid else f"r:creator-{at}"
        agents[agent] = {"prov:type": _type("prov:Person"), "prov:label": creator.name}
        relate("wasAttributedTo", entity=release, agent=agent)
    for path in record.files:
        relate("hadMember", collection=release, entity=_file(path))
    for doi in record.datasets:
        entities[f"doi:{doi}"] = {"prov:label": f"doi:{doi}"}
        relate("wasDerivedFrom", generatedEntity=release, usedEntity=f"doi:{doi}")
    return {
        "prefix": {
            "r": f"urn:daxa:{name}:",
            "daxa": "urn:daxa:terms:",
            "orcid": "https://orcid.org/",
            "doi": "https://doi.org/",
        },
        "entity": entities,
        "activity": activities,
        "agent": agents,
        **{kind: group for kind, group in relations.items() if group},
    }


def _file(path: str) -> str:
    return f"r:{path}"


def _type(name: str) -> dict[str, str]:
    return {"$": name, "type": "prov:QUALIFIED_NAME"}
