import pytest
import torch
from torch import nn
from torch.nn import functional

from model.branch import BACKBONES, Branch, branch_names, load_trunk
from model.normalisation import GREY, Scale
from tests.model import published
from tests.model.thin import DISTINCT, thin

CLASSIFIER = ["classifier.bias", "classifier.weight"]

every_backbone = pytest.mark.parametrize("backbone", DISTINCT)


@every_backbone
def test_shapes_and_range(backbone: str) -> None:
    branch = Branch(backbone, findings=5).eval()
    features, pooled, logits = branch(torch.rand(2, 1, 128, 96))
    assert features.shape[:2] == (2, BACKBONES[backbone].channels)
    assert pooled.shape == (2, BACKBONES[backbone].channels)
    assert logits.shape == (2, 5)
    assert features.min() >= 0
    assert branch.class_maps(features).shape == (2, 5, *features.shape[2:])


@every_backbone
def test_every_parameter_learns(backbone: str) -> None:
    branch = Branch(backbone, findings=3)
    branch(torch.rand(2, 1, 64, 64)).logits.square().sum().backward()
    assert all(parameter.grad is not None for parameter in branch.parameters())


@every_backbone
@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_mixed_precision_gives_nearly_the_same_features_and_learns(
    backbone: str, precision: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    thin(monkeypatch)
    branch = Branch(backbone, findings=3)
    for norm in branch.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.ones_(norm.weight)  # a new block passes only its shortcut, which would test nothing
    image = functional.interpolate(torch.rand(4, 1, 8, 8), (64, 64), mode="bilinear")
    expected = branch(image).features.flatten(1)
    with torch.autocast("cpu", precision):
        output = branch(image)
    output.logits.float().square().sum().backward()
    assert torch.cosine_similarity(output.features.float().flatten(1), expected).min() > 0.9
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in branch.parameters())


def test_pooling_is_the_maximum_or_the_average() -> None:
    image = torch.rand(2, 1, 96, 96)
    for pooling, pooled in (("max", torch.amax), ("average", torch.mean)):
        output = Branch("squeezenet1_1", pooling=pooling)(image)
        assert torch.equal(output.pooled, pooled(output.features, (2, 3)))


def test_with_average_pooling_the_mean_of_a_class_map_is_its_logit() -> None:
    branch = Branch("squeezenet1_1", pooling="average")
    torch.nn.init.normal_(branch.classifier.bias)
    output = branch(torch.rand(2, 1, 96, 96))
    assert torch.allclose(branch.class_maps(output.features).mean((2, 3)), output.logits, atol=1e-4)


def test_class_maps_are_the_classifier_at_each_position() -> None:
    branch = Branch("squeezenet1_1", findings=3)
    features = torch.rand(1, 512, 2, 4)
    maps = branch.class_maps(features)
    assert torch.allclose(maps[0, :, 1, 3], branch.classifier(features[0, :, 1, 3]), atol=1e-5)


def test_a_branch_normalises_to_its_scale() -> None:
    plain, scaled = Branch("squeezenet1_1"), Branch("squeezenet1_1", scale=Scale(0.5, 0.25))
    scaled.load_state_dict(plain.state_dict())
    image = torch.rand(1, 1, 64, 64)
    same = (image - 0.5) / 0.25 * GREY.std + GREY.mean  # which the plain branch normalises to the same values
    assert torch.allclose(scaled(image).logits, plain(same).logits, atol=1e-5)


def test_unknown_choices_are_refused() -> None:
    with pytest.raises(ValueError, match=r"densenet121, .*resnet50, .*squeezenet1_1, got 'vgg'"):
        Branch("vgg")
    with pytest.raises(ValueError, match="max, average, got 'sum'"):
        Branch("squeezenet1_1", pooling="sum")  # type: ignore[arg-type]


@every_backbone
def test_a_branch_loads_its_own_state(backbone: str) -> None:
    branch, other = Branch(backbone), Branch(backbone)
    assert load_trunk(branch, other.state_dict()) == []
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in branch.state_dict().items())


def test_unmatched_names_of_both_sides_and_other_shapes_are_returned() -> None:
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


# Published states


