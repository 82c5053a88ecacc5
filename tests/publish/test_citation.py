"""What `daxa cite` says: of the release, not of the work tree; nothing that was not checked; nothing that acts."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from daxa.api import Archive
from daxa.archive import git
from daxa.archive.citation_files import read_extra
from daxa.archive.config import Creator
from daxa.cli import main
from daxa.errors import ArchiveError, DataError, ReleaseError
from daxa.missions import find_mission, mission_names
from daxa.publish.citing.citation import latex
from daxa.publish.citing.cited_release import cite_release, public_address
from daxa.publish.citing.software_credit import credit_software, used_software
from daxa.publish.citing.swhid import directory_swhid, object_swhid
from tests.publish.workshop import FIRST, SECOND, THIRD, run

TAG = "v1.0.0"


@pytest.fixture
def cited(released):
    return cite_release(released.layout)


def test_all_of_it_comes_from_the_release(released, cited):
    root = released.layout.root
    (root / "software.toml").write_text("[xmm.clean]\nbackend = 'sas'\nversion = '99'\n")
    released.layout.selection("xmm").write_bytes(released.layout.selection("nustar").read_bytes())
    (root / "CITATION.cff").write_text("doi: 10.5281/zenodo.1\n")
    assert cite_release(released.layout, TAG) == cited
    assert [one.mission for one in cited.missions] == ["xmm", "nustar"]
    assert cited.missions[0].obs_ids == (FIRST, THIRD)
    assert [one.name for one in cited.software] == ["daxa", "Astropy", "NumPy", "SciPy"]
    assert cited.date == datetime.now(UTC).date().isoformat()
    assert cited.doi == ""


def test_swhids_are_those_of_git(released, cited):
    root = released.layout.root
    assert cited.swhids == {
        "rel": "swh:1:rel:" + run(root, "git", "rev-parse", f"refs/tags/{TAG}").strip(),
        "rev": "swh:1:rev:" + run(root, "git", "rev-parse", f"{TAG}^{{commit}}").strip(),
        "dir": "swh:1:dir:" + run(root, "git", "rev-parse", f"{TAG}^{{tree}}").strip(),
    }


def test_swhids_are_those_of_software_heritage(released, cited):
    """As its own model computes them, from values in place of Git's objects."""
    from swh.model import from_disk, model

    root = released.layout.root

    exported = root.parent / "exported"
    run(root, "git", "worktree", "add", "--quiet", "--detach", str(exported), TAG)
    (exported / ".git").unlink()
    tree = from_disk.Directory.from_disk(path=str(exported).encode(), max_content_length=None)
    assert str(tree.swhid()) == cited.swhids["dir"]

    def person(line: str):
        name, _, rest = line.partition(" <")
        email, _, when = rest.partition("> ")
        who = model.Person.from_fullname(f"{name} <{email}>".encode())
        seconds, offset = when.split(" ")
        stamp = model.Timestamp(seconds=int(seconds), microseconds=0)
        return who, model.TimestampWithTimezone(timestamp=stamp, offset_bytes=offset.encode())

    head, _, message = git.read_object(root, cited.commit)[1].decode().partition("\n\n")
    fields = dict(line.split(" ", 1) for line in head.splitlines())
    (author, written), (committer, committed) = person(fields["author"]), person(fields["committer"])
    revision = model.Revision(
        message=message.encode(),
        author=author,
        committer=committer,
        date=written,
        committer_date=committed,
        type=model.RevisionType.GIT,
        directory=bytes.fromhex(fields["tree"]),
        synthetic=False,
        parents=(bytes.fromhex(fields["parent"]),),
    )
    assert str(revision.swhid()) == cited.swhids["rev"]

    head, _, message = git.read_object(root, f"refs/tags/{TAG}")[1].decode().partition("\n\n")
    fields = dict(line.split(" ", 1) for line in head.splitlines())
    tagger, tagged = person(fields["tagger"])
    release = model.Release(
        name=TAG.encode(),
        message=message.encode(),
        target=bytes.fromhex(fields["object"]),
        target_type=model.ReleaseTargetType.REVISION,
        synthetic=False,
        author=tagger,
        date=tagged,
    )
    assert str(release.swhid()) == cited.swhids["rel"]


