"""A network is trained further from weights whose batch norms were folded away."""

from copy import deepcopy
from dataclasses import fields
from pathlib import Path

import pytest
import torch

from model.agcnn import Agcnn, AgcnnConfig
from service.artefact.golden import golden_canvas
from tests.artefacts import tiny_network
from tests.conftest import ROOT
from tests.model.thin import thin
from training.errors import TrainingError
from training.fit.artefact_weights import (
    measure_batch_norms,
    read_artefact,
    require_whole_parts,
    unfold_batch_norms,
)
from training.fit.lineage import earlier_training_data, inherited_stages
from training.fit.served_weights import folded
from training.fit.starting_weights import initialise, load_network

SHIPPED = ROOT / "service" / "assets" / "agcnn.onnx"
CONFIG = AgcnnConfig("resnet50", canvas_size=64, input_size=32, pooling="average")


@pytest.fixture(scope="module")
def networks() -> tuple[Agcnn, Agcnn]:
    """A network with batch norms, and another one that was started from its folded weights."""
    with pytest.MonkeyPatch.context() as patch:
        thin(patch)
        network, started = tiny_network(config=CONFIG), Agcnn(CONFIG).eval()
        assert load_network(started, unfold_batch_norms(started, folded(network).state_dict())) == []
    return network, started


def test_folded_batch_norms_are_found_again(networks: tuple[Agcnn, Agcnn]) -> None:
    canvas = torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    for one, other in zip(*(network(canvas) for network in networks), strict=True):
        torch.testing.assert_close(other, one, atol=1e-5, rtol=1e-4)


def test_measured_batch_norms_answer_alike_in_training(networks: tuple[Agcnn, Agcnn]) -> None:
    _, network = networks
    canvas = torch.rand(8, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    small = network.shrink(canvas)
    with torch.no_grad():
        before = network.global_branch(small).logits
        distance = [training_distance(network, small, before)]
        measure_batch_norms(network, canvas)
        torch.testing.assert_close(network.global_branch(small).logits, before, atol=1e-4, rtol=1e-3)
        distance.append(training_distance(network, small, before))
    assert distance[1] < 1e-3 < 0.01 < distance[0]


def training_distance(network: Agcnn, image: torch.Tensor, expected: torch.Tensor) -> float:
    """The largest change of a logit if batch norms use the statistics of the batch; the network is not changed."""
    return (deepcopy(network).train().global_branch(image).logits - expected).abs().max().item()


def test_the_shipped_artefact_starts_a_network_that_sees_the_same() -> None:
    _, card = read_artefact(SHIPPED)
    settings = card["network"] | card["preprocessing"]
    names = {field.name for field in fields(AgcnnConfig)}
    config = AgcnnConfig(**{name: value for name, value in settings.items() if name in names})
    network = Agcnn(config).eval()
    assert not [name for name in initialise(network, SHIPPED) if name.startswith("global_branch.")]
    canvas = torch.from_numpy(golden_canvas(card["golden"]["seed"], config.canvas_size))
    with torch.no_grad():
        heat_map = network.attend(canvas).heat_map[0]
    torch.testing.assert_close(heat_map, torch.tensor(card["golden"]["heat_map"]), atol=1e-4, rtol=0)
    assert "global" in inherited_stages(SHIPPED)
    assert {entry["role"].split(",")[0] for entry in earlier_training_data(SHIPPED, [])} == {"pretraining"}


def test_a_part_that_lacks_a_tensor_is_refused(tmp_path: Path) -> None:
    network = tiny_network()
    state = network.state_dict()
    whole = {name: tensor for name, tensor in state.items() if not name.startswith("local_branch.")}
    require_whole_parts(network, whole, tmp_path)
    del whole["fusion.classifier.bias"]
    with pytest.raises(TrainingError, match=r"lacks 1 of the network's \d+ tensors, first: fusion\.classifier\.bias"):
        require_whole_parts(network, whole, tmp_path)


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.onnx").write_bytes(b"no model")
    with pytest.raises(TrainingError, match="not a readable artefact"):
        read_artefact(tmp_path / "other.onnx")
