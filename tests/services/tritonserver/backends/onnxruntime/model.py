"""Triton's ONNX Runtime backend for the tests, written on its python backend: requests of a batch are run together."""

import json
import os

import numpy as np
import onnxruntime
import triton_python_backend_utils as triton


class TritonPythonModel:
    """One instance of one version of a model."""

    @staticmethod
    def auto_complete_config(configuration):
        """Configurations say all there is to say."""
        return configuration

    def initialize(self, arguments):
        """Load ``model.onnx``, on as many threads as the configuration says."""
        configuration = json.loads(arguments["model_config"])
        file = configuration.get("default_model_filename") or "model.onnx"
        options = onnxruntime.SessionOptions()
        threads = configuration.get("parameters", {}).get("intra_op_thread_count", {}).get("string_value", "0")
        options.intra_op_num_threads = int(threads)
        path = os.path.join(arguments["model_repository"], arguments["model_version"], file)
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.inputs = [item.name for item in self.session.get_inputs()]
        self.outputs = [item.name for item in self.session.get_outputs()]

    def execute(self, requests):
        """Run all requests as one batch."""
        feeds = [
            {name: triton.get_input_tensor_by_name(request, name).as_numpy() for name in self.inputs}
            for request in requests
        ]
        sizes = [len(next(iter(feed.values()))) for feed in feeds]
        borders = np.cumsum(sizes)[:-1]
        together = {name: np.concatenate([feed[name] for feed in feeds]) for name in self.inputs}
        results = [np.split(result, borders) for result in self.session.run(self.outputs, together)]
        tensors = [list(map(triton.Tensor, self.outputs, parts)) for parts in zip(*results, strict=True)]
        return [triton.InferenceResponse(response) for response in tensors]
