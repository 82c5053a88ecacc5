"""Render the text files of a generated archive."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from daxa.archive.address import config_value
from daxa.archive.config import FORMAT, TEMPLATE, Creator, LockedSoftware
from daxa.backends import find_backend
from daxa.backends.parameter_text import table_lines
from daxa.backends.registry import backend_of_step
from daxa.backends.shared_parameters import BACKEND, FETCH
from daxa.missions import MissionSpec
from daxa.run.steps import OWN_STEPS, Step
from daxa.text import json_escaped

if TYPE_CHECKING:
    import jinja2

__all__ = [
    "MissionAnswers",
    "environment",
    "parameter_lines",
    "reads_fetched",
    "render",
    "render_citation",
    "render_fixed",
    "render_pipeline",
    "template_directories",
]

_FILES = {
    "daxa.toml": "daxa.toml.j2",
    "software.toml": "software.toml.j2",
    "README.md": "README.md.j2",
    "LICENSE": "LICENSE.j2",
    ".gitattributes": "gitattributes",
    ".gitignore": "gitignore",
    ".dvcignore": "dvcignore",
    ".dvc/config": "dvc-config.j2",
    ".dvc/.gitignore": "dvc-gitignore",
    ".github/workflows/verify.yml": "verify.yml",
}

_SPDX = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*")
_CITATION = {"CITATION.cff": "CITATION.cff.j2", ".zenodo.json": "zenodo.json.j2"}


@dataclass(frozen=True)
class MissionAnswers:
    """The answers of one mission to the templates.

    Parameters
    ----------
    spec
        Its declaration.
    criteria
        What was requested, in plain form.
    software
        Step and what it is locked to, in the order of the steps.
    tables
        Step to what its table in the params file says in place of the usual: the backend that was chosen.
    """

    spec: MissionSpec
    criteria: Mapping[str, Any]
    software: Sequence[tuple[str, LockedSoftware]]
    tables: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def title(self) -> str:
        return self.spec.title


def render(
    name: str,
    missions: Sequence[MissionAnswers],
    *,
    title: str = "",
    creators: Sequence[Creator] = (),
    remote: str = "",
    steps: Sequence[Step] = OWN_STEPS,
    kept: Collection[str] = (),
    template: int = TEMPLATE,
) -> dict[str, str]:
    """Give every text file of an archive: path to content.

    The same answers give the same text, for ever: a changed ``cmd`` would re-run every stage.

    Parameters
    ----------
    name, missions, title, creators
        Of the archive.
    remote
        Address of its storage as ``.dvc/config`` says it: see `daxa.archive.address.storage_address`.
    steps
        What is done to every observation, each step after those that it needs.
    kept
        Missions of which fetched files are kept with the products.
    template
        Version of the templates; an earlier one gives what an earlier daxa wrote.  Parameters, ``CITATION.cff`` and
        ``.zenodo.json`` are those of today.

    Raises
    ------
    ConfigError
        A step's backend is not installed.
    """
    answers = {
        "format": FORMAT,
        "template": template,
        "name": name,
        "title": title,
        "creators": creators,
        "remote": remote,
        "steps": steps,
        "missions": missions,
        "criteria": {"missions": {mission.name: dict(mission.criteria) for mission in missions}},
    }
    files = {path: _template(name, template).render(answers) for path, name in _FILES.items()}
    files |= render_citation(name, [mission.spec for mission in missions], title=title, creators=creators)
    files["dvc.yaml"] = render_pipeline([mission.name for mission in missions], steps, kept, template=template)
    for mission in missions:
        tables = {step.name: parameter_lines(mission.spec, step, steps, mission.tables) for step in steps}
        files[f"params/{mission.name}.toml"] = (
            _environment().get_template("params.toml.j2").render(spec=mission.spec, tables=tables)
        )
    return files


def render_citation(
    name: str,
    missions: Sequence[MissionSpec],
    *,
    title: str = "",
    creators: Sequence[Creator] = (),
    licence: str = "CC-BY-4.0",
    version: str = "",
    released: str = "",
    related: Sequence[str] = (),
    cff_extra: Mapping[str, Any] = MappingProxyType({}),
    zenodo_extra: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, str]:
    """``CITATION.cff`` and ``.zenodo.json`` of an archive, or of a release.

    Parameters
    ----------
    name, missions, title, creators, licence
        Of the archive.
    version, released
        Tag of the release, and its day; '' before there is one.
    related
        DOIs of the data that it was made from.
    cff_extra, zenodo_extra
        What people added (`daxa.archive.citation_files`).
    """
    answers = {
        "name": name,
        "title": title,
        "authors": creators or [Creator(name=f"Authors of {title or name}")],
        "missions": missions,
        "licence": licence,
        "plain_licence": bool(_SPDX.fullmatch(licence)),
        "version": version,
        "released": released,
        "related": related,
        "cff_extra": cff_extra,
        "zenodo_extra": zenodo_extra,
    }
    return {path: _environment().get_template(template).render(answers) for path, template in _CITATION.items()}


def render_pipeline(
    missions: Sequence[str],
    steps: Sequence[Step] = OWN_STEPS,
    kept: Collection[str] = (),
    *,
    template: int = TEMPLATE,
) -> str:
    """The ``dvc.yaml`` of an archive with these missions and steps, which keeps fetched files of some missions.

    An earlier version of the templates gives the one that an earlier daxa wrote.

    Raises
    ------
    ConfigError
        A step's backend is not installed.
    """
    followed = {step.name: _followed(step, steps) for step in steps}
    found = _template("dvc.yaml.j2", template)
    text = found.render(missions=missions, steps=steps, followed=followed, kept=kept)
    if "${" in text:
        raise AssertionError("dvc.yaml must not interpolate")
    return text


def render_fixed(path: str) -> str:
    """One of the files that are the same in every archive, such as ``.gitignore``."""
    return _environment().get_template(_FILES[path]).render()


def _template(name: str, version: int) -> jinja2.Template:
    """A template as it was at a version: its text is kept under the last version that had it."""
    for earlier in range(version, TEMPLATE):
        if any((place / f"earlier/{earlier}/{name}").is_file() for place in template_directories()):
            return _environment().get_template(f"earlier/{earlier}/{name}")
    return _environment().get_template(name)


def _followed(step: Step, steps: Sequence[Step]) -> list[str]:
    """What DVC follows of the params file for a stage: the step's table.

    What is fetched depends on what reads it, too.
    """
    readers = [other for other in steps if step.fetches and step.name in other.needs]
    return [*(f"{reader.name}.{BACKEND}" for reader in readers), step.name]


def parameter_lines(
    spec: MissionSpec,
    step: Step,
    steps: Sequence[Step],
    tables: Mapping[str, Mapping[str, object]] = MappingProxyType({}),
) -> list[str]:
    """The lines of a step's table in a new params file, whose tables say that other backends do some steps."""
    if step.fetches:
        return table_lines(FETCH)
    name = backend_of_step(tables, step, steps)
    lines = table_lines(find_backend(name).parameters(spec.name).get(step.name, ()))
    if step.backend or reads_fetched(step, steps) or BACKEND in tables.get(step.name, {}):
        lines.insert(0, f'{BACKEND} = "{name}"'.ljust(38) + "# software for this step and the following ones")
    return lines


