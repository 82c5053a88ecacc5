"""``daxa cite``: what a paper that uses a release must say."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from daxa.cli.completion import complete_tag
from daxa.cli.show import show_json, show_text

__all__ = ["CitationFormat", "cite"]

EXAMPLES = (
    "daxa cite",
    "daxa cite v1.0.0 --format bibtex",
    "daxa cite v1.0.0 --format mrt",
    "daxa cite --format json",
)


class CitationFormat(StrEnum):
    """Forms of a citation."""

    TEXT = "text"
    BIBTEX = "bibtex"
    MRT = "mrt"
    JSON = "json"


def cite(
    tag: Annotated[
        str, typer.Argument(metavar="TAG", help="A release; by default the latest.", autocompletion=complete_tag)
    ] = "",
    *,
    form: Annotated[
        CitationFormat,
        typer.Option(
            "--format", "-f", help="Sentences, BibTeX, a table of the observations (AAS), or one JSON object."
        ),
    ] = CitationFormat.TEXT,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Print what a paper that uses a release must say, from the release itself.

    This is a reference to the release, a sentence on the availability of the data, the observations, what the missions
    ask to be said, the software that made the products, dataset identifiers, and Software Heritage identifiers (SWHIDs)
    of the tag, its commit and its tree.

    Wordings, papers and keywords that nobody has compared with their source are not printed as facts: they are listed
    as still to be looked up, with the address.
    """
    import daxa

    found = daxa.open().cite(tag)
    if as_json or form == CitationFormat.JSON:
        show_json([found.as_dict()])
    else:
        show_text({"text": found.text, "bibtex": found.bibtex, "mrt": found.mrt}[form.value].rstrip("\n"))
