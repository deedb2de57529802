from dataclasses import replace

import pytest
from tritonclient.grpc import model_config_pb2

from aframe.errors import ConfigurationError, ParameterMismatchError, StorageError
from aframe.export.configuration import (
    ServingOptions,
    as_text,
    check_identity,
    identity,
    model_configuration,
    read_configuration,
    served_version,
)
from aframe.export.graphs import BLOCKS, WINDOWS, served_graphs

OPTIONS = ServingOptions(name="bbh", block_windows=5, max_batch_size=20, instances=3)


def configuration(model, options=OPTIONS, ending=BLOCKS):
    graph = served_graphs(model, options.block_windows, options.max_batch_size, options.precision)[ending]
    return model_configuration("bbh" + ending, graph, options, identity(model.preprocessing, "abc"), 7)


def test_a_configuration_has_inputs_outputs_and_options(make_model, tmp_path):
    config = configuration(make_model("factorised", ("H1", "L1", "V1")))
    (tmp_path / "config.pbtxt").write_text(as_text(config))
    read = read_configuration(str(tmp_path / "config.pbtxt"))
    assert read == config
    assert (read.name, read.platform, read.default_model_filename) == ("bbh", "onnxruntime_onnx", "model.onnx")
    assert [(i.name, list(i.dims), i.data_type) for i in read.input] == [
        ("whitened", [3, 256 + 4 * 64], model_config_pb2.TYPE_FP32)
    ]
    assert [(o.name, list(o.dims)) for o in read.output] == [("score", [5])]
    assert (read.max_batch_size, served_version(read)) == (4, "7")
    (group,) = read.instance_group
    assert (group.count, group.kind) == (3, model_config_pb2.ModelInstanceGroup.KIND_AUTO)
    assert read.dynamic_batching.max_queue_delay_microseconds == 500
    assert [warm.batch_size for warm in read.model_warmup] == [1, 4]
    assert list(read.model_warmup[0].inputs["whitened"].dims) == [3, 512]
    assert read.parameters["intra_op_thread_count"].string_value == "1"


def test_tensorrt_accelerates_on_gpus_in_the_models_precision(make_model):
    def accelerator(**options):
        config = configuration(make_model("joint"), replace(OPTIONS, **options), WINDOWS)
        accelerators = list(config.optimization.execution_accelerators.gpu_execution_accelerator)
        return accelerators[0] if accelerators else None

    tensorrt = accelerator(precision="float16", engine_cache="/cache")
    assert tensorrt.name == "tensorrt"
    assert dict(tensorrt.parameters) == {
        "precision_mode": "FP16",
        "max_workspace_size_bytes": "4294967296",
        "trt_engine_cache_enable": "true",
        "trt_engine_cache_path": "/cache",
        "trt_profile_min_shapes": "whitened:1x2x256",
        "trt_profile_opt_shapes": "whitened:20x2x256",
        "trt_profile_max_shapes": "whitened:20x2x256",
    }
    assert accelerator().parameters["precision_mode"] == "FP32"
    assert accelerator(precision="bfloat16").name == "cuda"
    assert accelerator(accelerator="cuda").name == "cuda"
    assert accelerator(accelerator="none") is None


@pytest.mark.parametrize(
    ("platform", "name", "file", "input_name", "output_name"),
    [
        ("tensorrt", "tensorrt_plan", "model.plan", "whitened", "score"),
        ("torch", "pytorch_libtorch", "model.pt", "INPUT__0", "OUTPUT__0"),
    ],
)
def test_other_platforms_have_other_names(make_model, platform, name, file, input_name, output_name):  # noqa: PLR0917
    config = configuration(make_model("joint"), replace(OPTIONS, platform=platform))
    assert (config.platform, config.default_model_filename) == (name, file)
    assert (config.input[0].name, config.output[0].name) == (input_name, output_name)
    assert not config.optimization.HasField("execution_accelerators")
    kind = model_config_pb2.ModelInstanceGroup
    assert config.instance_group[0].kind == (kind.KIND_GPU if platform == "tensorrt" else kind.KIND_AUTO)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"platform": "tflite"}, "platform = 'tflite' is none of onnxruntime, tensorrt, torch"),
        ({"accelerator": "openvino"}, "accelerator = 'openvino' is none of tensorrt, cuda, none"),
        ({"instances": 0}, "instances = 0 must be at least 1"),
        ({"queue_delay": -1.0}, "not negative"),
        ({"name": "my model"}, "'my model': take letters"),
        ({"name": ".hidden"}, "take letters"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(ConfigurationError, match=message):
        replace(OPTIONS, **options)


def test_a_model_is_known_by_all_its_parameters(make_model):
    model = make_model("joint")
    config, expected = configuration(model), identity(model.preprocessing, "abc")
    check_identity(config, expected, "the repository")
    assert expected["ifos"] == "H1,L1"
    assert {"kernel_length", "inference_sampling_rate", "coalescence", "sample_rate", "psd_length", "fftlength"} < set(
        expected
    )
    for name in expected:
        with pytest.raises(
            ParameterMismatchError, match=f"repository serves bbh with {name} = .*{name} = other: export"
        ):
            check_identity(config, expected | {name: "other"}, "the repository")
    del config.parameters["highpass"]
    with pytest.raises(ParameterMismatchError, match=r"highpass = not set, but this search has highpass = 20\.0"):
        check_identity(config, expected, "the repository")


def test_another_text_is_no_configuration(tmp_path):
    (tmp_path / "config.pbtxt").write_text("name: bbh\nbackend { nonsense }")
    with pytest.raises(StorageError, match="no Triton model configuration"):
        read_configuration(str(tmp_path / "config.pbtxt"))
