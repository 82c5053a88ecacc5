"""Chains of tools: how mission software becomes a backend.

A suite declares, for a step of some missions, an ordered tuple of `Link` over its tools (`daxa.backends.tools`).  A
link has a name, a tool, and a function that plans its calls (`CallPlan`: none, one, or one for each exposure) from what
is known so far (`Known`: inputs, parameters, what earlier links produced, cards of headers).  Such a
function only decides; everything else is common to all suites::

    from daxa.backends.chains import CallPlan, Chain, ChainBackend, Known, ChainProduct, Link, Program

    def plan_filter(known: Known) -> list[CallPlan]:
        return [CallPlan({"eventfiles": path, "outfile": "clean.fits"}) for path in known.inputs]

    def products(known: Known) -> list[ChainProduct]:
        name = Product(known.task.obs_id, "TM1", "None", "finalevents").name
        return [ChainProduct(path, name) for _, path in known.outputs("evtool", "events")]

    CLEAN = Chain(
        missions=("erosita_calpv",), step="clean", version="1", products=products,
        links=(Link("evtool", "evtool", plan_filter, "filters", {"pattern": 15}, ("eventfiles", "outfile")),),
    )
    ESASS = ChainBackend(Program("esass", (CLEAN,)), {"erosita_calpv": (NativeInput("raw", ...),)})

and one line in `daxa.backends.registry`.  What all of them share:

- **Calls** run one after the other in one directory that is private to the task, on copies of the inputs (unpacked, at
  `Chain.place`), with parameter files, temporary files and home of their own, a time limit, and all else that
  `daxa.backends.tools.running.run_call` does.
- **Values**: what the plan gives, `Link.defaults` below it, and the user's ``[STEP.SUITE.LINK]`` tables over both, of
  a mission or of an observation; only those that pass files from call to call (`Link.wired`) are the chain's alone.
  Names and values are judged from the tool's table before anything runs (`Backend.check`).  Defaults that a release
  does not have are left out; values of the user that it does not have are an error.
- **skip** and **stop_after** leave links out: `Known.links` has those that remain, so that later links can do without.
- **Parts**: a plan with ``part="M1-S001"`` belongs to one exposure.  If its call fails, the other exposures are done
  nevertheless; then the observation fails with that reason, or (``failing = "leave out"``) is processed without it.
- **Failures** are `daxa.errors.CallError` with the code of the verdict, such as ``sas.espfilt.noCounts``.
- **Resuming**: a journal in the archive's private state says which calls succeeded.  A task that is repeated
  makes only the others; `daxa.backends.chains.work_directory` says what "the same call" means.
- **Logs**: command line, release, times, verdict and output of every call are in the log of the task, and at its end
  a script for ``sh`` that makes the same calls without daxa.
- **Calibration**: `Program.used` gives the identity of the files that one observation uses (`CalibrationNeed`: its
  instruments and times), so that a newer file makes the observations again that would use it, and no others.
- **Products**: `ChainProduct` copies a file of the working directory to our name for it, so that native steps can
  follow.
- **Software**: `daxa.backends.tools.capture.find_installation` finds it; tests replace it with a stand-in.
"""

from daxa.backends.chains.backend import ChainBackend
from daxa.backends.chains.declared import (
    WORK,
    CalibrationNeed,
    CallPlan,
    Chain,
    ChainProduct,
    FinishedCall,
    Known,
    Link,
    Program,
)

__all__ = [
    "WORK",
    "CalibrationNeed",
    "CallPlan",
    "Chain",
    "ChainBackend",
    "ChainProduct",
    "FinishedCall",
    "Known",
    "Link",
    "Program",
]
