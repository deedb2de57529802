import os

import pytest
from optuna.trial import TrialState

from aframe.errors import ParameterMismatchError
from aframe.tuning.plan import read_plan
from aframe.tuning.study import JOURNAL, Record


def opened(study, **keys):
    path, run = study(**keys)
    return Record.open(read_plan(str(path), run), run)


def test_the_first_trial_has_the_values_without_a_study(study):
    record = opened(study)
    first, second = record.claim(), record.claim()
    assert first.trial.params == {"model.learning_rate": 2e-3, "model.architecture.init_args.kernels": "[3, 3]"}
    assert (first.trial.number, second.trial.number) == (0, 1)
    assert not first.is_resumed
    assert 1e-4 <= second.trial.params["model.learning_rate"] <= 1e-2
    again = opened(study, directory="again")
    again.claim()
    assert again.claim().trial.params == second.trial.params


def test_a_trial_whose_process_has_ended_is_taken_up_and_no_other(study):
    record = opened(study)
    claims = [record.claim() for _ in range(3)]
    assert record.claim() is None  # all are at work
    record.report(claims[1].trial, 1, 0.7)
    claims[1].lock.close()
    taken = opened(study).claim()
    assert (taken.trial.number, taken.is_resumed) == (1, True)
    assert taken.trial.params == claims[1].trial.params
    record.report(taken.trial, 1, 0.2)  # what is recorded stays
    record.end(taken.trial, 0.8)
    assert [trial.state for trial in record.trials] == [TrialState.RUNNING, TrialState.COMPLETE, TrialState.RUNNING]
    assert record.trials[1].intermediate_values == {1: 0.7}
    assert record.best.number == 1
    assert not record.is_done


def test_trainings_that_are_behind_end_early(study):
    record = opened(study, stopping={"min_epochs": 1, "reduction_factor": 2}, data={})
    stopped = []
    for value in (0.5, 0.1, 0.7):
        claim = record.claim()
        record.report(claim.trial, 1, value)
        stopped.append(record.should_stop(claim.trial))
        record.end(claim.trial, value, is_stopped=stopped[-1])
    assert stopped == [False, True, False]
    assert record.is_done
    assert record.best.value == 0.7


def test_a_study_whose_trials_all_fail_is_given_up_with_the_first_error(study):
    record = opened(study, trials=30)
    for number in range(3):
        assert not record.is_given_up
        record.fail(record.claim().trial, f"reason {number}", f"log {number}")
    assert record.is_done
    assert record.claim() is None
    text = str(record.failure())
    assert text.startswith("all 3 trials failed, first with: reason 0 (log: log 0); mend it, delete ")


def test_a_study_goes_on_with_more_trials_but_not_with_another_space(study):
    record = opened(study, trials=1)
    record.end(record.claim().trial, 0.5)
    assert record.is_done
    more = opened(study, trials=2, workers=5, name="more")
    assert not more.is_done
    assert len(more.trials) == 1
    with pytest.raises(ParameterMismatchError, match=r"tune\.parameters\.model\.weight_decay\.uniform"):
        opened(study, parameters={"model.weight_decay": {"uniform": [0, 0.1]}})
    with pytest.raises(ParameterMismatchError, match=r"train\.data\.batch_size = 16, but"):
        opened(study, data={"batch_size": 8})


def test_a_journal_whose_last_line_was_cut_goes_on(study):
    record = opened(study)
    record.end(record.claim().trial, 0.5)
    path = os.path.join(record.plan.directory, JOURNAL)
    with open(path, "ab") as journal:
        journal.write(b'{"op_code":4,"worker')
    again = opened(study)
    assert [trial.value for trial in again.trials] == [0.5]
    assert again.claim().trial.number == 1
