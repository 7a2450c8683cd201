import torch
from torch.nn import functional

from model.normalisation import RGB_MEAN, RGB_STD, Scale, fold, normalise


def test_normalised_values_have_zero_mean_and_unit_deviation() -> None:
    assert torch.allclose(normalise(torch.tensor([0.449, 0.449 + 0.226])), torch.tensor([0.0, 1.0]), atol=1e-6)


def test_a_scale_of_its_own() -> None:
    values = normalise(torch.tensor([0.0, 0.5, 1.0]), Scale(0.5, 1 / 2048))
    assert values.tolist() == [-1024, 0, 1024]


def test_a_folded_convolution_equals_the_one_over_rgb() -> None:
    image, weight = torch.rand(2, 1, 9, 9), torch.randn(5, 3, 3, 3)
    mean, std = torch.tensor(RGB_MEAN)[:, None, None], torch.tensor(RGB_STD)[:, None, None]
    colour = functional.conv2d((image.expand(-1, 3, -1, -1) - mean) / std, weight)
    grey, offset = fold(weight)
    assert grey.shape == (5, 1, 3, 3)
    assert torch.allclose(functional.conv2d(normalise(image), grey, offset), colour, atol=1e-4)


def test_folding_is_the_sum_over_channels_scaled_by_their_deviations() -> None:
    # derivative of both sides: the weight of each channel over its deviation, times the grey deviation
    weight = torch.ones(1, 3, 1, 1)
    grey, _ = fold(weight)
    assert torch.allclose(grey.flatten(), torch.tensor([0.226 * sum(1 / std for std in RGB_STD)]))
