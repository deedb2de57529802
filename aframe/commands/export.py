"""``aframe export``: export a model to a model repository."""

import argparse
from dataclasses import asdict, fields

from aframe import storage
from aframe.commands.runs import locate_model
from aframe.settings.read import choices_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--model", type=locate_model, required=True, help="model.pt, or the directory of its training or run (required)"
    )
    parser.add_argument(
        "--repository", type=storage.locate, required=True, help="directory of the repository (required)"
    )
    parser.add_argument("--name", default="aframe", help="name under which it is served (default: aframe)")
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
        choices = choices_of("export", name) or choices_of("export", f"export_{name}") or None
        description = f"{help_text} (default: {default})"
        parser.add_argument(f"--{name}", type=kind, default=default, choices=choices, help=description)


def run(options: argparse.Namespace) -> None:
    """Export a model."""
    from aframe.export.configuration import CONFIGURATION_KEYS, ServingOptions
    from aframe.export.repository import publish
    from aframe.train.model import load

    serving = ServingOptions(**{field.name: getattr(options, field.name) for field in fields(ServingOptions)})
    model = load(options.model)
    serving_parameters = {
        f"export.{CONFIGURATION_KEYS.get(name, name)}": value for name, value in asdict(serving).items()
    }
    made_with = (storage.made_with(options.model) or {}) | serving_parameters
    for path in publish(model, storage.sha256(options.model), options.repository, serving, made_with).values():
        print(path)
