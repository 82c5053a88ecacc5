"""The metadata files of a release: one source, valid by their own libraries, compared by verify, edits kept."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from ruamel.yaml import YAML

from daxa.archive import git
from daxa.archive.config import Creator, load_config
from daxa.archive.creators import is_orcid, parse_creator
from daxa.archive.template import render_citation
from daxa.errors import ConfigError, DataError, ReleaseError
from daxa.missions import find_mission
from daxa.publish.citing.cited_release import cite_release
from daxa.publish.citing.release_description import describe_release
from daxa.publish.citing.release_metadata import METADATA, metadata_files, people_of
from daxa.publish.releases import release
from daxa.publish.releases.verify import verify_archive
from daxa.publish.state import read_state
from tests.publish.test_release import snapshot
from tests.publish.workshop import FIRST, THIRD, deceive, problem_set, run

ORCID = "0000-0002-1825-0097"
_CREATORS = f"""
[[creators]]
name = "Carberry, Josiah"
orcid = "{ORCID}"
affiliation = "Brown University"

[[creators]]
name = "The Lobster Team"
"""


def read_all(root) -> dict[str, object]:
    """Every metadata file of a release, parsed."""
    found = {name: json.loads((root / name).read_text()) for name in METADATA[1:]}
    return found | {"CITATION.cff": YAML(typ="safe").load((root / "CITATION.cff").read_text())}


@pytest.fixture
def signed(finished, monkeypatch):
    """A finished archive of two creators, in which DVC finds nothing to do."""
    deceive(monkeypatch)
    config = finished.layout.config
    config.write_text(config.read_text().replace("[policy]", f"{_CREATORS}\n[policy]"))
    git.commit(finished.layout.root, ["daxa.toml"], "Sign")
    return finished


@pytest.fixture
def described(signed):
    signed.release("first")
    return signed


def test_all_files_say_the_same(described):
    root = described.layout.root
    found = read_all(root)
    graph = {entity["@id"]: entity for entity in found["ro-crate-metadata.json"]["@graph"]}
    cff, zenodo, codemeta = found["CITATION.cff"], found[".zenodo.json"], found["codemeta.json"]
    crate = graph["./"]
    day = datetime.now(UTC).date().isoformat()
    assert {cff["version"], zenodo["version"], codemeta["version"], crate["version"]} == {"v1.0.0"}
    dates = {cff["date-released"], zenodo["publication_date"], codemeta["datePublished"], crate["datePublished"]}
    assert dates == {day}
    assert found["prov.json"]["entity"]["r:release"]["daxa:date"] == day
    assert cff["license"] == "CC-BY-4.0"
    assert zenodo["license"] == "cc-by-4.0"
    assert codemeta["license"] == crate["license"]["@id"] == "https://spdx.org/licenses/CC-BY-4.0"
    names = ["Carberry, Josiah", "The Lobster Team"]
    assert [one["name"] for one in zenodo["creators"]] == names
    assert [one["name"] for one in codemeta["author"]] == names
    authors = [graph[one["@id"]] for one in crate["author"]]
    assert [one["name"] for one in authors] == names
    assert graph[authors[0]["affiliation"]["@id"]] == {
        "@id": "#affiliation-1",
        "@type": "Organization",
        "name": "Brown University",
    }
    # What validators of crates recommend.
    assert all(entity["encodingFormat"] for entity in graph.values() if entity["@type"] == "File")
    assert cff["authors"] == [
        {
            "family-names": "Carberry",
            "given-names": "Josiah",
            "affiliation": "Brown University",
            "orcid": f"https://orcid.org/{ORCID}",
        },
        {"name": "The Lobster Team"},
    ]
    assert found["prov.json"]["agent"][f"orcid:{ORCID}"]["prov:label"] == names[0]
    assert git.changes(root) == []
    assert set(METADATA) <= set(git.tracked(root, "v1.0.0"))


def test_citation_file_format(described):
    """The keys that version 1.2.0 requires, and the forms of those that we give."""
    cff = read_all(described.layout.root)["CITATION.cff"]
    assert {"cff-version", "message", "title", "authors"} <= cff.keys()
    assert cff["cff-version"] == "1.2.0"
    assert cff["type"] in ("software", "dataset")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", cff["date-released"])
    assert all(isinstance(word, str) for word in cff["keywords"])
    assert len(set(cff["keywords"])) == len(cff["keywords"])
    person, entity = cff["authors"]
    assert person.keys() <= {"family-names", "given-names", "affiliation", "orcid"}
    assert entity.keys() == {"name"}
    assert re.fullmatch(r"https://orcid\.org/\d{4}-\d{4}-\d{4}-\d{3}[\dX]", person["orcid"])


def test_zenodo_knows_every_key(described):
    zenodo = read_all(described.layout.root)[".zenodo.json"]
    known = {
        *("upload_type", "title", "creators", "description", "version", "publication_date", "license"),
        *("access_right", "keywords", "related_identifiers"),
    }
    assert zenodo.keys() <= known
    assert {"upload_type", "title", "creators", "description"} <= zenodo.keys()
    assert zenodo["creators"][0]["orcid"] == ORCID


def test_the_crate_is_read_by_its_own_library(described):
    from rocrate.rocrate import ROCrate

    root = described.layout.root
    crate = ROCrate(str(root))
    assert crate.root_dataset["version"] == "v1.0.0"
    listed = {entity.id for entity in crate.root_dataset["hasPart"]}
    assert {"selection/xmm.parquet", "ledger/nustar-clean.parquet", "daxa.toml", "data/xmm/clean/"} <= listed
    assert all((root / path).exists() for path in listed)
    actions = [entity for entity in crate.contextual_entities if entity.type == "CreateAction"]
    assert len(actions) == 10
    for action in actions:
        assert action["instrument"].type == "SoftwareApplication"
        assert action["instrument"]["softwareVersion"]
        assert {*action["object"], *action["result"]} <= {*crate.data_entities}
    # Every reference leads to an entity, and every entity is there once.
    graph = json.loads((root / "ro-crate-metadata.json").read_text())["@graph"]
    known = [entity["@id"] for entity in graph]
    assert len(set(known)) == len(known)
    named = set(re.findall(r'\{\s*"@id": "([^"]+)"\s*\}', json.dumps(graph)))
    assert named <= {*known, "https://w3id.org/ro/crate/1.1"}
    # What depends on the number of observations is in the ledgers.
    assert FIRST not in json.dumps(graph)


def test_digests_of_the_crate_are_those_of_the_files(described):
    import hashlib

    root = described.layout.root
    graph = json.loads((root / "ro-crate-metadata.json").read_text())["@graph"]
    files = [entity for entity in graph if entity["@type"] == "File"]
    assert {"dvc.lock", "logs.dvc", "metrics.json"} <= {entity["@id"] for entity in files}
    # What says when and where is named alone.
    bare = {entity["@id"] for entity in files if "sha256" not in entity}
    assert bare == {".dvc/config", "logs.dvc"}
    for entity in [entity for entity in files if entity["@id"] not in bare]:
        content = (root / entity["@id"]).read_bytes()
        assert (entity["contentSize"], entity["sha256"]) == (str(len(content)), hashlib.sha256(content).hexdigest())


def test_provenance_is_read_by_its_own_library(described):
    from prov.model import ProvActivity, ProvAgent, ProvDocument, ProvGeneration, ProvUsage

    document = ProvDocument.deserialize(content=(described.layout.root / "prov.json").read_text(), format="json")
    records = [record for record in document.get_records() if not record.is_relation()]
    assert len([record for record in records if isinstance(record, ProvActivity)]) == 10
    named = {str(record.identifier) for record in records}
    assert f"orcid:{ORCID}" in named
    assert len([record for record in records if isinstance(record, ProvAgent)]) == 2 + 5
    for kind in (ProvUsage, ProvGeneration):
        relations = list(document.get_records(kind))
        assert relations
        for relation in relations:
            assert {str(value) for _, value in relation.formal_attributes if value is not None} <= named
    again = ProvDocument.deserialize(content=document.serialize(format="json"), format="json")
    assert again == document


def test_the_same_release_gives_the_same_bytes(signed):
    layout = signed.layout
    state = read_state(layout)
    paths = [path for path in release.required_files(layout, load_config(layout)) if path not in METADATA]
    made = [metadata_files(describe_release(layout, state, paths, tag="v1.0.0"), people_of(layout)) for _ in range(2)]
    assert made[0] == made[1]
    assert set(made[0]) == set(METADATA)
    signed.release("first")
    paths = [path for path in release.required_files(layout, load_config(layout)) if path not in METADATA]
    again = metadata_files(describe_release(layout, state, paths, tag="v1.0.0"), people_of(layout))
    assert again == {name: (layout.root / name).read_text() for name in METADATA}


@pytest.mark.parametrize("name", METADATA)
def test_verify_compares_them(described, name):
    path = described.layout.root / name
    path.write_text(path.read_text().replace("v1.0.0", "v9.9.9"))
    assert (name, "differs") in problem_set(verify_archive(described.layout, "v1.0.0"))


def test_datasets_are_named_up_to_a_limit(signed):
    layout = signed.layout
    record = replace(describe_release(layout, read_state(layout), [], tag="v1.0.0"), datasets=("10.25574/00242",))
    files = metadata_files(record, ({}, {}))
    (related,) = json.loads(files[".zenodo.json"])["related_identifiers"]
    assert related == {"identifier": "10.25574/00242", "relation": "isDerivedFrom", "resource_type": "dataset"}
    graph = {entity["@id"]: entity for entity in json.loads(files["ro-crate-metadata.json"])["@graph"]}
    assert graph["./"]["isBasedOn"] == [{"@id": "https://doi.org/10.25574/00242"}]
    assert "https://doi.org/10.25574/00242" in graph
    assert "doi:10.25574/00242" in json.loads(files["prov.json"])["entity"]


def test_what_people_added_is_kept(described):
    root = described.layout.root
    with (root / "CITATION.cff").open("a") as stream:
        stream.write("doi: 10.5281/zenodo.1234567\nabstract: |\n  One\n  two \N{TELESCOPE}\n")
    zenodo = json.loads((root / ".zenodo.json").read_text()) | {
        "communities": [{"identifier": "x-ray"}],
        "version": "x",
    }
    (root / ".zenodo.json").write_text(json.dumps(zenodo))
    with pytest.raises(ReleaseError, match=r"CITATION\.cff"):
        described.release(force=True)
    assert described.release(include=["CITATION.cff", ".zenodo.json"], force=True).tag == "v1.0.1"
    found = read_all(root)
    assert found["CITATION.cff"]["doi"] == "10.5281/zenodo.1234567"
    assert found["CITATION.cff"]["abstract"].split() == ["One", "two", "\N{TELESCOPE}"]
    assert found[".zenodo.json"]["communities"] == [{"identifier": "x-ray"}]
    assert found["CITATION.cff"]["version"] == found[".zenodo.json"]["version"] == "v1.0.1"
    assert "v1.0.1" not in found[".zenodo.json"]["description"]
    kinds = found["prov.json"]["wasDerivedFrom"].values()
    assert {"prov:generatedEntity": "r:release", "prov:usedEntity": "r:v1.0.0"} in kinds


@pytest.mark.parametrize(("name", "content"), [("CITATION.cff", "a: &b [*b]\n"), (".zenodo.json", "{")])
def test_a_file_that_cannot_be_read_stops_the_release_before_it_writes(signed, name, content):
    (signed.layout.root / name).write_text(content)
    git.commit(signed.layout.root, [name], "Damage")
    before = snapshot(signed)
    with pytest.raises(DataError, match=re.escape(name)):
        signed.release()
    assert snapshot(signed) == before


def test_a_release_that_was_interrupted_before_its_commit_continues(signed, monkeypatch):
    root = signed.layout.root

    def die(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(git, "commit", die)
        with pytest.raises(KeyboardInterrupt):
            signed.release("first")
    assert "CITATION.cff" in git.changes(root)
    (root / ".zenodo.json").write_text("{}")
    with pytest.raises(ReleaseError, match=r"\.zenodo\.json") as refused:
        signed.release("first")
    assert "CITATION.cff" not in refused.value.message
    run(root, "git", "checkout", "--", ".zenodo.json")
    assert signed.release("first").tag == "v1.0.0"
    assert git.changes(root) == []


def test_an_archive_from_before_these_files_works(signed, monkeypatch):
    layout = signed.layout
    ignored = layout.root / ".gitignore"
    kept = [line for line in ignored.read_text().splitlines() if line not in [f"!/{name}" for name in METADATA[2:]]]
    ignored.write_text("\n".join([*kept, ""]))
    git.commit(layout.root, [".gitignore"], "As it was")
    with monkeypatch.context() as patch:
        patch.setattr(release, "write_metadata", lambda layout, files: None)
        signed.release("old")
    assert not (layout.root / "prov.json").exists()
    assert verify_archive(layout, "v1.0.0").ok
    assert cite_release(layout, "v1.0.0").missions[0].obs_ids == (FIRST, THIRD)
    assert signed.release(force=True).tag == "v1.0.1"
    assert set(METADATA) <= set(git.tracked(layout.root, "v1.0.1"))
    assert verify_archive(layout, "v1.0.1").ok


def test_an_orcid_with_a_wrong_digit_is_refused_before_a_release(signed):
    config = signed.layout.config
    config.write_text(config.read_text().replace(ORCID, ORCID[:-1] + "8"))
    with pytest.raises(ConfigError) as refused:
        signed.release(include=["daxa.toml"])
    assert refused.value.code == "config.orcid"
    assert "Carberry" in refused.value.message


@pytest.mark.parametrize("text", ["0000-0002-1825-0097", "0000-0001-5109-3700", "0000-0002-1694-233X"])
def test_orcids_of_their_documentation(text):
    assert is_orcid(text)
    wrong = "0" if text[-1] == "X" else str((int(text[-1]) + 1) % 10)
    assert not is_orcid(text[:-1] + wrong)


@pytest.mark.parametrize(
    "text", ["", "<0000-0002-1825-0097>", "Ada <0000-0002-1825-0098>", "Ada <ada@example.org>", "A\x1b[2J", "A <b> <c>"]
)
def test_what_is_no_creator(text):
    with pytest.raises(ConfigError):
        parse_creator(text)


def test_creators_as_people_write_them():
    assert parse_creator("  Carberry, Josiah  <https://orcid.org/0000-0002-1825-0097> ") == Creator(
        name="Carberry, Josiah", orcid=ORCID
    )
    assert parse_creator("Henrietta Leavitt") == Creator(name="Henrietta Leavitt")


def test_a_licence_cannot_write_yaml():
    made = render_citation("a907", [find_mission("xmm")], licence="MIT\nauthors: []", title="\N{TELESCOPE} \U0001f52d")
    found = YAML(typ="safe").load(made["CITATION.cff"])
    assert found["license"] == "MIT\nauthors: []"
    assert found["title"] == "\N{TELESCOPE} \U0001f52d"
    assert found["authors"]
