"""The ``aframe`` command: a thin layer over the steps."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aframe.errors import AframeError, ConfigurationError

if TYPE_CHECKING:
    from aframe.artifacts import Artifacts

CFG_HELP = "the run's .cfg; default: the environment variable LAW_CONFIG_FILE"


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands but ``train``, whose options are Lightning's."""
    parser = argparse.ArgumentParser(
        prog="aframe", description="Search strain for compact binary mergers with neural networks."
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    init = commands.add_parser("init", help="write a run's configuration into a new directory")
    init.add_argument("directory", help="directory of the run")
    init.add_argument(
        "--config",
        choices=["demo", "bbh"],
        default="demo",
        help="demo: simulated noise, minutes on two cores; bbh: the full analysis, open data (default: demo)",
    )
    init.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SECTION.KEY=VALUE",
        dest="changes",
        help="change a key of the .cfg (inference.Tb=86400) or of the YAML (train.trainer.max_epochs=2)",
    )

    run = commands.add_parser("run", help="run the whole pipeline; resumes where it was interrupted")
    run.add_argument("directory", help="directory that `aframe init` wrote")
    run.add_argument(
        "--gpus", default="", help="GPUs, as in CUDA_VISIBLE_DEVICES; each inference worker has one (default: the CPU)"
    )
    run.add_argument("--workers", type=int, default=0, help="tasks that run at the same time (default: one per core)")

    status = commands.add_parser("status", help="say which artifacts of a run exist")
    status.add_argument("directory", help="directory of the run")

    for name, help_text in (
        ("data", "find segments and make strain, for training and testing"),
        ("waveforms", "make signals to train with, to validate with, and to inject"),
        ("sensitivity", "rank candidates and estimate the sensitive volume"),
    ):
        step = commands.add_parser(name, help=help_text)
        step.add_argument("--cfg", default="", help=CFG_HELP)
        if name != "sensitivity":
            stages = ["train", "test"] if name == "data" else ["train", "validation", "test"]
            step.add_argument("--stage", choices=stages, action="append", help="which (default: all)")

    commands.add_parser("train", help="Lightning's command line: aframe train fit --config train.yaml", add_help=False)

    _add_serving(commands)

    _add_infer(commands)

    _add_plot(commands)

    report = commands.add_parser("report", help="build a run's report anew from what there is")
    report.add_argument("directory", help="directory of the run")
    return parser