def test_a_tree_with_names_that_sort_differently(tmp_path):
    """Git sorts a directory as if its name ended in a slash."""
    run(tmp_path, "git", "init", "--quiet")
    for name in ("a/one", "a.txt", "a0", "ab/x/y", "é", "z"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "z").chmod(0o755)
    run(tmp_path, "git", "add", "--all")
    tree = run(tmp_path, "git", "write-tree").strip()
    listed = subprocess.run(["git", "ls-tree", "-rz", tree], cwd=tmp_path, capture_output=True, check=True).stdout
    lines = [line.split("\t") for line in listed.decode().split("\0") if line]
    entries = [(path, *said.split(" ")[::2]) for said, path in lines]
    assert directory_swhid(entries) == f"swh:1:dir:{tree}"
    with pytest.raises(ValueError, match="a/b"):
        directory_swhid([("a", "100644", "0" * 40), ("a/b", "100644", "0" * 40)])


def test_an_object_that_is_not_what_its_name_says_is_noticed(released, monkeypatch):
    read = git.read_object

    def lie(root, name):
        kind, content = read(root, name)
        return kind, content.replace(b"Leavitt", b"Nobody!") if kind == "commit" else content

    monkeypatch.setattr(git, "read_object", lie)
    with pytest.raises(DataError, match="does not match its digest"):
        cite_release(released.layout)
    assert object_swhid("rev", b"") != object_swhid("rel", b"")


def test_the_words_for_a_paper(cited):
    text = cited.text
    assert f"release {TAG} of the archive 'a907' ({cited.swhids['rel']})" in text
    assert "2 observations of XMM-Newton and 1 observation of NuSTAR" in text
    assert f"XMM-Newton: {FIRST}, {THIRD}" in text
    assert f"{find_mission('xmm').acknowledgement}.\n" in text
    assert "2001A&A...365L...1J  https://ui.adsabs.harvard.edu/abs/2001A%26A...365L...1J/exportcitation" in text
    facts, _, open_ends = text.partition("Still to be looked up:")
    # Nobody has compared NuSTAR's wording with its source, nor these papers and keywords with theirs.
    assert find_mission("nustar").acknowledgement not in text
    assert "2001A&A...365L..18S" not in facts
    assert "2001A&A...365L..18S" in open_ends
    assert "Facilities:" not in facts
    assert "https://heasarc.gsfc.nasa.gov/docs/heasarc/datasetid.html" in open_ends


def test_bibtex_is_balanced_and_cites_the_release(cited):
    made = cited.bibtex
    assert made.count("{") == made.count("}")
    assert f"@misc{{a907-{TAG}," in made
    assert f"note = {{{cited.swhids['rel']}}}" in made
    assert re.search(r"year = \{2\d{3}\},\n  version = \{v1\.0\.0\}", made)
    assert "% 2013ApJ...770..103H" in made


def test_the_table_of_observations_is_one(cited):
    from astropy.table import Table

    table = Table.read(cited.mrt, format="ascii.mrt")
    assert sorted(f"{one:010d}" if len(str(one)) < 11 else str(one) for one in map(int, table["obs_id"])) == sorted(
        [FIRST, THIRD, "30101031002"]
    )
    assert TAG in cited.mrt
    named = replace(cited, creators=(Creator(name="Leavitt, Henrietta"), Creator(name="Carberry, Josiah")))
    assert "\nAuthors: Leavitt, Henrietta; Carberry, Josiah\n" in named.mrt


def test_a_doi_and_an_address_are_given(released):
    root = released.layout.root
    with (root / "CITATION.cff").open("a") as stream:
        stream.write("doi: 10.5281/zenodo.1234567\n")
    run(root, "git", "remote", "add", "origin", "https://ada:secret@git.example/a907.git?token=x")
    released.release(include=["CITATION.cff"], force=True)
    cited = cite_release(released.layout)
    assert (cited.tag, cited.doi, cited.address) == ("v1.0.1", "10.5281/zenodo.1234567", "https://git.example/a907.git")
    assert "available at https://doi.org/10.5281/zenodo.1234567" in cited.text
    assert "doi = {10.5281/zenodo.1234567}" in cited.bibtex
    assert not {"secret", "token"} & set(re.findall(r"\w+", json.dumps(cited.as_dict())))
    assert cite_release(released.layout, TAG).doi == ""


