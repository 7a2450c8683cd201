from typing import Any, get_args

import pytest

from model.agcnn import CropFrom
from model.branch import BACKBONES, Pooling
from model.heat_map import Statistic
from training.cli import choices
from training.data import chexpert
from training.export.published_form import FORMS
from training.fit import config
from training.fit.recipe import recipe_names


def test_the_backbones_are_those_of_the_model() -> None:
    assert get_args(choices.Backbone) == tuple(sorted(BACKBONES))


def test_the_forms_are_those_that_can_be_adopted() -> None:
    assert get_args(choices.Form) == tuple(FORMS)


def test_the_recipes_are_the_files_of_the_folder() -> None:
    assert get_args(choices.Recipe) == tuple(recipe_names())


@pytest.mark.parametrize(
    ("option", "setting"),
    [
        (choices.Pooling, Pooling),
        (choices.Statistic, Statistic),
        (choices.CropFrom, CropFrom),
        (choices.Optimiser, config.Optimiser),
        (choices.Schedule, config.Schedule),
        (choices.Select, config.Select),
        (choices.Precision, config.Precision),
        (choices.Uncertain, chexpert.Uncertain),
    ],
)
def test_options_have_the_choices_of_the_configuration(option: Any, setting: Any) -> None:
    assert get_args(option) == get_args(setting)