def _add_infer(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    infer = commands.add_parser("infer", help="apply a model to strain files, or score a run's time slides")
    infer.add_argument("--model", help="model.pt")
    infer.add_argument(
        "--strain",
        nargs="+",
        default=[],
        metavar="PATH",
        help="HDF5 or GWF files, directories of such, or patterns as 'data/*.hdf5'; all detectors of the model",
    )
    infer.add_argument("--output", help="event table to write (.hdf5)")
    infer.add_argument("--background", help="background.hdf5 of a run, to give each candidate its false alarm rate")
    infer.add_argument("--cfg", default="", help=f"score this run's background and injections instead: {CFG_HELP}")
    for name, default in (("integration", 1), ("cluster", 8)):
        told = f"s (default: the background's, else {default})"
        infer.add_argument(f"--{name}-window-length", type=float, help=told)
    infer.add_argument("--top", type=int, default=10, help="candidates to print (default: 10)")
    infer.add_argument(
        "--gpus", default="", help="GPUs, as in CUDA_VISIBLE_DEVICES, of which a free one is taken (default: the CPU)"
    )


def _add_plot(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    plot = commands.add_parser("plot", help="show a stretch of a run's data: strain, whitened strain, scores, events")
    plot.add_argument("directory", help="directory of the run, which has a trained model and testing strain")
    plot.add_argument("--time", type=float, required=True, help="middle of the stretch, GPS s (of the slide)")
    plot.add_argument("--duration", type=float, default=16.0, help="s (default: 16)")
    plot.add_argument("--slide", type=int, default=0, help="number of the time slide (default: 0, none is shifted)")
    plot.add_argument("--injections", action="store_true", help="with the slide's injections: needs return_timeseries")
    plot.add_argument("--output", required=True, help="page to write (.html)")


def _add_serving(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The parsers of ``export`` and ``serve``."""
    export = commands.add_parser("export", help="export a model to a Triton model repository")
    export.add_argument("--model", required=True, help="model.pt")
    export.add_argument("--repository", required=True, help="directory of the repository")
    export.add_argument("--name", default="aframe", help="name under which it is served (default: aframe)")
    for name, kind, default, help_text in (
        ("platform", str, "onnxruntime", "onnxruntime, tensorrt (a plan, made here) or torch (TorchScript)"),
        ("precision", str, "float32", "float32, float16 or bfloat16"),
        ("max-batch-size", int, 1024, "windows that the server takes at once"),
        ("block-windows", int, 256, "windows in a block"),
        ("instances", int, 1, "copies side by side, on each GPU or on the CPU"),
        ("threads", int, 1, "of each copy on the CPU; 0: all cores"),
        ("queue-delay", float, 0.0005, "s that the server waits for a batch to fill"),
        ("accelerator", str, "tensorrt", "of onnxruntime on a GPU: tensorrt, cuda or none"),
        ("engine-cache", str, "/tmp/tensorrt_engines", "directory, on the server, of TensorRT's engines"),
    ):
        export.add_argument(f"--{name}", type=kind, default=default, help=f"{help_text} (default: {default})")

    serve = commands.add_parser("serve", help="run a Triton server on a model repository until it is interrupted")
    serve.add_argument("--repository", required=True, help="directory of the repository")
    for name, kind, default, help_text in (
        ("with", str, "auto", "tritonserver, apptainer, docker or podman; auto: the first of these on PATH"),
        ("image", str, "", "container image, or .sif file"),
        ("gpus", str, "", "GPUs, as in CUDA_VISIBLE_DEVICES (default: none, the CPU)"),
        ("host", str, "127.0.0.1", "name of this machine for clients; 127.0.0.1: from this machine alone"),
        ("grpc-port", int, 8001, "of clients"),
        ("http-port", int, 8000, "of health"),
        ("metrics-port", int, 8002, "of monitoring"),
        ("engine-cache", str, "/tmp/tensorrt_engines", "directory of TensorRT's engines"),
        ("log", str, "", "the server's log (default: tritonserver.log beside the repository)"),
        ("patience", float, 1800.0, "s in which it must be ready; TensorRT takes minutes to build an engine"),
    ):
        shown = f" (default: {default})" if default else ""
        serve.add_argument(f"--{name}", type=kind, default=default, help=f"{help_text}{shown}")
    serve.add_argument("--record", default="", help=argparse.SUPPRESS)
    serve.add_argument("--owner", type=int, default=0, help=argparse.SUPPRESS)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; errors that a user can mend are one line and exit code 1."""
    options = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in options or bool(os.environ.get("AFRAME_DEBUG"))
    try:
        if options[:1] == ["train"]:
            from aframe import commands

            commands.train([option for option in options[1:] if option != "--debug"])
        else:
            _dispatch(build_parser(), options)
    except AframeError as error:
        if debug:
            raise
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        print("interrupted: run the same command again to resume", file=sys.stderr)
        raise SystemExit(130) from None


def _dispatch(parser: argparse.ArgumentParser, options: Sequence[str]) -> None:
    parsed = parser.parse_args(options)
    if parsed.debug:
        os.environ["AFRAME_DEBUG"] = "1"
    if parsed.version:
        from aframe import __version__

        print(f"aframe {__version__}")
        return
    if parsed.command is None:
        parser.print_help()
        return
    from aframe import commands

    getattr(commands, parsed.command)(parsed)


def run_of(configuration: str, check: bool = True) -> "Artifacts":
    """The run of a ``.cfg`` and of the environment.

    Args:
        configuration: Path of the ``.cfg``; LAW_CONFIG_FILE where empty.
        check: Whether to refuse artifacts that were made with other parameters.

    Raises:
        ConfigurationError: If neither option nor LAW_CONFIG_FILE names a configuration, or a directory is not set.
    """
    from aframe import config
    from aframe.artifacts import Artifacts

    path = configuration or os.environ.get("LAW_CONFIG_FILE", "")
    if not path:
        raise ConfigurationError("which run? give --cfg FILE, or set LAW_CONFIG_FILE to the run's .cfg")
    run = Artifacts(config.load(str(Path(path).absolute())), config.Directories.from_environment())
    if check:
        run.check()
    return run


if __name__ == "__main__":
    main()