def test_datasets_have_identifiers_by_rule(cited):

    from daxa.publish.citing.cited_release import _credit

    one = _credit(find_mission("chandra"), ["242", "18461"], ())
    assert one.identifiers == {"242": "10.25574/00242", "18461": "10.25574/18461"}
    assert "Chandra 242: https://doi.org/10.25574/00242" in replace(cited, missions=(one,)).text
    assert "@misc{chandra-242,\n  title = {{Chandra observation 242}},\n  doi = {10.25574/00242}" in (
        replace(cited, missions=(one,)).bibtex
    )


def test_creators_and_titles_cannot_write_latex(cited):

    evil = replace(cited, title="\\input{/etc/passwd} & 5%\n@misc{x,", creators=(Creator(name="Ada\\write18{ls}"),))
    made = evil.bibtex
    assert "\\input{" not in made
    assert "\\write18{" not in made
    assert "\n@misc{x" not in made
    assert latex("a_b^c~d") == r"a\_b\textasciicircum{}c\textasciitilde{}d"


@pytest.mark.parametrize(
    "url",
    ["/home/ada/a907", "file:///home/ada", "ext::sh -c id", "", "https://", "https://[x", "javascript:alert(1)", "-x"],
)
def test_addresses_of_this_machine_are_not_given(url):
    assert public_address(url) == ""


@pytest.mark.parametrize(
    "content",
    [
        b"a: &a [1, 2]\nabstract: [*a, *a]\n",
        b"abstract: !!python/object/apply:os.system ['id']\n",
        b"- a list\n",
        b"abstract: [" * 5000,
        b"\xff\xfe",
        b"doi: " + b"x" * 300_000,
        b"abstract: .nan\n",
    ],
)
def test_a_citation_file_that_could_act_is_refused(content):
    with pytest.raises(DataError) as refused:
        read_extra(content)
    assert refused.value.code == "data.citation-file"


@pytest.mark.parametrize(
    "content", [b"[xmm]\nclean = 1\n", b"x = 1\n", b"not toml", b"[xmm.clean]\nbackend = 'a\\nb'\nversion = '1'\n"]
)
def test_a_software_file_that_is_not_daxas_is_refused(content, tmp_path):
    with pytest.raises(DataError):
        used_software(content, tmp_path / "software.toml")


def test_software_is_credited_where_it_was_used():
    used = {("xmm", "fetch"): ("daxa", "1"), ("xmm", "events"): ("sas", "21.0"), ("xmm", "clean"): ("native", "6")}
    credited = {one.name: one for one in credit_software(used)}
    assert credited["daxa"].versions == ("clean 6", "fetch 1")
    assert credited["sas"].versions == ("21.0",)
    assert credited["sas"].references == ()
    assert "Astropy" not in {one.name for one in credit_software({("xmm", "events"): ("sas", "21.0")})}


def test_without_a_release_there_is_nothing_to_cite(finished):
    with pytest.raises(ReleaseError, match="no release yet"):
        cite_release(finished.layout)


def test_only_releases_are_cited(released):
    for name in ("v9.9.9", "--help", "HEAD", "v1.0.0^{commit}"):
        with pytest.raises(ArchiveError, match="no release"):
            cite_release(released.layout, name)


def test_facts_that_ship_have_a_day():
    for name in mission_names():
        spec = find_mission(name)
        if spec.credit.read:
            assert spec.acknowledgement, name
            assert spec.credit.source, name


@pytest.mark.parametrize("form", ["text", "bibtex", "mrt", "json"])
def test_the_verb(released, capsys, monkeypatch, form):
    monkeypatch.chdir(released.layout.root)
    cited = Archive(released.layout.root).cite()
    before = run(released.layout.root, "git", "status", "--porcelain", "--ignored")
    assert main(["cite", TAG, "--format", form]) == 0
    said = capsys.readouterr().out
    if form == "json":
        found = json.loads(said)
        assert found["swhids"] == cited.swhids
        assert found["missions"][0]["obs_ids"] == [FIRST, THIRD]
        assert found == json.loads(json.dumps(cited.as_dict()))
    else:
        assert said.rstrip("\n") == getattr(cited, form).rstrip("\n")
    assert run(released.layout.root, "git", "status", "--porcelain", "--ignored") == before
    assert SECOND not in said
