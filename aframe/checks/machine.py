"""Check that a machine has all that the search needs. A finding describes a thing, or the way to mend it.

Every check ends within its time limit.
"""

import json
import os
import platform
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from aframe import storage
from aframe.batch.container import installed_programs
from aframe.checks.looks import batch_answer, missing_commands
from aframe.constants import AUTO
from aframe.errors import AframeError
from aframe.machine.processes import cores
from aframe.machine.programs import ask
from aframe.runs.artifacts import TRAINER_PRECISION, Artifacts, training_parameters
from aframe.serving.launch import CONTAINERS, installed_launchers, why_not
from aframe.settings.jobs import BATCH_TASKS, COMMANDS, QUESTIONS

OPEN_DATA = "https://gwosc.org/api/v2/"
"""Address whose answer shows that the network reaches open data."""

NETWORK_PATIENCE = 5.0
"""Longest wait for the network or a driver, s."""

STORE_PATIENCE = 20.0
"""Longest wait for an object store, s."""

IMPORT_PATIENCE = 120.0
"""Longest time for the import of a package, s."""

CONFIGURATION_PATIENCE = 300.0
"""Longest time for the check of a configuration, s."""

LEAST_FREE_BYTES_FOR_DEMO = 5e9
"""Free space for the demo, with a margin, bytes."""

TORCH = """
import json, torch
number = torch.cuda.device_count() if torch.cuda.is_available() else 0
gpus = [torch.cuda.get_device_properties(k) for k in range(number)]
print(json.dumps({"version": torch.__version__, "threads": torch.get_num_threads(), "cuda": torch.version.cuda,
                  "gpus": [f"{gpu.name}, {gpu.total_memory / 1e9:.0f} GB" for gpu in gpus]}))
"""

PRECISION = """
import json, torch
from aframe.machine import precision
device = "cuda" if torch.cuda.is_available() else "cpu"
emulated = {
    name: precision.described(kind, device)
    for name, kind in precision.DTYPES.items() if precision.is_emulated(kind, device)
}
print(json.dumps({"chosen": precision.choose(device), "why": precision.explained(device), "emulated": emulated}))
"""

LAL = """
import json, lal, lalsimulation
print(json.dumps({"version": lalsimulation.__version__}))
"""

NETWORK = """
import sys, urllib.request
try:
    urllib.request.urlopen(urllib.request.Request(sys.argv[1], method="HEAD"), timeout=float(sys.argv[2]))
except OSError as error:
    sys.exit(str(getattr(error, "reason", error)))
"""

STORE = """
import sys
from aframe import storage
for directory in sys.argv[1:]:
    path = storage.join(directory, ".doctor")
    storage.write_text(path, "")
    storage.remove(path)
"""


@dataclass(frozen=True)
class Finding:
    """Result of the check of one thing.

    Attributes:
        thing: Name of the thing.
        state: ``fine``, ``wrong``, or ``absent`` if nothing needs it.
        description: Description of the thing, or of the problem.
        mend: Command or change that mends it. Empty if nothing needs mending.
    """

    thing: str
    state: str
    description: str
    mend: str = ""


def check_up(run: Artifacts | None, directory: str = "", needed: float = 0.0) -> list[Finding]:
    """Check everything in parallel.

    Args:
        run: Run whose needs are checked, if any.
        directory: Directory of this run.
        needed: Bytes that the run still writes.

    Returns:
        The findings, in a fixed order.
    """
    checks: list[Callable[[], list[Finding]]] = [
        _machine, _packages, _torch, lambda: _precision(run), _waveform_data,
        lambda: _batch_systems(run), lambda: _containers(run), lambda: _server(run), lambda: _store(run),
        lambda: _disk(run, needed), lambda: _network(run),
    ]  # fmt: skip
    if directory:
        checks.append(lambda: _configuration(directory))
    with ThreadPoolExecutor(len(checks)) as pool:
        return [finding for part in pool.map(lambda check: check(), checks) for finding in part]


def _probe(code: str, patience: float, *arguments: str, **variables: str) -> tuple[bool, str]:
    """Run Python code with a time limit. Return whether it succeeded, and the last line of its output."""
    answer = ask([sys.executable, "-P", "-c", code, *arguments], patience, **variables)
    return answer.is_fine, answer.last_line


def _machine() -> list[Finding]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    description = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    return [
        Finding("python", "fine", description),  # the package does not install on an older version
        Finding("machine", "fine", f"{cores()} cores, {memory:.0f} GB of memory"),
    ]


