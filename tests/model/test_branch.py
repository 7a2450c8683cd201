import pytest
import torch

from model.branch import BACKBONES, Branch, load_trunk

both_backbones = pytest.mark.parametrize("backbone", sorted(BACKBONES))


@both_backbones
def test_shapes_and_range(backbone: str) -> None:
    branch = Branch(backbone, findings=5).eval()
    features, pooled, logits = branch(torch.rand(2, 1, 128, 96))
    assert features.shape[:2] == (2, BACKBONES[backbone].channels)
    assert pooled.shape == (2, BACKBONES[backbone].channels)
    assert logits.shape == (2, 5)
    assert features.min() >= 0
    assert branch.class_maps(features).shape == (2, 5, *features.shape[2:])


@both_backbones
def test_every_parameter_learns(backbone: str) -> None:
    branch = Branch(backbone, findings=3)
    branch(torch.rand(2, 1, 64, 64)).logits.square().sum().backward()
    assert all(parameter.grad is not None for parameter in branch.parameters())


def test_pooling_is_the_maximum_or_the_average() -> None:
    image = torch.rand(2, 1, 96, 96)
    for pooling, pooled in (("max", torch.amax), ("average", torch.mean)):
        output = Branch("squeezenet1_1", pooling=pooling)(image)
        assert torch.equal(output.pooled, pooled(output.features, (2, 3)))


def test_class_maps_average_to_the_logits_where_pooling_averages() -> None:
    branch = Branch("squeezenet1_1", pooling="average")
    torch.nn.init.normal_(branch.classifier.bias)
    output = branch(torch.rand(2, 1, 96, 96))
    assert torch.allclose(branch.class_maps(output.features).mean((2, 3)), output.logits, atol=1e-4)


def test_class_maps_are_the_classifier_at_each_position() -> None:
    branch = Branch("squeezenet1_1", findings=3)
    features = torch.rand(1, 512, 2, 4)
    maps = branch.class_maps(features)
    assert torch.allclose(maps[0, :, 1, 3], branch.classifier(features[0, :, 1, 3]), atol=1e-5)


def test_unknown_choices_are_refused() -> None:
    with pytest.raises(ValueError, match="densenet121, squeezenet1_1, got 'vgg'"):
        Branch("vgg")
    with pytest.raises(ValueError, match="max, average, got 'sum'"):
        Branch("squeezenet1_1", pooling="sum")  # type: ignore[arg-type]


@both_backbones
def test_a_branch_loads_its_own_state(backbone: str) -> None:
    branch, other = Branch(backbone), Branch(backbone)
    assert load_trunk(branch, other.state_dict()) == []
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in branch.state_dict().items())


def test_names_that_do_not_match_are_told_both_ways_and_for_other_shapes() -> None:
    branch = Branch("squeezenet1_1")
    kept = branch.classifier.weight.clone()
    state = Branch("squeezenet1_1", findings=1000).state_dict()
    state["classifier.1.weight"] = torch.zeros(1000, 512, 1, 1)
    del state["features.12.squeeze.bias"]
    assert load_trunk(branch, state) == [
        "classifier.1.weight",
        "classifier.bias",
        "classifier.weight",
        "features.12.squeeze.bias",
    ]
    assert torch.equal(branch.classifier.weight, kept)
    assert torch.equal(branch.features[0].weight, state["features.0.weight"])


def test_an_empty_state_matches_nothing() -> None:
    branch = Branch("squeezenet1_1")
    assert load_trunk(branch, {}) == sorted(branch.state_dict())
