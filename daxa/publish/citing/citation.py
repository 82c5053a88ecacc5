"""How a release is cited: the facts, and their forms as sentences, BibTeX and a table."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote

from daxa.archive.config import Creator
from daxa.naming import number_of
from daxa.publish.citing.software_credit import SoftwareCredit
from daxa.text import plain

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Citation", "MissionCitation", "latex"]

_KEYWORDS = "https://journals.aas.org/facility-keywords/"
_MOST_LISTED = 10
"""Most ObsIDs in a sentence; more go into a table."""

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


@dataclass(frozen=True)
class MissionCitation:
    """The credit that a paper must give to one mission.

    Parameters
    ----------
    mission, title
        Its names.
    obs_ids
        The chosen observations, sorted.
    failed
        Those of them for which a step failed or was skipped.
    acknowledgement
        The wording that the mission asks for, '' if it was not compared with its source.
    source
        Where the wording was found.
    read
        When it was read.
    references
        Bibcodes that were checked.
    facility
        Keyword of the AAS journals that was checked, '' for none.
    identifiers
        ObsID to the persistent identifier of its data, for missions that have a rule for it.
    unchecked
        References and keywords that are declared and were not checked: not to be printed as facts.
    """

    mission: str
    title: str
    obs_ids: tuple[str, ...]
    failed: tuple[str, ...]
    acknowledgement: str
    source: str
    read: str
    references: tuple[str, ...]
    facility: str
    identifiers: Mapping[str, str]
    unchecked: tuple[str, ...]


@dataclass(frozen=True)
class Citation:
    """How to cite a release; `text`, `bibtex` and `mrt` are its forms.

    Parameters
    ----------
    name, title
        Of the archive.
    tag, commit
        The release.
    date
        Day on which it was made, UTC.
    creators
        Who made it.
    licence
        SPDX identifier.
    doi
        The one in its ``CITATION.cff``, or ''.
    address
        Where others find the repository; '' if Git knows no such place.
    swhids
        Kind (``rel``, ``rev``, ``dir``) to the identifier of tag, commit and tree.
    missions, software
        To whom credit is due.
    tables
        Mission to its observations.
    """

    name: str
    title: str
    tag: str
    commit: str
    date: str
    creators: tuple[Creator, ...]
    licence: str
    doi: str
    address: str
    swhids: Mapping[str, str]
    missions: tuple[MissionCitation, ...]
    software: tuple[SoftwareCredit, ...]
    tables: Mapping[str, pd.DataFrame] = field(repr=False, compare=False)

    @property
    def text(self) -> str:
        """Sentences for the paper: data availability, acknowledgements, software, keywords, identifiers."""
        return _text(self)

    @property
    def bibtex(self) -> str:
        """Entries for the list of references."""
        return _bibtex(self)

    @property
    def mrt(self) -> str:
        """The observations as a machine-readable table of the AAS."""
        from daxa.selection.table_formats import export_bytes

        authors = "; ".join(one.name for one in self.creators)
        title = f"Observations of {self.title}, {self.tag}"
        return export_bytes(".mrt", self.tables, title, authors=authors).decode("ascii")

    def as_dict(self) -> dict[str, object]:
        """As plain values, ready for JSON."""
        plain = {name: value for name, value in vars(self).items() if name != "tables"}
        return plain | {
            "creators": [creator.model_dump() for creator in self.creators],
            "swhids": dict(self.swhids),
            "missions": [vars(one) | {"identifiers": dict(one.identifiers)} for one in self.missions],
            "software": [asdict(one) for one in self.software],
        }


def latex(text: str) -> str:
    r"""Text of one line in which nothing is a LaTeX command.

    Examples
    --------
    >>> latex("Abell 907 & \\input{x}, 5%")
    'Abell 907 \\& \\textbackslash{}input\\{x\\}, 5\\%'
    """
    return "".join(_SPECIAL.get(character, character) for character in " ".join(plain(text).split()))


def _text(citation: Citation) -> str:
    """Sentences for the paper, each below its heading."""
    parts = [
        ("Cite", [_reference(citation)]),
        ("Data availability", [_availability(citation)]),
        ("Observations", list(_observations(citation))),
        ("Acknowledgements", list(_acknowledgements(citation))),
        ("Software", list(_software(citation))),
        ("Facilities", list(_facilities(citation))),
        ("References", list(_references(citation))),
        ("Identifiers", [*citation.swhids.values(), *_datasets(citation)]),
        ("Still to be looked up", list(_unchecked(citation))),
    ]
    return "\n".join("\n".join([f"{title}:", *(f"  {line}" for line in lines), ""]) for title, lines in parts if lines)


def _bibtex(citation: Citation) -> str:
    """Entries for the release and for datasets with a DOI; other references are named, to be exported from ADS."""
    year, month, _ = citation.date.split("-")
    fields = {
        "author": " and ".join(_author(creator.name) for creator in citation.creators),
        "title": f"{{{latex(citation.title)}}}",
        "year": year,
        "version": citation.tag,
        "doi": citation.doi,
        "url": "" if citation.doi else citation.address,
        "note": latex(citation.swhids.get("rel") or citation.commit),
    }
    entries = [_entry(f"{citation.name}-{citation.tag}", fields, f"  month = {_MONTHS[int(month) - 1]},\n")]
    for one in citation.missions:
        for obs_id, identifier in one.identifiers.items():
            title = f"{{{latex(one.title)} observation {latex(obs_id)}}}"
            entries.append(_entry(f"{one.mission}-{obs_id}", {"title": title, "doi": identifier}))
    lines = [f"% {line}" for line in _references(citation)]
    comments = ["% To be exported from ADS:", *lines, ""] if lines else []
    return "\n".join([*comments, *entries])


def _entry(key: str, fields: dict[str, str], more: str = "") -> str:
    lines = "".join(f"  {name} = {{{value}}},\n" for name, value in fields.items() if value)
    return f"@misc{{{key},\n{lines}{more}}}\n"


def _author(name: str) -> str:
    """A name for BibTeX: a comma separates its parts; a name with ``and`` is not a person's."""
    written = latex(name)
    return f"{{{written}}}" if re.search(r"\band\b", written) else written


