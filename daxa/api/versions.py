"""The releases of an archive: make, compare, check out and cite them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from daxa.api.opened import Opened
from daxa.archive.gate import enter_archive
from daxa.archive.named_choices import named_missions
from daxa.errors import CriteriaError
from daxa.naming import several

if TYPE_CHECKING:
    from daxa.api.opened import Names
    from daxa.archive.upgrading import UpgradePlan
    from daxa.publish.citing.citation import Citation
    from daxa.publish.comparing.changelog import HistoryEntry, ReleaseRecord
    from daxa.publish.comparing.diff import ArchiveDiff
    from daxa.publish.merging.merge_choices import Which
    from daxa.publish.merging.merge_plan import MergePlan
    from daxa.publish.sharing.checkout import CheckoutReport
    from daxa.publish.sharing.garbage import Garbage

__all__ = ["Versions"]


@dataclass(frozen=True)
class Versions(Opened):
    """Methods of `daxa.Archive`."""

    def release(self, message: str = "", *, include: Sequence[str] = (), force: bool = False) -> str:
        """Commit and tag the current state; see `daxa.publish.releases.release.make_release`.

        Parameters
        ----------
        message
            Title of the release.
        include
            Changed files, or directories of them, that the release includes although it does not write them.
        force
            Make a release even when no selection, parameter, software or product has changed.

        Returns
        -------
        str
            The tag.

        Raises
        ------
        ReleaseError
            The release would claim something that is not true; all reasons are named.
        ArchiveError, ConfigError, ProgramError, StorageError
            The archive is in use, or cannot be read or written, or Git does not know who commits.
        """
        from daxa.publish.releases.release import make_release

        enter_archive(self.layout)
        return make_release(self.layout, self.config, message, include=include, force=force).tag

    def log(self) -> list[ReleaseRecord]:
        """The releases, with the messages of their tags.

        Returns
        -------
        list of ReleaseRecord
            The latest version last.
        """
        from daxa.publish.comparing.changelog import list_releases

        return list_releases(self.layout)

    def history(self, obs_id: str | int) -> list[HistoryEntry]:
        """What each release did to an observation, and why; see `daxa.publish.comparing.changelog.list_history`.

        Parameters
        ----------
        obs_id
            The observation, which may have been dropped since.

        Returns
        -------
        list of HistoryEntry
            The first release first; what is not released yet comes last.

        Raises
        ------
        CriteriaError
            Neither a release nor the working tree has it.
        """
        from daxa.publish.comparing.changelog import list_history

        return list_history(self.layout, str(obs_id))

    def diff(self, before: str = "", now: str = "", *, files: int = 200) -> ArchiveDiff:
        """Compare two versions of the archive, observation by observation.

        See `daxa.publish.comparing.diff.diff_archive`.

        Parameters
        ----------
        before
            A tag or commit; by default the last release.
        now
            Another one; by default the working tree.
        files
            Most differing files whose contents are compared, if they are on this machine.

        Returns
        -------
        ArchiveDiff
            Its `observations` say what was done, why, and what changed as a result.

        Raises
        ------
        ArchiveError
            There is no such revision, or no release yet.
        ConfigError, DataError
            A file of one of them cannot be read.
        """
        from daxa.publish.comparing.diff import diff_archive
        from daxa.publish.comparing.revisions import last_release

        return diff_archive(self.layout, before or last_release(self.layout), now, files=files)

    def checkout(
        self, version: str, *, observe: Callable[[int, int], None] = lambda ended, total: None
    ) -> CheckoutReport:
        """Go to a release or a branch, with the data that this machine has; see `daxa.publish.sharing.checkout`.

        Parameters
        ----------
        version
            A tag, a branch, or ``-`` for the branch before.
        observe
            Called with the number of files checked so far, and their total.

        Returns
        -------
        CheckoutReport
            What is missing is its content, not an exception.

        Raises
        ------
        ArchiveError
            There is no such version, the archive is in use, or something would be lost.
        UntrustedArchive
            The version contains something harmful; nothing was changed.
        """
        from daxa.publish.sharing.checkout import checkout_version

        enter_archive(self.layout)
        return checkout_version(self.layout, version, observe=observe)

    def gc(self, *, remove: bool = False) -> Garbage:
        """Find, or remove, objects of DVC's cache that no version needs; see `daxa.publish.sharing.garbage`.

        Parameters
        ----------
        remove
            Remove them; by default nothing is changed.

        Returns
        -------
        Garbage
            What is kept, and what is not needed.

        Raises
        ------
        ConfigError
            The cache is not the archive's own.
        ReleaseError
            What a version needs cannot be known.
        ArchiveError
            A stage or DVC is running, or something in the archive could run.
        """
        from daxa.publish.sharing.garbage import find_garbage, remove_garbage

        if not remove:
            return find_garbage(self.layout)
        enter_archive(self.layout)
        return remove_garbage(self.layout)

    def plan_upgrade(
        self, *, software: bool = False, missions: Names = (), keep: str | Sequence[str] = ()
    ) -> UpgradePlan:
        """Compare the files that an earlier daxa wrote with those of today; see `daxa.archive.upgrading`.

        Parameters
        ----------
        software
            Also lock the steps to the software that is installed: the next run then makes again what was made with
            other versions.
        missions
            Only the software of these; of all by default.
        keep
            Files that stay as they are.

        Returns
        -------
        UpgradePlan
            ``diff()`` shows it, ``apply()`` carries it out in one commit; empty where all is up to date.

        Raises
        ------
        ArchiveError
            You and daxa have changed the same lines of a file.
        ConfigError
            A newer daxa made the archive.
        CriteriaError
            A mission is not in the archive, or a file that is to stay is not upgraded.
        """
        from daxa.archive.upgrading import plan_upgrade

        named = named_missions(self.config, missions)
        return plan_upgrade(self.layout, software=software, missions=named, keep=several(keep))

    def plan_merge(self, branch: str, *, ours: str | Sequence[str] = (), theirs: str | Sequence[str] = ()) -> MergePlan:
        """Compare another branch with what is checked out; see `daxa.publish.merging.merge`.

        Parameters
        ----------
        branch
            A branch or a release; ``origin/main`` is one that Git has fetched.
        ours, theirs
            ObsIDs and files for which this side, or the branch, is right where both have changed them; ``all`` stands
            for everything.

        Returns
        -------
        MergePlan
            ``apply()`` merges in one commit; `conflicts` are to be resolved before.

        Raises
        ------
        ArchiveError
            There is no such branch, or files have uncommitted changes.
        UntrustedArchive
            The branch holds what could do harm; nothing of it was taken.
        CriteriaError
            A name is given for both sides, or is neither an observation nor a file.
        """
        from daxa.publish.merging.merge import plan_merge

        mine, other = ([str(name) for name in several(names)] for names in (ours, theirs))
        if both := set(mine) & set(other):
            raise CriteriaError(
                "conflict", f"{min(both)[:100]!r} is given for both sides", remedy="give it for one of them"
            )
        sides: dict[str, Which] = {**dict.fromkeys(mine, "ours"), **dict.fromkeys(other, "theirs")}
        return plan_merge(self.layout, branch, resolved=sides)

    def cite(self, tag: str = "") -> Citation:
        """Gather what a paper that uses a release must say; see `daxa.publish.citing.cited_release.cite_release`.

        Parameters
        ----------
        tag
            A release; by default the latest.

        Returns
        -------
        Citation
            ``text``, ``bibtex`` and ``mrt`` are its forms, ``as_dict()`` gives everything as plain values.

        Raises
        ------
        ReleaseError
            There is no release.
        ArchiveError
            There is no such release.
        DataError, ConfigError
            A file of the release is not what daxa writes.
        """
        from daxa.publish.citing.cited_release import cite_release

        return cite_release(self.layout, tag)
