import pytest
import yaml

from aframe.checks.run import check_study
from aframe.errors import MistakesError, StorageError
from aframe.runs.artifacts import Artifacts
from aframe.runs.stages import stages_of
from aframe.settings.read import load_config
from aframe.tuning.plan import EXAMPLE, METRICS, RULES, Stopping, read_plan, with_values


def mistakes(study, **keys):
    path, run = study(**keys)
    with pytest.raises(MistakesError) as refusal:
        read_plan(str(path), run)
    assert all(line.startswith(f"{path}:") for line in refusal.value.mistakes)
    return "\n".join(refusal.value.mistakes)


def test_a_study_has_what_its_yaml_says(study, tmp_path):
    path, run = study(stopping={"min_epochs": 1}, workers=2, name="widths", seed=4)
    plan = read_plan(str(path), run)
    assert (plan.trials, plan.workers, plan.name, plan.seed, plan.backend) == (3, 2, "widths", 4, "optuna")
    assert plan.stopping == Stopping(1, 3)
    assert plan.directory == f"{run.directories.train_run}/study"
    assert [each.default for each in plan.parameters] == [2e-3, [3, 3]]
    one = {"model.weight_decay": {"uniform": [0.01, 0.03]}}
    plan = read_plan(str(study(directory="elsewhere", parameters=one)[0]), run)
    assert plan.directory == str(tmp_path / "elsewhere")
    assert plan.stopping is None


def test_all_mistakes_are_found_at_once_before_anything_trains(study):
    parameters = {
        "model.learnig_rate": {"uniform": [0, 1]},
        "model.weight_decay": {"log_uniform": [0, 0.1]},
        "data.batch_size": {"choice": [16, "many"]},
        "data.batches_per_epoch": {"uniform": [1, 10]},
        "data.waveform_prob": {"uniform": [0.1, 1.5]},
        "model.architecture": {"choice": ["JointResNet", "FactorisedNetwork"]},
        "bank.size": {"int": [16, 32]},
    }
    keys = {"trails": 3, "workers": 0, "metric": "valid_auroc_", "stopping": {"min_epoch": 1}, "backend": "rya"}
    text = mistakes(study, parameters=parameters, trials=-1, **keys)
    for part in (
        "is no key of", "(did you mean 'model.learning_rate'?)",
        "model.weight_decay log_uniform = [0, 0.1] must be above zero",
        "data.batch_size choice = [16, 'many'] has 'many': data.batch_size = 'many' must be a whole number",
        "data.batches_per_epoch uniform = [1.0, 10.0] has 1.0: data.batches_per_epoch = 1.0 must be a whole number",
        "data.waveform_prob uniform = [0.1, 1.5] has 1.5",
        "model.architecture is a group of keys",
        "bank.size is for networks with a bank of templates",
        "trials = -1 must be a whole number, 1 or more", "unknown key 'trails' (did you mean 'trials'?)",
        "workers = 0 must be", "metric = 'valid_auroc_' must be one of valid_found",
        "unknown key 'min_epoch' in stopping (did you mean 'min_epochs'?)", "the key min_epochs in stopping is missing",
        "backend = 'rya' must be one of optuna, ray",
    ):  # fmt: skip
        assert part in text, part


@pytest.mark.parametrize(
    ("keys", "part"),
    [
        ({"parameters": None}, "the key parameters is missing"),
        ({"trials": None}, "the key trials is missing"),
        ({"ray": 3}, "ray = 3 must be keys and values"),
        ({"directory": "s3://bucket/study"}, "a study cannot lie in s3://bucket/study"),
        ({"stopping": {"min_epochs": 2}}, "is not less than the 2 epochs"),
    ],
)
def test_a_study_that_cannot_be_is_refused(study, keys, part):
    one = {"model.weight_decay": {"uniform": [0.01, 0.03]}}
    assert part in mistakes(study, **{"parameters": one} | keys)


def test_a_study_that_is_no_file_of_keys_is_refused(study, tmp_path):
    path, run = study()
    path.write_text("parameters: [")
    with pytest.raises(MistakesError, match=r"tune\.yaml:\d+: this is no YAML file"):
        read_plan(str(path), run)
    path.write_text("3")
    with pytest.raises(MistakesError, match="holds no keys: `aframe tune --example` prints one"):
        read_plan(str(path), run)
    with pytest.raises(StorageError, match="missing"):
        read_plan(str(tmp_path / "missing.yaml"), run)


def test_the_example_has_all_keys_and_is_a_study(study, prepared):
    text = EXAMPLE.read_text()
    for rule in RULES:
        assert f"{rule.rpartition('.')[2]}:" in text, rule
    path, run = study()
    path.write_text(text)
    plan = read_plan(str(path), run)
    assert plan.train == str(prepared / "train.yaml")
    assert plan.metric == METRICS[0]


def test_values_replace_those_of_the_base(tmp_path):
    base = tmp_path / "base.yaml"
    base.write_text("trainer:\n  max_epochs: 4\nmodel:\n  widths: [1]\n  rate: 0.1\n")
    changed = yaml.safe_load(with_values(str(base), {"model.rate": 0.2, "model.widths": [2]}))
    assert changed == {"trainer": {"max_epochs": 4}, "model": {"widths": [2], "rate": 0.2}}


def test_a_run_that_names_a_study_with_mistakes_is_refused_before_it_begins(study, prepared):
    path, run = study(trials=0, train=None, parameters={"model.weight_decay": {"uniform": [0.01, 0.03]}})
    text = (prepared / "sandbox.cfg").read_text().replace("[luigi_Train]\n", f"[luigi_Train]\ntune = {path}\n")
    configuration = prepared / "named.cfg"
    configuration.write_text(text)
    named = Artifacts(load_config(str(configuration)), run.directories)
    assert [stage.task for stage in stages_of(named) if stage.part == "train"] == ["Tune"]
    assert [stage.task for stage in stages_of(run) if stage.part == "train"] == ["Train"]
    with pytest.raises(MistakesError, match=r"tune\.yaml:\d+: trials = 0 must be a whole number, 1 or more"):
        check_study(named)
    check_study(run)
