"""Give an archive another step: its name, stages, parameters and software, in one commit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from daxa.archive import git
from daxa.archive.committing import commit_changes, refuse_uncommitted
from daxa.archive.config import ArchiveConfig, load_config
from daxa.archive.create import provided
from daxa.archive.layout import Layout
from daxa.archive.template import MissionAnswers, parameter_lines, render
from daxa.errors import CriteriaError
from daxa.missions import find_mission
from daxa.run.steps import Step, arrange_steps

__all__ = ["add_steps"]


def add_steps(layout: Layout, names: Sequence[str]) -> str:
    """Add steps to an archive and commit the change; what is there stays as it is.

    An archive that was made before a step existed goes on without it until then.  The next
    `daxa run` does the step for all observations.

    Parameters
    ----------
    layout
        The archive.
    names
        Steps, of daxa or of installed plug-ins.

    Returns
    -------
    str
        Digest of the commit.

    Raises
    ------
    CriteriaError
        No step is named, or the archive has it already.
    ConfigError
        There is no such step, it needs one that the archive does not have, or nothing can carry it out.
    ArchiveError
        A file that changes has uncommitted changes, or something is at work in the archive.
    """
    config = load_config(layout)
    present = [name for name in names if name in config.steps]
    if present or not names:
        raise CriteriaError(
            "steps",
            f"the archive has the step {present[0]} already" if present else "no step is named",
            remedy="`daxa status` shows the steps of the archive",
        )
    git.check_identity(layout.root)
    steps = arrange_steps([*config.steps, *names])
    added = [step for step in steps if step.name in names]
    texts = _texts(layout, config, steps, added)
    refuse_uncommitted(layout, texts.__contains__)
    return commit_changes(layout, f"Add the step {', '.join(names)}", lambda made: _write(made.root, texts))


def _texts(layout: Layout, config: ArchiveConfig, steps: Sequence[Step], added: Sequence[Step]) -> dict[str, str]:
    """Path to new content of every file that changes."""
    specs = [find_mission(mission) for mission in config.missions]
    answers = [
        MissionAnswers(spec, {}, tuple((step.name, provided(spec, step, steps)) for step in added)) for spec in specs
    ]
    rendered = render(config.name, answers, steps=steps, kept=config.storage.fetched)
    software = layout.software.read_text(encoding="utf-8").rstrip()
    _, _, locks = rendered[layout.software.name].partition("\n")
    texts = {
        layout.config.name: _with_steps(layout.config.read_text(encoding="utf-8"), [step.name for step in steps]),
        layout.pipeline.name: rendered[layout.pipeline.name],
        layout.software.name: f"{software}\n{locks}",
    }
    for spec in specs:
        path = layout.params(spec.name)
        tables = ["\n".join([f"[{step.name}]", *parameter_lines(spec, step, steps)]) for step in added]
        before = path.read_text(encoding="utf-8").rstrip()
        texts[layout.name_of(path)] = "\n\n".join([before, *tables]) + "\n"
    return texts


def _with_steps(text: str, steps: Sequence[str]) -> str:
    """The text of ``daxa.toml`` with other steps, all else as it was written."""
    import tomllib

    import tomlkit

    document = tomlkit.parse(text)
    if "steps" in document:
        document["steps"] = list(steps)
        written = tomlkit.dumps(document)
    else:
        # Written by hand before the first table: tomlkit would put it among the comments of the last one.
        written = f"steps = {tomlkit.item(list(steps)).as_string()}\n{text}"
    if tomllib.loads(written) != {**tomllib.loads(text), "steps": list(steps)}:
        raise AssertionError("daxa.toml would not hold what was requested")
    return written


def _write(root: Path, texts: Mapping[str, str]) -> None:
    for path, content in texts.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content, encoding="utf-8")