def _reference(citation: Citation) -> str:
    authors = "; ".join(creator.name for creator in citation.creators) or f"authors of {citation.name}"
    place = f"https://doi.org/{citation.doi}" if citation.doi else citation.address
    ends = ", ".join(part for part in (place, citation.swhids.get("rel", citation.commit)) if part)
    return f"{authors} ({citation.date[:4]}): {citation.title}, {citation.tag}. {ends}"


def _availability(citation: Citation) -> str:
    made = _joined([f"{number_of(len(one.obs_ids), 'observation')} of {one.title}" for one in citation.missions])
    place = f"at https://doi.org/{citation.doi}" if citation.doi else f"at {citation.address}"
    where = place if citation.doi or citation.address else "at [ADDRESS]"
    return (
        f"The data underlying this article are release {citation.tag} of the archive {citation.title!r} "
        f"({citation.swhids.get('rel', citation.commit)}), available {where}. It was made with daxa from {made}, "
        f"which are listed in Table [TABLE]; `daxa verify {citation.tag}` compares every file with the release."
    )


def _observations(citation: Citation) -> Iterator[str]:
    for one in citation.missions:
        named = ", ".join(one.obs_ids)
        if len(one.obs_ids) > _MOST_LISTED:
            named = f"{number_of(len(one.obs_ids), 'ObsID')}; `daxa cite {citation.tag} --format mrt` writes the table"
        yield f"{one.title}: {named}"
        if one.failed:
            yield f"  not processed, or only in part: {', '.join(one.failed)}"


def _acknowledgements(citation: Citation) -> Iterator[str]:
    seen: set[str] = set()
    for one in citation.missions:
        if one.acknowledgement and one.acknowledgement not in seen:
            seen.add(one.acknowledgement)
            yield f"{one.acknowledgement.rstrip('.')}."
            yield f"  ({one.title}: {one.source}, read {one.read})"


def _software(citation: Citation) -> Iterator[str]:
    for one in citation.software:
        versions = f" ({', '.join(one.versions)})" if one.versions else ""
        references = f": {', '.join(one.references)}" if one.references else ""
        yield f"{one.name}{versions}{references}"


def _facilities(citation: Citation) -> Iterator[str]:
    if named := list(dict.fromkeys(one.facility for one in citation.missions if one.facility)):
        yield ", ".join(named)


def _references(citation: Citation) -> Iterator[str]:
    by = [one.references for one in citation.missions] + [one.references for one in citation.software]
    named = [bibcode for references in by for bibcode in references]
    for bibcode in dict.fromkeys(named):
        yield f"{bibcode}  {_address(bibcode)}"


def _address(reference: str) -> str:
    if reference.startswith("ascl:"):
        return f"https://ascl.net/{reference.removeprefix('ascl:')}"
    return f"https://ui.adsabs.harvard.edu/abs/{quote(reference)}/exportcitation"


def _datasets(citation: Citation) -> Iterator[str]:
    for one in citation.missions:
        for obs_id, identifier in one.identifiers.items():
            yield f"{one.title} {obs_id}: https://doi.org/{identifier}"


def _unchecked(citation: Citation) -> Iterator[str]:
    for one in citation.missions:
        lacking = _lacking(one)
        if lacking:
            yield f"{one.title}: {'; '.join(lacking)}"
    for package in citation.software[1:]:
        if not package.references:
            yield f"{package.name}: how to cite it is not known"


def _lacking(one: MissionCitation) -> list[str]:
    """What is declared for a mission but has not been compared with its source."""
    lacking = [] if one.acknowledgement or not one.source else [f"the wording of the acknowledgement at {one.source}"]
    bibcodes = [name for name in one.unchecked if name[:4].isdigit()]
    keywords = [name for name in one.unchecked if not name[:4].isdigit()]
    if bibcodes:
        lacking.append(f"whether the mission asks to cite {', '.join(bibcodes)}")
    if keywords:
        lacking.append(f"whether {keywords[0]} is its keyword in {_KEYWORDS}")
    return lacking


def _joined(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
