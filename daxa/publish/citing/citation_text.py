"""A citation as sentences and as BibTeX."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

from daxa.naming import number_of
from daxa.text import plain

if TYPE_CHECKING:
    from daxa.publish.citing.citation import Citation, MissionCitation

__all__ = ["citation_bibtex", "citation_text", "latex"]

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


def latex(text: str) -> str:
    r"""Text of one line in which nothing is a LaTeX command.

    Examples
    --------
    >>> latex("Abell 907 & \\input{x}, 5%")
    'Abell 907 \\& \\textbackslash{}input\\{x\\}, 5\\%'
    """
    return "".join(_SPECIAL.get(character, character) for character in " ".join(plain(text).split()))


def citation_text(citation: Citation) -> str:
    """Sentences for the paper, each below its heading.

    Parameters
    ----------
    citation
        As `daxa.publish.citing.citation.cite_release` gives it.
    """
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


def citation_bibtex(citation: Citation) -> str:
    """Entries for the release and for datasets with a DOI; other references are named, to be exported from ADS.

    Parameters
    ----------
    citation
        As `daxa.publish.citing.citation.cite_release` gives it.
    """
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