def _packages() -> list[Finding]:
    wrong = []
    requirements = [Requirement(text) for text in metadata.requires("aframe") or []]
    base = [each for each in requirements if each.marker is None or each.marker.evaluate({"extra": ""})]
    for each in base:
        try:
            version = metadata.version(each.name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{each.name} is missing")
            continue
        if not each.specifier.contains(version, prereleases=True):
            wrong.append(f"{each.name} {version} is not {each.specifier}")
    if wrong:
        mend = "pip install " + " ".join(f"'{each.name}{each.specifier}'" for each in base if each.name in str(wrong))
        return [Finding("packages", "wrong", "; ".join(wrong), mend)]
    return [Finding("packages", "fine", f"aframe {metadata.version('aframe')} and all {len(base)} that it needs")]


def _torch() -> list[Finding]:
    is_fine, output = _probe(TORCH, IMPORT_PATIENCE)
    if not is_fine:
        return [Finding("torch", "wrong", output, "pip install --force-reinstall torch")]
    build = json.loads(output)
    torch = Finding("torch", "fine", f"{build['version']}, {build['threads']} threads")
    if build["gpus"]:
        return [torch, Finding("GPU", "fine", "; ".join(build["gpus"]) + ": give --gpus 0")]
    has_driver = shutil.which("nvidia-smi") is not None and ask(["nvidia-smi", "-L"], NETWORK_PATIENCE).is_fine
    if has_driver and build["cuda"] is None:
        problem = "this machine has one, but torch is built for processors alone"
        return [torch, Finding("GPU", "wrong", problem, "install torch for CUDA: pytorch.org says how")]
    return [torch, Finding("GPU", "absent", "none that torch sees: the processor computes")]


def _precision(run: Artifacts | None) -> list[Finding]:
    """Find the choice of ``precision = auto`` here. It is wrong if a configured one has to be emulated."""
    is_fine, output = _probe(PRECISION, IMPORT_PATIENCE)
    if not is_fine:
        return [Finding("precision", "wrong", output, "pip install --force-reinstall torch")]
    measured = json.loads(output)
    configured, emulated = _configured_here(run) if run else {}, measured["emulated"]
    slow = {key: emulated[name] for key, name in configured.items() if name in emulated}
    if slow:
        problem = "; ".join(f"{key} is {what}" for key, what in slow.items())
        mend = f"set {' and '.join(slow)}: auto, which here is {measured['chosen']}"
        return [Finding("precision", "wrong", problem, mend)]
    return [Finding("precision", "fine", f"auto is {measured['chosen']}: {measured['why']}")]


def _configured_here(run: Artifacts) -> dict[str, str]:
    """Names of the configured precisions of this machine's computations, by their key."""
    from aframe.machine.precision import trainer_dtype

    precisions = {}
    if not run.config.batch_for("ScoreSlides").is_remote:
        precisions["precision in [luigi_inference]"] = run.config.inference.precision
    try:
        configured = training_parameters(run.training_yaml).get(TRAINER_PRECISION)
    except AframeError:  # the finding `configuration` names the mistakes in the YAML
        return precisions
    if configured not in (AUTO, None) and not run.config.kubernetes.trains:
        precisions["trainer.precision"] = str(trainer_dtype(configured)).removeprefix("torch.")
    return precisions


def _waveform_data() -> list[Finding]:
    is_fine, output = _probe(LAL, IMPORT_PATIENCE)
    if not is_fine:
        return [Finding("LAL", "wrong", output, "pip install --force-reinstall lalsuite")]
    version = json.loads(output)["version"]
    places = [place for place in os.environ.get("LAL_DATA_PATH", "").split(os.pathsep) if place]
    missing = [place for place in places if not Path(place).is_dir()]
    if missing:
        return [Finding("LAL data", "wrong", f"LAL_DATA_PATH: {', '.join(missing)} does not exist",
                        "mend LAL_DATA_PATH, or unset it")]  # fmt: skip
    description = (
        f"in {os.pathsep.join(places)}" if places else "LAL_DATA_PATH is not set: models with data files will fail"
    )
    return [Finding("LAL", "fine", f"lalsimulation {version}"),
            Finding("LAL data", "fine" if places else "absent", description)]  # fmt: skip


def _batch_systems(run: Artifacts | None) -> list[Finding]:
    configured = {run.config.batch_for(task).workflow for task in BATCH_TASKS} if run else set()
    findings = []
    for system in COMMANDS:
        missing = missing_commands(system)
        name = {"htcondor": "HTCondor", "slurm": "Slurm"}.get(system, system)
        if missing:
            state, description = ("wrong" if system in configured else "absent"), f"{', '.join(missing)} not on PATH"
            mend = "run on a machine that submits to it, or set workflow = local" if system in configured else ""
            findings.append(Finding(name, state, description, mend))
            continue
        command, answer = QUESTIONS[system][0], batch_answer(system)
        state = "fine" if answer.is_fine else "wrong" if system in configured else "absent"
        mend = f"see that {command} works, or set workflow = local" if state == "wrong" else ""
        description = "it answers" if answer.is_fine else f"{command}: {answer.last_line}"
        findings.append(Finding(name, state, description, mend))
    return findings


def _containers(run: Artifacts | None) -> list[Finding]:
    problems = {name: why_not(name) for name in installed_launchers() if name in CONTAINERS}
    programs = [name for name, problem in problems.items() if not problem]
    images = [run.config.batch_for(task) for task in BATCH_TASKS] if run is not None else []
    if any(each.image is not None and not each.starts_in_image for each in images) and "apptainer" not in programs:
        if not installed_programs():
            return [Finding("containers", "wrong", "image needs apptainer or singularity, neither is on PATH",
                            "install apptainer, or leave image out")]  # fmt: skip
        programs += installed_programs()
    launcher = run.config.inference.triton_launcher if run is not None and _starts_a_server(run) else ""
    if launcher in CONTAINERS and launcher not in programs:
        problem = f"fails: {problems[launcher]}" if launcher in problems else "is not on PATH"
        return [Finding("containers", "wrong", f"triton_launcher = {launcher} {problem}",
                        f"install or start {launcher}, or set triton_launcher = auto")]  # fmt: skip
    failing = "; ".join(f"{name} fails: {problem}" for name, problem in problems.items() if problem)
    names = ", ".join(programs) or failing or f"none of {', '.join(CONTAINERS)}"
    return [Finding("containers", "fine" if programs else "absent", names)]


def _starts_a_server(run: Artifacts) -> bool:
    return run.config.inference.engine == "triton" and not run.config.inference.triton_address


def _server(run: Artifacts | None) -> list[Finding]:
    address = run.config.inference.triton_address if run and run.config.inference.engine == "triton" else None
    if address:
        host, _, port = address.rpartition(":")
        code = f"import socket; socket.create_connection(({host!r}, int({port!r})), {NETWORK_PATIENCE})"
        is_fine, answer = _probe(code, NETWORK_PATIENCE)
        mend = "" if is_fine else "start it (aframe serve), or mend triton_address"
        return [Finding("Triton", "fine" if is_fine else "wrong", f"{address}: {answer or 'listens'}", mend)]
    launchers = [name for name in installed_launchers() if not why_not(name)]
    if launchers:
        return [Finding("Triton", "fine", f"can be started with {launchers[0]}")]
    problem = "nothing that starts a server works" if installed_launchers() else "nothing that starts one is on PATH"
    if run is not None and _starts_a_server(run):
        return [Finding("Triton", "wrong", f"engine = triton, and {problem}",
                        "install apptainer, name a server as triton_address, or set engine = auto")]  # fmt: skip
    return [Finding("Triton", "absent", problem)]


def _store(run: Artifacts | None) -> list[Finding]:
    paths = [path for path in asdict(run.directories).values() if storage.is_remote(path)] if run else []
    if paths:
        is_fine, output = _probe(STORE, STORE_PATIENCE, *paths, AFRAME_S3_PATIENCE=str(STORE_PATIENCE / 4))
        result = output.partition("StorageError: ")[2] or output or "can be written"
        mend = "" if is_fine else "set AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: docs/s3.md"
        return [Finding("S3", "fine" if is_fine else "wrong", f"{paths[0]}: {result}", mend)]
    names = [name for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_SHARED_CREDENTIALS_FILE") if name in os.environ]
    file = Path("~/.aws/credentials").expanduser()
    named = names or ([str(file)] if file.is_file() else [])
    return [Finding("S3", "fine" if named else "absent", f"credentials: {named[0]}" if named else "no credentials")]


def _disk(run: Artifacts | None, needed: float) -> list[Finding]:
    paths = [path for path in asdict(run.directories).values() if not storage.is_remote(path)] if run else [os.getcwd()]
    size, what = (needed, "this run") if needed else (LEAST_FREE_BYTES_FOR_DEMO, "the demo")
    description = ""
    for path in map(Path.absolute, map(Path, paths)):
        existing = storage.existing_parent(path)
        if storage.why_not_written(path):
            description = f"{existing} cannot be written"
            return [Finding("disk", "wrong", description, "mend its permissions, or choose other directories in .env")]
        free = storage.free_bytes(path)
        description = f"{free / 1e9:.1f} GB free at {existing}, {what} takes {size / 1e9:.1f} GB"
        if free < size:
            return [Finding("disk", "wrong", description, "free space, or choose other directories in .env")]
    return [Finding("disk", "fine", description)] if description else []


def _network(run: Artifacts | None) -> list[Finding]:
    is_fine, answer = _probe(NETWORK, NETWORK_PATIENCE, OPEN_DATA, str(NETWORK_PATIENCE))
    if is_fine:
        return [Finding("open data", "fine", "gwosc.org answers")]
    is_needed = run is not None and run.config.data.source == "gwosc"
    return [Finding("open data", "wrong" if is_needed else "absent", f"gwosc.org: {answer}",
                    "connect to the network, set https_proxy, or use source = local" if is_needed else "")]  # fmt: skip


def _configuration(directory: str) -> list[Finding]:
    answer = ask([sys.executable, "-P", "-m", "aframe.cli", "run", directory, "--check"], CONFIGURATION_PATIENCE)
    if answer.is_fine:
        return [Finding("configuration", "fine", "no mistakes found")]
    mend = f"aframe run {directory} --check lists all mistakes"
    return [Finding("configuration", "wrong", answer.last_line.strip(), mend)]
