from dataclasses import replace

import numpy as np
import torch

from model.agcnn import Agcnn
from tests.training.cases import cases
from training.data.cache import Canvases
from training.evaluation.calibration import Calibration
from training.evaluation.predictions import predict
from training.fit.config import TrainConfig
from training.report.pictures import choose_images, pictures


def test_images_with_boxes_come_first_then_those_with_findings_one_of_a_patient() -> None:
    made = cases(np.array([[0.0], [1.0], [0.0], [1.0], [np.nan]]).repeat(14, 1))
    made = (*made[:2], replace(made[2], boxes={"Mass": ((0, 0, 1, 1),)}), replace(made[3], patient="1"), made[4])
    assert choose_images(made).tolist() == [2, 1, 0, 4]
    assert choose_images(made, 2).tolist() == [2, 1]


def test_a_picture_has_the_predictions_of_its_image(canvases: Canvases, small: TrainConfig) -> None:
    torch.manual_seed(0)
    network = Agcnn(small.network)
    predicted = predict(network, canvases)
    calibration = Calibration(np.ones((3, 14)), np.zeros((3, 14)))
    shown = pictures(network, canvases, predicted, calibration)
    assert len(shown) == 8
    for picture in shown:
        row = [case.image for case in canvases.cases].index(picture.image)
        np.testing.assert_array_equal(picture.canvas, canvases.batch(np.array([row]))[0][0].numpy())
        np.testing.assert_array_equal(picture.box, predicted.boxes[row])
        height, width = picture.heat_map.shape
        x, y = predicted.peaks[row]
        assert picture.heat_map[int(y * height), int(x * width)] == picture.heat_map.max()
        np.testing.assert_allclose(
            picture.probabilities["Mass"], 1 / (1 + np.exp(-predicted.logits[0, row, 4])), rtol=1e-5
        )
        assert ("Mass" in picture.findings) == (canvases.targets[row, 4] == 1)
