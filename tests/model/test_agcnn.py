import copy
import pickle
from dataclasses import FrozenInstanceError, asdict, replace

import pytest
import torch
from torch import nn
from torch.nn import functional

from model.agcnn import Agcnn, AgcnnConfig, freeze, without_second_look
from model.branch import Branch
from model.crop import crop
from model.heat_map import Statistic, heat_map
from model.region import region
from tests.model.thin import DISTINCT

SMALL = AgcnnConfig(canvas_size=128, input_size=64, findings=4)


@pytest.mark.parametrize("backbone", DISTINCT)
def test_shapes_and_ranges(backbone: str) -> None:
    network = Agcnn(AgcnnConfig(backbone=backbone, canvas_size=256, input_size=128, findings=4)).eval()
    output = network(torch.rand(2, 1, 256, 256))
    h = 7 if backbone == "squeezenet1_1" else 4
    shapes = [tuple(value.shape) for value in output]
    assert shapes == [(2, 4), (2, 4), (2, 4), (2, h, h), (2, 4, h, h), (2, 4)]
    assert output.heat_map.min() == 0
    assert output.heat_map.max() == 1
    assert (output.box[:, :2] < output.box[:, 2:]).all()


def test_forward_equals_its_parts_in_sequence() -> None:
    network = Agcnn(SMALL).eval()
    canvas = torch.rand(2, 1, 128, 128)
    attention, output = network.attend(canvas), network(canvas)
    near = network.local_branch(attention.crop)
    assert torch.equal(output.global_, network.global_branch(network.shrink(canvas)).logits)
    assert torch.equal(output.local, near.logits)
    assert torch.equal(output.fusion, network.fusion(attention.branch.pooled, near.pooled))
    assert torch.equal(output.class_maps, network.global_branch.class_maps(attention.branch.features))
    assert torch.equal(output.box, attention.box)


def test_both_branches_have_the_scale_of_the_configuration() -> None:
    network = Agcnn(replace(SMALL, pixel_mean=0.5, pixel_std=0.25))
    assert network.global_branch.scale == network.local_branch.scale == (0.5, 0.25)


def test_without_a_second_look_the_global_branch_decides() -> None:
    network = Agcnn(SMALL).eval()
    single, canvas = without_second_look(network), torch.rand(2, 1, 128, 128)
    whole, output = network(canvas), single(canvas)
    for name in ("global_", "heat_map", "class_maps", "box"):
        assert torch.equal(getattr(output, name), getattr(whole, name))
    assert output.local is None
    assert torch.equal(output.fusion, whole.global_)
    assert {name.split(".")[0] for name in single.state_dict()} == {"global_branch"}
    assert network.config.second_look
    assert network.branches == (network.global_branch, network.local_branch)


def test_a_network_without_a_second_look_is_rebuilt_from_its_configuration() -> None:
    single = without_second_look(Agcnn(SMALL))
    rebuilt = Agcnn(AgcnnConfig(**asdict(single.config)))
    rebuilt.load_state_dict(single.state_dict())
    assert rebuilt.branches == (rebuilt.global_branch,)


def test_the_branches_share_no_weights() -> None:
    network = Agcnn(SMALL)
    assert not set(network.global_branch.parameters()) & set(network.local_branch.parameters())


def test_the_output_of_an_image_does_not_depend_on_its_batch() -> None:
    network = Agcnn(SMALL).eval()
    canvas = torch.rand(3, 1, 8, 8).repeat_interleave(16, 2).repeat_interleave(16, 3)
    together, alone = network(canvas), network(canvas[1:2])
    for in_batch, by_itself in zip(together, alone, strict=True):
        assert torch.allclose(in_batch[1:2], by_itself, atol=1e-4)


def test_a_black_canvas_gives_finite_logits() -> None:
    output = Agcnn(SMALL).eval()(torch.zeros(1, 1, 128, 128))
    assert all(value.isfinite().all() for value in output)


def test_shrink_averages_over_areas_and_keeps_a_canvas_of_the_input_size() -> None:
    canvas = torch.rand(2, 1, 128, 128)
    expected = canvas.reshape(2, 1, 64, 2, 64, 2).mean((3, 5))
    assert torch.allclose(Agcnn(SMALL).shrink(canvas), expected)
    equal = Agcnn(AgcnnConfig(canvas_size=128, input_size=128))
    assert torch.equal(equal.shrink(canvas), canvas)
    assert equal.eval()(canvas).fusion.shape == (2, 14)


