"""Adopted networks against `published_reading`, which shares no code with them."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from model.agcnn import Agcnn, without_second_look
from model.labels import LABELS
from model.normalisation import Scale
from tests.model import published
from tests.model.thin import thin
from tests.training.export.published_reading import XRV_LABELS, densenet, resnet, to_1024, to_imagenet
from training.errors import TrainingError
from training.export.adoption import Publication, adopt, widen
from training.fit import checkpoint, starting_weights
from training.fit.served_weights import as_served

State = Mapping[str, Tensor]

FEW, FEW_BLOCKS = (1, 1, 1, 1), (1, 1, 2, 1)  # blocks of the thinned DenseNet and ResNet
NIH = (14, 15, 16, 17)  # outputs that `densenet121-res224-nih` never trained
SMALL: dict[str, Any] = {"input_size": 64, "canvas_size": 128}


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    thin(monkeypatch)


def pixels(side: int) -> Tensor:
    """[1, 1, side, side] whole numbers from 0 to 255: a blurred picture, as a file of 8 bits."""
    return (interpolate(torch.rand(1, 1, 12, 12), (side, side), mode="bilinear") * 255).round()


def canvas_of(picture: Tensor, network: Agcnn) -> Tensor:
    """The canvas of which the network's input is the picture."""
    return interpolate(picture / 255, scale_factor=network.config.canvas_size // picture.shape[-1])


def publication(folder: Path, state: object, form: str, **said: Any) -> Publication:
    torch.save(state, folder / "w.pt")
    return Publication(folder / "w.pt", form, "somebody's weights", **said)


def by_label(logits: Tensor, labels: Any) -> dict[str, float]:
    return dict(zip(labels, logits[0].tolist(), strict=True))


@torch.no_grad()
def logits(network: Agcnn, document: Mapping[str, Any], picture: Tensor) -> dict[str, float]:
    """Label to logit of the global branch, which the fusion layer must repeat."""
    output = network(canvas_of(picture, network))
    assert torch.allclose(output.fusion, output.global_, atol=1e-4)
    return by_label(output.global_, document["labels"])


# Forms


@torch.no_grad()
def test_torchxrayvisions_densenet_gives_the_logits_of_its_publisher(tmp_path: Path) -> None:
    state, picture = published.torchxrayvision(), pixels(224)
    network, document = adopt(publication(tmp_path, state, "torchxrayvision"))
    assert (network.config.input_size, network.config.canvas_size, network.config.pooling) == (224, 896, "average")
    expected = by_label(densenet(state, to_1024(picture)), XRV_LABELS)
    assert document["labels"] == list(LABELS)
    ours = {label: expected[label] for label in LABELS}
    assert logits(network, document, picture) == pytest.approx(ours, abs=1e-3)
    assert max(ours.values()) - min(ours.values()) > 1


@torch.no_grad()
@pytest.mark.usefixtures("few")
def test_the_local_branch_has_the_same_weights(tmp_path: Path) -> None:
    state = published.torchxrayvision(FEW)
    network, document = adopt(publication(tmp_path, state, "torchxrayvision", keep_others=True, **SMALL))
    canvas = canvas_of(pixels(64), network)
    expected = by_label(densenet(state, to_1024(network.attend(canvas).crop * 255)), XRV_LABELS)
    assert by_label(network(canvas).local, document["labels"]) == pytest.approx(expected, abs=1e-3)


@pytest.mark.usefixtures("few")
def test_labels_of_others_are_kept_on_demand_but_untrained_outputs_never(tmp_path: Path) -> None:
    state, picture = published.torchxrayvision(FEW, untrained=NIH[:1]), pixels(64)
    _, document = adopt(publication(tmp_path, state, "torchxrayvision", **SMALL))
    assert document["labels"] == list(LABELS)
    network, document = adopt(publication(tmp_path, state, "torchxrayvision", keep_others=True, **SMALL))
    assert document["labels"] == [*LABELS, "Fracture", "Lung Opacity", "Enlarged Cardiomediastinum"]
    expected = by_label(densenet(state, to_1024(picture)), XRV_LABELS)
    del expected["Lung Lesion"]
    assert logits(network, document, picture) == pytest.approx(expected, abs=1e-3)
    thresholds = dict(zip(XRV_LABELS, state["op_threshs"].tolist(), strict=True))
    del thresholds["Lung Lesion"]
    assert document["adopted"]["op_threshs"] == thresholds


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("saved", ["module", "published file"])
def test_torchxrayvisions_resnet_at_512_pixels(tmp_path: Path, saved: str) -> None:
    state, picture = published.torchxrayvision_resnet(FEW_BLOCKS, untrained=(14, 17)), pixels(512)
    plain = {name.removeprefix("model."): value for name, value in state.items() if name != "op_threshs"}
    blanks = ("" if index in (14, 17) else label for index, label in enumerate(XRV_LABELS))
    said = {"labels": tuple(blanks)} if saved == "published file" else {"keep_others": True}
    network, document = adopt(
        publication(tmp_path, plain if saved == "published file" else state, "torchxrayvision", **said)
    )
    assert (network.config.backbone, network.config.input_size, network.config.canvas_size) == ("resnet50", 512, 1024)
    assert document["labels"] == [*LABELS, "Fracture", "Lung Opacity"]
    expected = by_label(resnet(plain, to_1024(picture)), XRV_LABELS)
    kept = {label: expected[label] for label in document["labels"]}
    assert logits(network, document, picture) == pytest.approx(kept, abs=1e-3)


def renamed(state: State, old: str, new: str) -> dict[str, Tensor]:
    return {name.replace(old, new): value for name, value in state.items()}


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(
    "saved",
    [
        lambda state: state,  # DataParallel around CheXNet's class
        lambda state: {"epoch": 7, "best_loss": 0.2, "state_dict": state},
        lambda state: {"model_state_dict": renamed(state, "module.", "")},
        lambda state: {"model": renamed(state, "module.densenet121.", "")},
        lambda state: renamed(state, "classifier.0.", "classifier."),
        lambda state: {re.sub(r"(norm|conv)\.([12])", r"\1\2", name): value for name, value in state.items()},
    ],
    ids=["DataParallel", "checkpoint", "class", "torchvision", "no sigmoid", "new names"],
)
def test_chexnet_in_every_form(tmp_path: Path, saved: Callable[[State], Any]) -> None:
    state, picture = published.chexnet(FEW), pixels(64)
    network, document = adopt(publication(tmp_path, saved(state), "chexnet", **SMALL))
    assert document["labels"] == list(LABELS)
    # Folding three colours into one makes the frame of zeros one grey value: the same picture on a frame of that grey.
    grey = to_imagenet(torch.full((1, 1, 1, 1), 0.449 * 255)).flatten()
    plain = renamed(state, "module.densenet121.", "")
    expected = by_label(densenet(plain, to_imagenet(picture), grey), LABELS)
    assert logits(network, document, picture) == pytest.approx(expected, abs=1e-3)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(("channels", "stated", "scale"), [(1, "0.5,0.25", (0.5, 0.25)), (3, "0,1", (0, 1))])
def test_a_network_of_torchvision_has_the_labels_and_the_scale_that_are_stated(
    tmp_path: Path, channels: int, stated: str, scale: tuple[float, float]
) -> None:
    state, picture = published.resnet50(FEW_BLOCKS, channels, outputs=4), pixels(64)
    labels = ("Tube", "Effusion", "", "Atelectasis")
    file = renamed(state, "fc.", "fc.1.")  # behind a dropout
    network, document = adopt(publication(tmp_path, file, "torchvision", labels=labels, scale=stated, **SMALL))
    assert document["labels"] == ["Atelectasis", "Effusion", "Tube"]
    normalised = ((picture / 255 - scale[0]) / scale[1]).expand(-1, channels, -1, -1)
    expected = by_label(resnet(state, normalised), labels)
    del expected[""]
    assert logits(network, document, picture) == pytest.approx(expected, abs=1e-3)


def test_the_input_of_a_wide_scale_is_narrowed_by_a_power_of_two() -> None:
    assert widen(Scale(0.5, 1 / 2048)) == (Scale(0.5, 0.25), 512)
    assert widen(Scale(0.449, 0.226)) == (Scale(0.449, 0.226), 1)
    assert widen(Scale(0, 1)) == (Scale(0, 1), 1)


# The artefact


@pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning")  # raised inside torch's exporter
@pytest.mark.usefixtures("few")
def test_the_exported_branch_gives_the_publishers_probabilities_from_values_in_0_to_1(tmp_path: Path) -> None:
    state, picture = published.torchxrayvision(FEW), pixels(64)
    network, _ = adopt(publication(tmp_path, state, "torchxrayvision", **SMALL))
    branch = as_served(without_second_look(network)).global_branch
    program = torch.onnx.export(branch, (picture / 255,), dynamo=True, opset_version=20, verbose=False)
    assert program is not None
    model = program.model_proto.SerializeToString()
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    *_, logits = session.run(None, {session.get_inputs()[0].name: (picture / 255).numpy()})
    expected = by_label(torch.sigmoid(densenet(state, to_1024(picture))), XRV_LABELS)
    ours = torch.sigmoid(torch.from_numpy(logits))[0].tolist()
    assert ours == pytest.approx([expected[label] for label in LABELS], abs=2e-3)  # float16 weights


# The run


@pytest.mark.usefixtures("few")
def test_the_document_states_file_form_and_origin(tmp_path: Path) -> None:
    _, document = adopt(publication(tmp_path, published.torchxrayvision(FEW, NIH), "torchxrayvision", **SMALL))
    entry = {"name": "somebody's weights", "images": None, "patients": None, "role": "published weights"}
    assert document["training_data"] == [entry]
    assert (document["trained"], document["untrained"]) == (["global", "local", "fusion"], [])
    adopted = document["adopted"]
    assert adopted["sha256"] == hashlib.sha256((tmp_path / "w.pt").read_bytes()).hexdigest()
    assert (adopted["form"], adopted["file"]) == ("torchxrayvision", "w.pt")
    assert adopted["outputs"] == [*XRV_LABELS[:14], "", "", "", ""]
    assert adopted["scale"] == {"mean": 0.5, "std": 1 / 2048}
    assert json.dumps(document, allow_nan=False)


@pytest.mark.usefixtures("few")
def test_training_that_starts_from_a_run_keeps_its_scale(tmp_path: Path) -> None:
    network, document = adopt(publication(tmp_path, published.torchxrayvision(FEW), "torchxrayvision", **SMALL))
    checkpoint.save(tmp_path, network, document)
    start = starting_weights.with_scale_of(published_config := type(network.config)(), tmp_path / checkpoint.WEIGHTS)
    assert start.scale == (0.5, 0.25)
    assert starting_weights.with_scale_of(published_config, tmp_path / "elsewhere" / "w.pth") == published_config
    assert starting_weights.with_scale_of(published_config, None) == published_config
    assert checkpoint.load(tmp_path)[0].config == network.config


# Refusals


def without(state: State, name: str) -> dict[str, Tensor]:
    return {other: value for other, value in state.items() if other != name}


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(
    ("state", "form", "said", "message"),
    [
        (lambda: without(published.torchxrayvision(FEW), "op_threshs"), "torchxrayvision", {}, "which outputs were"),
        (lambda: published.torchxrayvision(FEW, range(18)), "torchxrayvision", {}, "expected at least one label"),
        (lambda: published.torchxrayvision(FEW, range(14)), "torchxrayvision", {}, "--keep-other-labels"),
        (lambda: published.torchxrayvision(FEW), "chexnet", {}, "18 outputs, got 14 labels"),
        (lambda: published.torchxrayvision(FEW), "torchvision", {"scale": "0,1"}, "does not name the 18 outputs"),
        (lambda: published.chexnet(FEW), "chexnet", {"labels": ("A", "B")}, "14 outputs, got 2 labels"),
        (lambda: published.chexnet(FEW), "chexnet", {"labels": ("A",) * 14}, "none of them twice"),
        (lambda: published.chexnet(FEW), "torchvision", {"labels": LABELS}, "does not say how the input is scaled"),
        (lambda: published.chexnet(FEW), "chexnet", {"scale": "imagenet"}, "the form chexnet has its own"),
        (lambda: published.chexnet(FEW), "torchvision", {"labels": LABELS, "scale": "grey"}, "got 'grey'"),
        (lambda: published.chexnet(FEW), "torchvision", {"labels": LABELS, "scale": "0.5,0"}, "deviation above 0"),
        (lambda: published.densenet121(FEW, 1, 14), "chexnet", {}, "three colours, and .*w.pt has 1 channel"),
        (lambda: published.chexnet(FEW), "chexnet", {"canvas_size": 900}, "canvas_size must be a multiple"),
        (lambda: published.densenet121((1, 1, 2, 1), outputs=14), "chexnet", {}, "expected a densenet121 as in"),
        (lambda: without(published.densenet121(FEW, outputs=14), "features.norm5.bias"), "chexnet", {}, "norm5.bias"),
        (lambda: without(published.densenet121(FEW), "classifier.weight"), "chexnet", {}, "one linear classifier"),
        (lambda: {"features.0.weight": torch.ones(1)}, "chexnet", {}, "DenseNet-121 or ResNet-50 .*, got features.0"),
        (
            lambda: published.chexnet(FEW) | {"module.densenet121.classifier.0.bias": torch.full((14,), torch.inf)},
            *("chexnet", {}, "module.densenet121.classifier.0.bias has values that are not finite"),
        ),
        (
            lambda: published.chexnet(FEW) | published.linear("classifier", 14, 64),
            *("chexnet", {}, "one linear classifier"),
        ),
    ],
)
def test_what_is_not_told_or_does_not_fit_is_refused(
    tmp_path: Path, state: Callable[[], State], form: str, said: dict[str, Any], message: str
) -> None:
    with pytest.raises(TrainingError, match=message):
        adopt(publication(tmp_path, state(), form, **said))


class Model(torch.nn.Module):
    """Stands for a pickled network: the class is not one that torch loads without running code."""


def test_a_pickled_network_is_not_loaded_and_the_guide_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"not readable as weights; docs/adopt\.md"):
        adopt(publication(tmp_path, Model(), "torchxrayvision"))
