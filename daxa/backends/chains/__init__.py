"""Chains of tools: how mission software becomes a backend.

A suite declares, for a step of some missions, an ordered tuple of `Link` over its tools (`daxa.backends.tools`).  A
link has a name, a tool, and a function that from what is known so far (`Known`: inputs, parameters, what earlier links
made, cards of headers) gives the calls that it wants (`CallPlan`): none, one, or one for each exposure.  Such a
function decides and does nothing; the rest is done for all suites alike::

    from daxa.backends.chains import CallPlan, Chain, ChainBackend, Known, Leaf, Link, Program

    def plan_filter(known: Known) -> list[CallPlan]:
        return [CallPlan({"eventfiles": path, "outfile": "clean.fits"}) for path in known.inputs]

    def leaves(known: Known) -> list[Leaf]:
        name = Product(known.task.obs_id, "TM1", "None", "finalevents").name
        return [Leaf(path, name) for _, path in known.outputs("evtool", "events")]

    CLEAN = Chain(
        missions=("erosita_calpv",), step="clean", version="1", leaves=leaves,
        links=(Link("evtool", "evtool", plan_filter, "filters", {"pattern": 15}, ("eventfiles", "outfile")),),
    )
    ESASS = ChainBackend(Program("esass", (CLEAN,)), {"erosita_calpv": (NativeInput("raw", ...),)})

and one line in `daxa.backends.registry`.  What is done for all of them:

- **Calls** run one after the other in one directory that is private to the task, on copies of the inputs (unpacked, at
  `Chain.place`), with parameter files, temporary files and home of their own, a time limit, and all else that
  `daxa.backends.tools.running.run_call` does.
- **Values**: what the plan gives, `Link.defaults` below it, and the user's ``[STEP.SUITE.LINK]`` tables over both, of
  a mission or of an observation; only those that hand files from call to call (`Link.wired`) are the chain's alone.
  Names and values are judged from the tool's table before anything runs (`Backend.check`).  Defaults that a release
  does not have are left out; values of the user that it does not have are an error.
- **skip** and **stop_after** leave links out: `Known.links` has those that remain, so that later links can do without.
- **Parts**: a plan with ``part="M1-S001"`` belongs to one exposure.  If its call fails, the other exposures are done
  all the same; then the observation fails with that reason, or (``failing = "leave out"``) goes on without it.
- **Failures** are `daxa.errors.CallError` with the code of the verdict, such as ``sas.espfilt.noCounts``.
- **Going on**: a journal in the archive's private state says which calls have ended well.  A task that is repeated
  makes only the others; `daxa.backends.chains.workshop` says what "the same call" means.
- **Logs**: command line, release, times, verdict and output of every call stand in the log of the task, and at its end
  a script for ``sh`` that makes the same calls without daxa.
- **Products**: `Leaf` takes a file out of the working directory under our name, so that native steps can follow.
- **Software**: `daxa.backends.tools.capture.find_installation` finds it; tests put a stand-in in its place.
"""

from daxa.backends.chains.backend import ChainBackend
from daxa.backends.chains.declared import WORK, CallPlan, Chain, Known, Leaf, Link, Made, Program

__all__ = ["WORK", "CallPlan", "Chain", "ChainBackend", "Known", "Leaf", "Link", "Made", "Program"]
