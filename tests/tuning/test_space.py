from datetime import date

import pytest

from aframe.tuning.space import label, parse_parameter, plain


@pytest.mark.parametrize(
    ("content", "refusal"),
    [
        ({"uniform": [2, 1]}, r"uniform = \[2, 1\] is empty"),
        ({"uniform": [1, 1]}, "is empty"),
        ({"log_uniform": [0, 1]}, "must be above zero"),
        ({"log_int": [-1, 8]}, "must be above zero"),
        ({"int": [1.5, 8]}, "must be two whole numbers"),
        ({"uniform": ["low", 1]}, "must be two numbers"),
        ({"uniform": [0, float("inf")]}, "is not finite"),
        ({"uniform": 3}, "must be a list"),
        ({"unifrom": [0, 1]}, r"no kind 'unifrom' \(did you mean 'uniform'\?\)"),
        ({"choice": [0.5]}, "two values or more"),
        ({"choice": [0.5, 0.1, 0.1]}, "has 0.1 twice"),
        ({"choice": [0.1, 0.2]}, r"does not hold 0\.5, the value without a study"),
        ({"uniform": [0, 0.4]}, r"does not hold 0\.5"),
        ([0, 1], "must say one of uniform"),
        ({"choice": [0.5, date(2020, 1, 1)]}, "which no key can have: put it in quotes"),
    ],
)
def test_values_that_cannot_be_are_refused(content, refusal):
    with pytest.raises(ValueError, match=refusal):
        parse_parameter("data.swap_prob", content, 0.5)


def test_values_come_back_as_they_were_given():
    parameter = parse_parameter("model.widths", {"choice": [[3, 3], "auto", None, True]}, None)
    for value in parameter.values:
        assert parameter.decoded(parameter.encoded(value)) == value
    assert parameter.distribution.choices == ("[3, 3]", "auto", "null", "true")
    assert label("1") == label(1)


def test_a_number_that_yaml_takes_for_a_word_is_one():
    parameter = parse_parameter("model.learning_rate", {"log_uniform": ["1e-4", "3e-2"]}, 1e-3)
    assert parameter.values == (1e-4, 3e-2)
    assert plain("resnet") == "resnet"
