import os

import pytest
from optuna.trial import TrialState

from aframe.errors import ParameterMismatchError, StorageError
from aframe.tuning.plan import Plan, Stopping
from aframe.tuning.space import parse_parameter
from aframe.tuning.study import JOURNAL, Record

SPACE = {
    "model.learning_rate": {"log_uniform": [1e-4, 1e-2]},
    "model.architecture.init_args.kernels": {"choice": [[3, 3], [5, 3]]},
}


def opened(study, directory="study", stopping=None, parameters=SPACE, data=None, **keys):
    path, run = study(parameters=parameters, stopping=stopping, data=data or {}, **keys)
    values = {"model.learning_rate": 2e-3, "model.architecture.init_args.kernels": [3, 3], "model.weight_decay": 0.02}
    plan = Plan(
        path=str(path), directory=str(path.parent / directory), train=str(path.parent / "base.yaml"),
        parameters=tuple(parse_parameter(key, content, values[key]) for key, content in parameters.items()),
        trials=keys.get("trials", 3), stopping=stopping and Stopping(**stopping),
    )  # fmt: skip
    return Record.open(plan, run)


@pytest.fixture
def claim():
    """Takes a trial of a study; the test's end gives all back."""
    taken = []

    def take(record):
        taken.append(record.claim())
        return taken[-1]

    yield take
    for each in taken:
        if each is not None:
            each.lock.close()


def test_the_first_trial_has_the_values_without_a_study(study, claim):
    record = opened(study)
    first, second = claim(record), claim(record)
    assert first.trial.params == {"model.learning_rate": 2e-3, "model.architecture.init_args.kernels": "[3, 3]"}
    assert (first.trial.number, second.trial.number) == (0, 1)
    assert not first.is_resumed
    assert 1e-4 <= second.trial.params["model.learning_rate"] <= 1e-2
    again = opened(study, directory="again")
    claim(again)
    assert claim(again).trial.params == second.trial.params


def test_a_trial_whose_process_has_ended_is_taken_up_and_no_other(study, claim):
    record = opened(study)
    claims = [claim(record) for _ in range(3)]
    assert claim(record) is None  # all are at work
    record.report(claims[1].trial, 1, 0.7)
    claims[1].lock.close()
    taken = claim(opened(study))
    assert (taken.trial.number, taken.is_resumed) == (1, True)
    assert taken.trial.params == claims[1].trial.params
    record.report(taken.trial, 1, 0.2)  # what is recorded stays
    record.end(taken.trial, 0.8)
    assert [trial.state for trial in record.trials] == [TrialState.RUNNING, TrialState.COMPLETE, TrialState.RUNNING]
    assert record.trials[1].intermediate_values == {1: 0.7}
    assert record.best.number == 1
    assert not record.is_done


def test_trainings_that_are_behind_end_early(study, claim):
    record = opened(study, stopping={"min_epochs": 1, "reduction_factor": 2}, data={})
    stopped = []
    for value in (0.5, 0.1, 0.7):
        trial = claim(record).trial
        record.report(trial, 1, value)
        stopped.append(record.should_stop(trial))
        record.end(trial, value, is_stopped=stopped[-1])
    assert stopped == [False, True, False]
    assert record.is_done
    assert record.best.value == 0.7


def test_a_study_whose_trials_all_fail_is_given_up_with_the_first_error(study, claim):
    record = opened(study, trials=30)
    for number in range(3):
        assert not record.is_given_up
        record.fail(claim(record).trial, f"reason {number}", f"log {number}")
    assert record.is_done
    assert claim(record) is None
    text = str(record.failure())
    assert text.startswith("all 3 trials failed, first with: reason 0 (log: log 0); mend it, delete ")


def test_a_study_goes_on_with_more_trials_but_not_with_another_space(study, claim):
    record = opened(study, trials=1)
    record.end(claim(record).trial, 0.5)
    assert record.is_done
    more = opened(study, trials=2, workers=5, name="more")
    assert not more.is_done
    assert len(more.trials) == 1
    with pytest.raises(ParameterMismatchError, match=r"tune\.parameters\.model\.weight_decay\.uniform"):
        opened(study, parameters=SPACE | {"model.weight_decay": {"uniform": [0, 0.1]}})
    with pytest.raises(ParameterMismatchError, match=r"train\.data\.batch_size = 16, but"):
        opened(study, data={"batch_size": 8})


def test_a_directory_that_cannot_be_made_is_an_error_of_one_line(study):
    with pytest.raises(StorageError, match=r"^/proc/study cannot be written \(.+\): choose another directory$"):
        opened(study, directory="/proc/study")


def test_a_journal_whose_last_line_was_cut_goes_on(study, claim):
    record = opened(study)
    record.end(claim(record).trial, 0.5)
    path = os.path.join(record.plan.directory, JOURNAL)
    with open(path, "ab") as journal:
        journal.write(b'{"op_code":4,"worker')
    again = opened(study)
    assert [trial.value for trial in again.trials] == [0.5]
    assert claim(again).trial.number == 1
