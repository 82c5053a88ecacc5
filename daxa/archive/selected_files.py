"""The files of an archive that follow its selections: which they are, and what they become when selections change."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from daxa.archive.config import TEMPLATE, ArchiveConfig, load_config, steps_of
from daxa.archive.create import mission_answers
from daxa.archive.layout import Layout
from daxa.archive.mission_change import MissionChange
from daxa.archive.override import without_overrides
from daxa.archive.template import MissionAnswers, render
from daxa.archive.upstream import write_origin
from daxa.errors import ArchiveError
from daxa.missions import find_mission
from daxa.selection.selection_file import write_selection

if TYPE_CHECKING:
    from daxa.query import Selection

__all__ = [
    "DESCRIPTIONS",
    "bare_answers",
    "changed_meanwhile",
    "digests_of",
    "is_own",
    "rendered_with",
    "write_changes",
]

DESCRIPTIONS = ("README.md", "CITATION.cff", ".zenodo.json")
"""Files that name all missions; they follow a new one unless their owner has edited them."""


def write_changes(missions: Iterable[MissionChange], layout: Layout, made: Layout) -> None:
    """Write every file that follows from changed selections, below another root."""
    changes = [change for change in missions if change]
    for change in changes:
        selection = change.selection
        if change.is_new or change.difference:
            write_selection(
                made.selection(change.mission),
                selection.table,
                mission=change.mission,
                criteria=selection.criteria.text,
                snapshot=selection.origin.digest,
            )
        write_origin(made.upstream(change.mission), selection, before=layout.upstream(change.mission))
    criteria = {change.mission: change.selection.criteria.to_plain() for change in changes if change.criteria_changed}
    texts: dict[str, str] = {}
    if criteria:
        texts["daxa.toml"] = _with_criteria(layout.config.read_text(encoding="utf-8"), criteria)
    if added := [change.selection for change in changes if change.is_new]:
        texts |= _with_missions(layout, added)
    for change in (one for one in changes if one.overrides):
        params = layout.params(change.mission)
        text = without_overrides(params.read_text(encoding="utf-8"), change.difference.removed)
        texts[layout.name_of(params)] = text
    for path, content in texts.items():
        target = made.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content, encoding="utf-8")


def _with_criteria(text: str, criteria: Mapping[str, Mapping[str, object]]) -> str:
    """The text of ``daxa.toml`` with other criteria, all else as it was written."""
    import tomllib

    import tomlkit

    document = tomlkit.parse(text)
    for mission, plain in criteria.items():
        document["missions"][mission] = dict(plain)
    written = tomlkit.dumps(document)
    before = tomllib.loads(text)
    if tomllib.loads(written) != {**before, "missions": {**before["missions"], **criteria}}:
        raise AssertionError("daxa.toml would not hold what was requested")
    return written


def _with_missions(layout: Layout, added: Sequence[Selection]) -> dict[str, str]:
    """Path to content of what a new mission adds: stages, parameters, locks, and its name where missions are named."""
    config = load_config(layout)
    steps = steps_of(config)
    present, new = bare_answers(config.missions), [mission_answers(selection, steps) for selection in added]
    before, after = (rendered_with(config, missions) for missions in (present, [*present, *new]))
    locks = render(config.name, new, steps=steps)["software.toml"].partition("\n")[2]
    texts = {
        "dvc.yaml": after["dvc.yaml"],
        "software.toml": f"{layout.software.read_text(encoding='utf-8').rstrip()}\n{locks}",
    }
    for name in (f"params/{answers.name}.toml" for answers in new):
        if not (layout.root / name).exists():
            texts[name] = after[name]
    for name in DESCRIPTIONS:
        path = layout.root / name
        if path.is_file() and path.read_bytes() == before[name].encode():
            texts[name] = after[name]
    return texts


def bare_answers(missions: Iterable[str]) -> list[MissionAnswers]:
    """The answers of missions to the templates, without what only their own tables need."""
    return [MissionAnswers(find_mission(mission), {}, ()) for mission in missions]


def rendered_with(
    config: ArchiveConfig, missions: Sequence[MissionAnswers], *, template: int = TEMPLATE
) -> dict[str, str]:
    """The files of an archive with these missions, all else as this one's; of an earlier daxa, if need be."""
    kept = [mission.name for mission in missions if mission.name in config.storage.fetched]
    people, steps = config.creators, steps_of(config)
    return render(config.name, missions, title=config.title, creators=people, steps=steps, kept=kept, template=template)


def is_own(path: str) -> bool:
    """Whether a commit would take it along; where files came from (``upstream/``) is written by stages."""
    own = ("daxa.toml", "software.toml", "dvc.yaml", *DESCRIPTIONS)
    return path in own or path.startswith(("selection/", "params/"))


def changed_meanwhile(layout: Layout) -> ArchiveError:
    """The error where the archive has changed since a plan was made."""
    return ArchiveError(
        "changed-meanwhile",
        f"criteria or selections in {layout.root} have changed since they were compared",
        remedy="compare again: give the same command once more",
    )


def digests_of(layout: Layout) -> dict[str, str]:
    """What a plan was made from."""
    paths = [layout.config, layout.software, layout.pipeline, *sorted(layout.selection("").parent.glob("*.parquet"))]
    return {layout.name_of(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths if path.is_file()}
