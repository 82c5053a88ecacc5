"""Process observations with other parameters: what would change and run, and the change itself."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from daxa.archive import dvc
from daxa.archive.check import check_params_text, check_versions
from daxa.archive.config import ArchiveConfig, load_config
from daxa.archive.layout import Layout
from daxa.archive.override import Setting, describe, read_settings, with_settings
from daxa.archive.preview import preview
from daxa.archive.problems import refuse
from daxa.archive.selected_files import changed_meanwhile
from daxa.archive.toml_files import read_content
from daxa.errors import ConfigError, CriteriaError
from daxa.files import replace_file
from daxa.records import Outcome
from daxa.stages.forecast import Forecast, forecast_run
from daxa.stages.status import outcomes_of, read_status

if TYPE_CHECKING:
    from daxa.query.criteria.accepted_types import ObsIdsLike, TextsLike

__all__ = ["Reprocessed", "Reprocessing", "failed_observations", "plan_reprocessing", "settings_from"]


@dataclass(frozen=True)
class Reprocessing:
    """New parameters, and what they make run; nothing is written until `write`.

    Parameters
    ----------
    root, mission
        The archive, and the mission whose parameters change.
    obs_ids
        The observations concerned; () for all of the mission.
    settings
        What is set and unset.
    forecast
        What runs with these parameters.
    changed
        Whether the params file changes: it may have the values already.
    """

    root: Path
    mission: str
    obs_ids: tuple[str, ...]
    settings: tuple[Setting, ...]
    forecast: Forecast
    changed: bool
    _text: str = field(repr=False, default="")
    _seen: str = field(repr=False, default="")

    @property
    def title(self) -> str:
        """One line that says what was set."""
        return describe(self.settings, self.obs_ids, self.mission)

    def write(self) -> None:
        """Write the parameters, by one rename.

        Raises
        ------
        ArchiveError
            DVC is running, or the file was changed since the plan was made.
        """
        layout = Layout(self.root)
        if not self.changed:
            return
        path = layout.params(self.mission)
        with dvc.excluded(layout.root):
            if _digest(path) != self._seen:
                raise changed_meanwhile(layout)
            replace_file(path, self._text.encode())


@dataclass(frozen=True)
class Reprocessed:
    """The result of processing with other parameters.

    Parameters
    ----------
    plan
        What was set, and what was planned to run.
    outcomes
        The status afterwards; () after a dry run.
    tag
        The release; '' if none was requested, or nothing has changed since the last one.
    """

    plan: Reprocessing
    outcomes: tuple[Outcome, ...] = ()
    tag: str = ""


def plan_reprocessing(
    layout: Layout,
    mission: str,
    settings: Sequence[Setting],
    obs_ids: Collection[str] = (),
    *,
    note: str = "",
) -> Reprocessing:
    """Check new parameters, and find out what they would make run.

    Parameters
    ----------
    layout
        The archive.
    mission
        One of its missions.
    settings
        What to set and unset.
    obs_ids
        Only for these selected observations, as overrides; for all of the mission if empty.
    note
        Why, as a remark in the params file.

    Raises
    ------
    CriteriaError
        No parameter is set or unset.
    ConfigError
        The parameters cannot be used, or the file cannot be edited automatically.
    """
    if not settings:
        raise CriteriaError(
            "nothing-set",
            "no parameter is set or unset",
            remedy="give --set STEP.NAME=VALUE or --unset STEP.NAME; `daxa run` does what is out of date",
        )
    config = load_config(layout)
    path = layout.params(mission)
    content, problems = read_content(path)
    refuse(problems)
    wrong = _refusal(layout, config, mission, (content or b"").decode("utf-8", "replace"))
    try:
        former = (content or b"").decode()
        text = with_settings(former, settings, sorted(obs_ids), note=note)
    except (ConfigError, ValueError, TypeError, AttributeError, KeyError):
        # A file that is no TOML, or has values in the place of tables, cannot be edited.
        if wrong is None:
            raise
        raise wrong from None
    # The settings may mend what is wrong in the file.
    if problem := _refusal(layout, config, mission, text):
        raise wrong or problem

    def write(made: Layout) -> None:
        replace_file(made.params(mission), text.encode())

    with preview(layout, write) as there:
        check_versions(there, config, [mission])
        forecast = forecast_run(there, config, missions=[mission], obs_ids=tuple(obs_ids))
    return Reprocessing(
        layout.root, mission, tuple(sorted(obs_ids)), tuple(settings), forecast, text != former, text, _digest(path)
    )


def _refusal(layout: Layout, config: ArchiveConfig, mission: str, text: str) -> ConfigError | None:
    """Why a text cannot be the params file of a mission; None if it can."""
    try:
        check_params_text(layout, config, mission, text)
    except ConfigError as error:
        return error
    return None


def failed_observations(
    layout: Layout,
    config: ArchiveConfig,
    missions: TextsLike | None = (),
    steps: TextsLike | None = (),
    obs_ids: ObsIdsLike | None = (),
) -> dict[str, tuple[str, ...]]:
    """Mission to those of the named observations that failed at some step."""
    found: dict[str, dict[str, None]] = {}
    for one in outcomes_of(read_status(layout, config, missions=missions, steps=steps, obs_ids=obs_ids)):
        if one.status == "failed":
            found.setdefault(one.mission, {})[one.obs_id] = None
    return {mission: tuple(sorted(ids)) for mission, ids in found.items()}


def settings_from(given: Mapping[str, object], unset: Sequence[str], steps: Sequence[str]) -> tuple[Setting, ...]:
    """The settings given in Python: parameter to value, and parameters to unset."""
    named = read_settings([f"{name}=0" for name in given], unset, steps)
    values = iter(given.values())
    return tuple(replace(one, value=_plain_value(next(values))) if one.value is not None else one for one in named)


def _plain_value(value: object) -> object:
    """A value from Python in the form of TOML: a quantity becomes a number with its unit.

    Examples
    --------
    >>> import astropy.units as u
    >>> _plain_value(17.4 * u.arcsec), _plain_value((1, 2)), _plain_value(2.5)
    ('17.4 arcsec', [1, 2], 2.5)
    """
    if hasattr(value, "unit") and hasattr(value, "value"):
        return f"{value.value:g} {value.unit}"
    if isinstance(value, tuple | list):
        return [_plain_value(one) for one in value]
    return value


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