@pytest.mark.parametrize("shape", [(1, 1, 64, 64), (1, 3, 128, 128), (1, 128, 128)])
def test_a_canvas_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\[B, 1, 128, 128\], got \["):
        Agcnn(SMALL).shrink(torch.zeros(shape))


def test_the_crop_can_be_taken_from_the_input_of_the_global_branch() -> None:
    canvas = functional.interpolate(torch.rand(2, 1, 12, 12), (128, 128), mode="bilinear")
    torch.manual_seed(1)
    on_input = Agcnn(replace(SMALL, crop_from="input")).eval()
    on_canvas = Agcnn(SMALL).eval()
    on_canvas.load_state_dict(on_input.state_dict())
    of_input, of_canvas = on_input.attend(canvas), on_canvas.attend(canvas)
    assert torch.equal(of_input.box, of_canvas.box)
    assert torch.equal(of_input.crop, crop(functional.avg_pool2d(canvas, 2), of_input.box, 64))
    assert torch.equal(of_canvas.crop, crop(canvas, of_input.box, 64))
    assert not torch.allclose(of_input.crop, of_canvas.crop, atol=1e-3)


@pytest.mark.parametrize("statistic", ["max", "l1", "l2"])
def test_the_region_depends_on_the_configured_statistic_and_threshold(statistic: Statistic) -> None:
    network = Agcnn(replace(SMALL, statistic=statistic, tau=0.4)).eval()
    attention = network.attend(torch.rand(1, 1, 128, 128))
    expected = heat_map(attention.branch.features, statistic)
    assert torch.equal(attention.heat_map, expected)
    assert torch.equal(attention.box, region(expected, 0.4))
    assert not torch.equal(attention.box, region(expected, 0.7))


# Configuration


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backbone": "vgg"}, "backbone must be one of densenet121, .*squeezenet1_1, got 'vgg'"),
        ({"canvas_size": 900}, "canvas_size must be a multiple of input_size 224, got 900"),
        ({"canvas_size": 112}, "canvas_size must be a multiple of input_size 224, got 112"),
        ({"canvas_size": 0}, "canvas_size must be a multiple of input_size 224, got 0"),
        ({"input_size": 16, "canvas_size": 64}, "input_size must be at least 32, got 16"),
        ({"tau": 1.0}, "tau must lie between 0 and 1, got 1.0"),
        ({"tau": float("nan")}, "tau must lie between 0 and 1, got nan"),
        ({"pooling": "sum"}, "pooling must be one of max, average, got 'sum'"),
        ({"statistic": "mean"}, "statistic must be one of max, l1, l2, got 'mean'"),
        ({"crop_from": "image"}, "crop_from must be one of canvas, input, got 'image'"),
        ({"findings": 0}, "findings must be at least 1, got 0"),
        ({"pixel_std": 0.0}, "pixel_std above 0, got 0.449 and 0.0"),
        ({"pixel_mean": float("nan")}, "must be finite, .* got nan and 0.226"),
    ],
)
def test_a_configuration_that_cannot_work_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AgcnnConfig(**changes)


def test_a_configuration_is_immutable_and_can_be_rebuilt_from_its_fields() -> None:
    with pytest.raises(FrozenInstanceError):
        SMALL.tau = 0.5  # type: ignore[misc]
    assert AgcnnConfig(**asdict(SMALL)) == SMALL


# Stages


def test_a_frozen_branch_stays_in_evaluation_mode_when_its_parent_trains() -> None:
    network = nn.ModuleDict({"frozen": Branch("densenet121"), "trained": nn.BatchNorm2d(1)})
    freeze(network["frozen"])
    network.train()
    assert network["trained"].training
    assert not any(module.training for module in network["frozen"].modules())
    before = {name: value.clone() for name, value in network["frozen"].state_dict().items()}
    network["frozen"](torch.rand(2, 1, 64, 64))
    assert all(torch.equal(value, before[name]) for name, value in network["frozen"].state_dict().items())


def test_only_the_branch_that_is_not_frozen_gets_a_gradient() -> None:
    network = Agcnn(SMALL)
    freeze(network.global_branch)
    network.train()
    output = network(torch.rand(2, 1, 128, 128))
    (output.fusion.sum() + output.local.sum()).backward()
    assert all(parameter.grad is None for parameter in network.global_branch.parameters())
    assert all(parameter.grad is not None for parameter in network.local_branch.parameters())


def test_the_crop_passes_no_gradient_to_the_global_branch() -> None:
    network = Agcnn(SMALL)
    attention = network.attend(torch.rand(1, 1, 128, 128))
    assert attention.branch.logits.requires_grad
    assert not attention.box.requires_grad
    assert not attention.crop.requires_grad


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
def test_a_copy_of_a_frozen_module_is_frozen_itself(copied) -> None:
    network = nn.Sequential(nn.BatchNorm2d(2), nn.BatchNorm2d(2))
    freeze(network[0])
    other = copied(network)
    other.train()
    assert not other[0].training
    assert other[0].train.args[0] is other[0]
    assert other[1].training


def test_shrinking_and_cropping_the_whole_canvas_agree() -> None:
    network = Agcnn(AgcnnConfig(canvas_size=128, input_size=32, tau=0.7))
    canvas = torch.zeros(1, 1, 128, 128)
    canvas[:] = torch.rand(128)
    with torch.no_grad():
        for parameter in network.global_branch.parameters():
            parameter.zero_()  # constant features: the box is the whole canvas
    attention = network.attend(canvas)
    assert attention.box.tolist() == [[0.0, 0.0, 1.0, 1.0]]
    assert torch.allclose(attention.crop, functional.avg_pool2d(canvas, 4), atol=1e-5)


def test_with_a_mirror_an_image_and_its_mirror_image_have_equal_logits_and_mirrored_maps() -> None:
    torch.manual_seed(0)
    network = Agcnn(replace(SMALL, pooling="average", mirror=True)).eval()
    canvas = torch.rand(2, 1, 128, 128)
    with torch.no_grad():
        output, mirrored = network(canvas), network(canvas.flip(3))
        single = [network.global_branch(network.shrink(image)) for image in (canvas, canvas.flip(3))]
    torch.testing.assert_close(output.global_, (single[0].logits + single[1].logits) / 2)
    torch.testing.assert_close(output.global_, mirrored.global_)
    torch.testing.assert_close(output.class_maps, mirrored.class_maps.flip(3))
    torch.testing.assert_close(output.box[:, [0, 2]], 1 - mirrored.box[:, [2, 0]])
