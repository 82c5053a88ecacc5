"""The data of releases: push, pull, verify, publish, recreate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING

from daxa.api.opened import Opened
from daxa.archive.gate import enter_archive
from daxa.naming import several

if TYPE_CHECKING:
    from daxa.api.opened import ObsIds
    from daxa.publish.deposits.deposit import Deposit
    from daxa.publish.releases.verify import Verification
    from daxa.publish.remaking.certificates import Kept
    from daxa.publish.remaking.export import Export
    from daxa.publish.sharing.pull import PullReport
    from daxa.publish.sharing.push import PushReport
    from daxa.publish.sharing.remotecheck import RemoteCheck
    from daxa.stages.recreation import Recreation

__all__ = ["Sharing"]


@dataclass(frozen=True)
class Sharing(Opened):
    """Methods of `daxa.Archive`."""

    def push(self, *, remote: str = "") -> PushReport:
        """Send the data of every release to the remote, and prove that it holds them.

        Parameters
        ----------
        remote
            Name of another remote than the default one.

        Returns
        -------
        PushReport
            What was sent, and what the remote holds.

        Raises
        ------
        ConfigError
            The archive has no remote.
        ReleaseError
            There is no release, its data cannot be found, or they must not be shared yet.
        ServiceError, StorageError, ProgramError
            The remote cannot be listed or written, or does not hold everything afterwards.
        """
        from daxa.publish.sharing.push import push_releases

        enter_archive(self.layout)
        return push_releases(self.layout, remote=remote)

    def pull(
        self,
        tag: str = "",
        *,
        missions: Sequence[str] = (),
        obs_ids: Sequence[str] = (),
        kinds: str | Sequence[str] = (),
        remote: str = "",
        force: bool = False,
    ) -> PullReport:
        """Get data from the remote, verified before and after; see `daxa.publish.sharing.pull.pull_data`.

        Parameters
        ----------
        tag
            A release; by default the commit that is checked out.
        missions, obs_ids
            Only the data of these; all by default.
        kinds
            Only products of these kinds, as `products` names them.
        remote
            Name of another remote than the default one.
        force
            Overwrite files of the tree that differ from the release and exist nowhere else.

        Returns
        -------
        PullReport
            Missing data are reported in it, not raised.

        Raises
        ------
        ArchiveError, UntrustedArchive
            Something in the archive could run, or files that exist nowhere else would be overwritten.
        CriteriaError
            A mission, an ObsID or a kind is not in the archive.
        DataError
            A listing leads out of its directory, or is not what DVC writes.
        ConfigError, ServiceError, StorageError, ProgramError
            There is no remote, or it cannot be read.
        """
        from daxa.publish.sharing.pull import pull_data

        wanted = tuple(map(str, several(kinds)))
        return pull_data(self.layout, tag, missions=missions, obs_ids=obs_ids, kinds=wanted, remote=remote, force=force)

    def verify(
        self,
        tag: str = "",
        *,
        fetched: bool = False,
        present: bool = False,
        obs_ids: ObsIds = None,
        observe: Callable[[int, int], None] = lambda ended, total: None,
    ) -> Verification:
        """Compare everything in a release, or in the last commit, with what is on disk.

        Parameters
        ----------
        tag
            A release; the last commit by default, which the work tree must then equal.
        fetched
            Count absent fetched files as a problem, although they can be fetched again.
        present
            Do not count absent data as a problem: only what is here must be right.
        obs_ids
            Only the data of these observations; all by default.
        observe
            Called with the number of stages compared so far, and their total.

        Returns
        -------
        Verification
            Problems are reported in it, not raised.

        Raises
        ------
        ArchiveError
            There is no archive here, or no such tag.
        """
        from daxa.publish.releases.verify import verify_archive

        wanted = tuple(map(str, several(obs_ids)))
        return verify_archive(self.layout, tag, fetched=fetched, present=present, obs_ids=wanted, observe=observe)

    def verify_remote(self, tag: str = "", *, remote: str = "", sample: str = "", deep: bool = False) -> RemoteCheck:
        """Verify what the remote holds of a release; see `daxa.publish.sharing.remotecheck.verify_remote`.

        Parameters
        ----------
        tag
            A release; the last commit by default.
        remote
            Name of another remote than the default one.
        sample
            ``1/20`` or ``5%`` of the objects are read; all by default.
        deep
            Read every object, wherever it is.

        Returns
        -------
        RemoteCheck
            What is missing or wrong is reported in it.

        Raises
        ------
        ArchiveError
            Something in the archive could run; the remote is not contacted then.
        ConfigError, CriteriaError
            There is no such remote, or `sample` cannot be read.
        DataError, ReleaseError
            A listing cannot be found, or leads out of its directory.
        ServiceError, StorageError
            The remote cannot be listed.
        """
        from daxa.publish.sharing.remotecheck import verify_remote

        return verify_remote(self.layout, tag, remote=remote, sample=sample, deep=deep)

    def publish(
        self,
        target: str | PathLike[str],
        tag: str = "",
        *,
        part_size: int = 10_000_000_000,
        private: bool = False,
        observe: Callable[[int, int], None] = lambda ended, total: None,
    ) -> Deposit:
        """Write a release with its data as files for a repository; see `daxa.publish.deposits.deposit.publish_release`.

        Parameters
        ----------
        target
            A new directory, or a new file whose name ends in ``.tar``.
        tag
            A release; by default the latest.
        part_size
            Bytes of one tar file of data.
        private
            Include data that are not known to be public.
        observe
            Called with the number of objects read so far, and their total.

        Returns
        -------
        Deposit
            What was written.

        Raises
        ------
        ReleaseError
            There is no release, some of its data are not on this machine, or they are not public.
        ArchiveError, UntrustedArchive
            The target exists or is inside the archive, or something in the archive could run.
        DataError, StorageError, ProgramError, ConfigError
            From Git, DVC, the cache and the disk.
        """
        from daxa.publish.deposits.deposit import publish_release

        enter_archive(self.layout)
        place = Path(fspath(target))
        return publish_release(self.layout, place, tag, part_size=part_size, private=private, observe=observe)

    def export(self, tag: str = "", path: str | PathLike[str] | None = None) -> Export:
        """Write a release into one small file, without data; see `daxa.publish.remaking.export.export_release`.

        Parameters
        ----------
        tag
            A release; the latest by default.
        path
            The file; by default one in the current directory, named after the archive and the tag.

        Returns
        -------
        Export
            The file, and what it holds.

        Raises
        ------
        ArchiveError
            There is no such release.
        CriteriaError
            The file exists.
        StorageError
            It cannot be written.
        """
        from daxa.publish.remaking.export import export_release

        enter_archive(self.layout)
        return export_release(self.layout, tag, None if path is None else Path(path))

    @classmethod
    def recreate(
        cls, source: str | PathLike[str], directory: str | PathLike[str], *, sample: int = 0, seed: int | None = None
    ) -> Recreation:
        """Make an exported release again, with a certificate; see `daxa.stages.recreation.recreate_archive`.

        Parameters
        ----------
        source
            A file that `export` wrote, or its address.
        directory
            Where the archive is to be.
        sample
            Only this many observations, chosen at random; 0 for all.
        seed
            Of that choice; by default a new one, which the certificate names.

        Returns
        -------
        Recreation
            The archive, and the verdict on every file.

        Raises
        ------
        UntrustedArchive
            The file contains something that daxa never exports.
        ServiceError, StorageError
            No server can be reached, or the disk cannot be written.
        """
        from daxa.stages.recreation import RecreationRequest, recreate_archive

        return recreate_archive(fspath(source), Path(directory), RecreationRequest(sample, seed))

    def recompute(self, tag: str, *, sample: int = 0, seed: int | None = None) -> Recreation:
        """Make observations of a release again in a scratch directory, and compare them with the release.

        Parameters
        ----------
        tag
            The release.
        sample, seed
            As for `recreate`.

        Returns
        -------
        Recreation
            The verdict on every file; the archive itself does not change.

        Raises
        ------
        ArchiveError
            There is no such release.
        ServiceError, StorageError
            No server can be reached, or the disk cannot be written.
        """
        from daxa.stages.recreation import RecreationRequest, recompute_release

        enter_archive(self.layout)
        return recompute_release(self.layout, tag, RecreationRequest(sample, seed))

    def certificates(self, tag: str) -> list[Kept]:
        """Certificates that are kept with a release, each checked again.

        Parameters
        ----------
        tag
            The release.

        Returns
        -------
        list of Kept
            In the order in which they were added.
        """
        from daxa.publish.remaking.certificates import list_certificates

        return list_certificates(self.layout, tag)
