"""Scores by ONNX Runtime in this process, from a model repository."""

from collections.abc import Iterable, Iterator, Mapping

import onnxruntime

from aframe import storage
from aframe.errors import ConfigurationError
from aframe.export.configuration import check_identity
from aframe.export.graphs import BLOCKS, WINDOWS
from aframe.export.repository import check_whole, find_model
from aframe.inference.scorers.served import Part, Request, ServedScorer
from aframe.train.model import Model
from aframe.types import Array


class OnnxScorer(ServedScorer):
    """Scorer that runs the graphs of a model repository in this process.

    Args:
        model: Network and preprocessing.
        identity: Identity of the model, as in ``export.configuration.identity``.
        repository: Directory of the repository.
        name: Name of the model in the repository.
        threads: Number of threads of each graph.

    Raises:
        ParameterMismatchError: If the repository has another model.
        ConfigurationError: If the model was exported for another platform, or in a precision that ONNX Runtime does not
            support here.
        StorageError: If a file of the model is missing or damaged.
    """

    engine = "onnx"

    def __init__(self, model: Model, identity: Mapping[str, str], repository: str, name: str, threads: int = 1) -> None:
        _, configuration = find_model(repository, name + BLOCKS)
        _, single = find_model(repository, name + WINDOWS)
        super().__init__(model, configuration.output[0].dims[0], single.max_batch_size)
        self.identity, self.repository, self.name = identity, repository, name
        self.options = onnxruntime.SessionOptions()
        self.options.intra_op_num_threads = self.options.inter_op_num_threads = threads
        self.sessions: dict[str, onnxruntime.InferenceSession] = {}
        self._session(BLOCKS)

    def _session(self, ending: str) -> onnxruntime.InferenceSession:
        if ending not in self.sessions:
            path, configuration = find_model(self.repository, self.name + ending)
            check_identity(configuration, self.identity, self.repository)
            if configuration.platform != "onnxruntime_onnx":
                raise ConfigurationError(
                    f"{path} is of platform {configuration.platform}: engine = onnx needs an export with platform = "
                    "onnxruntime"
                )
            providers = [p for p in ("CUDAExecutionProvider", "CPUExecutionProvider") if p in _available()]
            check_whole(path, configuration)
            with storage.open_binary(path) as file:  # a local or s3 path
                content = file.read()
            try:
                self.sessions[ending] = onnxruntime.InferenceSession(content, self.options, providers=providers)
            except onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented as error:
                raise ConfigurationError(
                    f"{path}: ONNX Runtime cannot compute it here ({' '.join(str(error).split())}): export in float32"
                ) from None
        return self.sessions[ending]

    def ask(self, requests: Iterable[Request]) -> Iterator[tuple[Array, Part]]:
        """Run each graph: see ``ServedScorer.ask``."""
        for ending, inputs, part in requests:
            session = self._session(ending)
            yield session.run(None, {session.get_inputs()[0].name: inputs})[0], part


def _available() -> list[str]:
    return list(onnxruntime.get_available_providers())