def test_torchvisions_resnet_loads_except_its_classifier() -> None:
    branch, state = Branch("resnet50"), published.resnet50()
    assert load_trunk(branch, state) == [*CLASSIFIER, "fc.bias", "fc.weight"]
    assert torch.equal(branch.features.layer4[2].conv3.weight, state["layer4.2.conv3.weight"])
    assert torch.equal(branch.features.layer1[0].downsample[1].running_var, state["layer1.0.downsample.1.running_var"])


def test_torchvisions_densenet_loads_except_its_classifier() -> None:
    branch, state = Branch("densenet121"), published.densenet121()
    assert load_trunk(branch, state) == CLASSIFIER
    loaded = branch.features.denseblock3.denselayer24.norm2.running_mean
    assert torch.equal(loaded, state["features.denseblock3.denselayer24.norm2.running_mean"])


def test_chexnet_loads_completely() -> None:
    branch, state = Branch("densenet121"), published.chexnet()
    assert load_trunk(branch, state) == []
    assert torch.equal(branch.classifier.weight, state["module.densenet121.classifier.0.weight"])
    loaded = branch.features.denseblock1.denselayer1.conv2.weight
    assert torch.equal(loaded, state["module.densenet121.features.denseblock1.denselayer1.conv.2.weight"])


def test_chexnets_classifier_is_returned_by_its_own_name_if_the_number_of_findings_differs() -> None:
    unmatched = [f"module.densenet121.classifier.0.{kind}" for kind in ("bias", "weight")]
    assert load_trunk(Branch("densenet121", findings=15), published.chexnet()) == [*CLASSIFIER, *unmatched]


def test_a_resnet_with_fourteen_outputs_loads_completely() -> None:
    branch = Branch("resnet50")
    state = published.resnet50() | published.linear("fc", 14, 2048)
    assert load_trunk(branch, {f"module.{name}": value for name, value in state.items()}) == []
    assert torch.equal(branch.classifier.bias, state["fc.bias"])


@pytest.mark.parametrize(
    ("backbone", "state", "own"),
    [
        ("se_resnet50", published.resnet50, ".gate."),
        ("nonlocal_resnet50", published.resnet50, ".non_local."),
        ("se_densenet121", published.chexnet, ".gate"),
    ],
)
def test_weights_that_a_plain_network_lacks_are_kept_and_returned(backbone, state, own: str) -> None:
    branch, plain = Branch(backbone), state()
    before = {name: value.clone() for name, value in branch.state_dict().items() if own in name}
    unmatched = [name for name in load_trunk(branch, plain) if not name.startswith(("classifier.", "fc."))]
    assert unmatched == sorted(name for name in before if not name.endswith("num_batches_tracked"))
    assert all(torch.equal(branch.state_dict()[name], value) for name, value in before.items())


def test_gates_that_a_plain_network_lacks_are_returned() -> None:
    unmatched = load_trunk(Branch("resnet50"), Branch("se_resnet50").state_dict())
    assert len(unmatched) == 2 * 16
    assert all(".gate.fc" in name for name in unmatched)


def test_of_two_names_for_one_parameter_the_unused_one_is_returned() -> None:
    state = Branch("densenet121").state_dict()
    state["classifier.0.bias"] = torch.ones(14)
    branch = Branch("densenet121")
    assert load_trunk(branch, state) == ["classifier.bias"]
    assert torch.equal(branch.classifier.bias, torch.ones(14))


def test_a_colour_stem_without_its_norm_is_an_error_that_names_the_entry() -> None:
    state = published.resnet50()
    del state["bn1.running_mean"]
    with pytest.raises(KeyError, match=r"features\.bn1\.running_mean"):
        load_trunk(Branch("resnet50"), state)


@pytest.mark.parametrize(
    ("backbone", "name", "own"),
    [
        ("densenet121", "module.densenet121.features.norm5.bias", "features.norm5.bias"),
        ("densenet121", "module.classifier.0.weight", "classifier.weight"),
        ("densenet121", "net.classifier.1.bias", "classifier.bias"),
        ("densenet121", "classifier.2.weight", "classifier.2.weight"),
        ("resnet50", "backbone.layer4.2.bn3.bias", "features.layer4.2.bn3.bias"),
        ("resnet50", "model.fc.weight", "classifier.weight"),
        ("resnet50", "module.fc.1.bias", "classifier.bias"),
        ("resnet50", "fc.10.bias", "classifier.10.bias"),
    ],
)
def test_published_names(backbone: str, name: str, own: str) -> None:
    assert branch_names(backbone, [name]) == {own: name}