def reads_fetched(step: Step, steps: Sequence[Step]) -> bool:
    """Whether a step reads files of the telescope's archive: DVC then follows its backend by name."""
    return any(other.fetches and other.name in step.needs for other in steps)


@cache
def template_directories() -> tuple[Path, ...]:
    """Where the templates are: inside an installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "_templates"
    return (installed,) if installed.is_dir() else (package.parent / "templates", package.parent)


def environment(*, autoescape: bool, **filters: Callable[..., str]) -> jinja2.Environment:
    """Give a Jinja environment that finds our templates and refuses unknown names.

    Parameters
    ----------
    autoescape
        True for HTML.
    filters
        What templates may call with ``|``.
    """
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template_directories()),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=autoescape,  # noqa: S701 - true for HTML
    )
    made.filters |= filters
    return made


@cache
def _environment() -> jinja2.Environment:
    # The files are TOML, YAML and Markdown: values pass through json and toml.
    return environment(
        autoescape=False,
        toml=_toml_value,
        toml_tables=_toml_tables,
        json=json.dumps,
        yaml=_yaml_value,
        value=config_value,
    )


def _yaml_value(value: Any) -> str:
    """A value on one line; YAML does not know the pairs of escapes by which JSON writes what is beyond 16 bits."""
    shown = json.dumps(value, ensure_ascii=False)
    return json.dumps(value) if max(shown) < "\U00010000" else json_escaped(shown)


def _toml_value(value: Any) -> str:
    import tomlkit

    text: str = tomlkit.item(value).as_string()
    return text


def _toml_tables(tables: Mapping[str, Any]) -> str:
    import tomlkit

    return tomlkit.dumps(tables)
