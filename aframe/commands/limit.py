"""``aframe limit``: compare a run's network with a plain bank of matched filters."""

import argparse

from aframe.commands.runs import add_directory, load_environment, run_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_directory(parser)
    parser.add_argument(
        "--gpus", default="", help="GPUs, as in CUDA_VISIBLE_DEVICES, of which a free one is taken (default: the CPU)"
    )


def run(options: argparse.Namespace) -> None:
    """Search the run's strain with the plain bank, and print what it finds beside the network."""
    from aframe.report.limit import printed, sentence
    from aframe.steps.devices import use_one_gpu
    from aframe.steps.limit import measure_limit

    run = run_of(load_environment(options.directory))
    table = measure_limit(run, use_one_gpu(options.gpus))
    print(printed(table))
    print(sentence(table))
    print(run.result("limit/limit.hdf5"))
