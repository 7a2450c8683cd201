from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model.agcnn import Agcnn, AgcnnConfig
from model.branch import Branch
from tests.model import published
from training.errors import TrainingError
from training.fit import checkpoint
from training.fit.starting_weights import initialise

CONFIG = AgcnnConfig(canvas_size=64, input_size=32, pooling="average")


def test_weights_of_a_run_initialise_all_three_parts(tmp_path: Path) -> None:
    torch.manual_seed(0)
    other, network = Agcnn(CONFIG), Agcnn(CONFIG)
    checkpoint.save_weights(tmp_path / "w.safetensors", other)
    assert initialise(network, tmp_path / "w.safetensors") == []
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in network.state_dict().items())


def test_a_network_with_other_findings_provides_only_its_trunks(tmp_path: Path) -> None:
    other, network = Agcnn(replace(CONFIG, findings=15)), Agcnn(CONFIG)
    checkpoint.save_weights(tmp_path / "w.safetensors", other)
    assert initialise(network, tmp_path / "w.safetensors") == [
        "fusion.classifier.bias",
        "fusion.classifier.weight",
        "global_branch.classifier.bias",
        "global_branch.classifier.weight",
        "local_branch.classifier.bias",
        "local_branch.classifier.weight",
    ]
    assert torch.equal(network.local_branch.features[0].weight, other.local_branch.features[0].weight)


def saved_run(folder: Path, labels: list[str], findings: int) -> Agcnn:
    """A run with these labels."""
    network = Agcnn(replace(CONFIG, findings=findings))
    for layer in (network.global_branch, network.local_branch, network.fusion):
        torch.nn.init.uniform_(layer.classifier.bias)
    checkpoint.save(folder, network, {"labels": labels})
    return network


def test_classifiers_of_a_run_are_matched_by_label(tmp_path: Path) -> None:
    other = saved_run(tmp_path, ["Mass", "Cyst", "Hernia"], 4)  # with No Finding
    network = Agcnn(replace(CONFIG, findings=3))
    own = {name: value.clone() for name, value in network.state_dict().items()}
    unmatched = initialise(network, tmp_path / checkpoint.WEIGHTS, ["Fracture", "Hernia", "Mass"])
    assert unmatched == [
        "label Fracture: not in the starting weights",
        "label Cyst: only in the starting weights",
        "label No Finding: only in the starting weights",
    ]
    theirs = other.state_dict()
    for part in ("global_branch", "local_branch", "fusion"):
        for name in (f"{part}.classifier.weight", f"{part}.classifier.bias"):
            expected = torch.stack([own[name][0], theirs[name][2], theirs[name][0]])
            assert torch.equal(network.state_dict()[name], expected)


def test_labels_in_another_order_are_not_mixed_up(tmp_path: Path) -> None:
    other = saved_run(tmp_path, ["Mass", "Cyst"], 2)
    network = Agcnn(replace(CONFIG, findings=2))
    assert initialise(network, tmp_path / checkpoint.WEIGHTS, ["Cyst", "Mass"]) == []
    assert torch.equal(network.fusion.classifier.weight, other.fusion.classifier.weight.flip(0))


@pytest.mark.parametrize("whole", [True, False])
def test_a_classifier_of_unknown_labels_is_not_loaded_for_other_labels(tmp_path: Path, whole: bool) -> None:
    checkpoint.save_weights(tmp_path / "w.safetensors", Agcnn(CONFIG) if whole else Branch("squeezenet1_1"))
    network = Agcnn(CONFIG)
    own = network.global_branch.classifier.weight.clone()
    unmatched = initialise(network, tmp_path / "w.safetensors", [f"finding {n}" for n in range(14)])
    assert torch.equal(network.global_branch.classifier.weight, own)
    assert ("global_branch." if whole else "") + "classifier.weight" in unmatched


def test_weights_of_a_branch_initialise_only_the_global_branch(tmp_path: Path) -> None:
    network, trunk = Agcnn(CONFIG), Branch("squeezenet1_1")
    kept = {name: value.clone() for name, value in network.local_branch.state_dict().items()}
    checkpoint.save_weights(tmp_path / "w.safetensors", trunk)
    assert initialise(network, tmp_path / "w.safetensors") == []
    assert torch.equal(network.global_branch.features[0].weight, trunk.features[0].weight)
    assert all(torch.equal(value, kept[name]) for name, value in network.local_branch.state_dict().items())


@pytest.mark.parametrize(("name", "wrapped"), [("w.pth", False), ("w.pt", True), ("w.pth.tar", True)])
def test_a_pickled_state_is_read_plain_or_beside_other_things(tmp_path: Path, name: str, wrapped: bool) -> None:
    network, state = Agcnn(replace(CONFIG, backbone="densenet121")), published.chexnet()
    torch.save({"epoch": 3, "best_loss": 0.1, "state_dict": state} if wrapped else state, tmp_path / name)
    assert initialise(network, tmp_path / name) == []
    assert torch.equal(network.global_branch.classifier.bias, state["module.densenet121.classifier.0.bias"])


def test_a_pickled_file_runs_no_code(tmp_path: Path) -> None:
    class Touch:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (tmp_path / "ran",)

    torch.save({"state_dict": Touch()}, tmp_path / "w.pth")
    with pytest.raises(TrainingError, match=r"w\.pth: not readable as weights$"):
        initialise(Agcnn(CONFIG), tmp_path / "w.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["w.pth", "w.pt", "w.pth.tar", "w.npz", "w.safetensors"])
@pytest.mark.parametrize("content", [None, b"", b"no", b"PK\x03\x04" + bytes(64), bytes(range(256))])
def test_a_file_without_weights_gives_one_line(tmp_path: Path, name: str, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(TrainingError, match=r"not readable as weights$"):
        initialise(Agcnn(CONFIG), tmp_path / name)


@pytest.mark.parametrize("content", [[1, 2], {}, {"state_dict": [1]}, {"epoch": 3}, {1: torch.zeros(1)}])
def test_a_file_without_named_weights_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(TrainingError, match="contains no weights by name"):
        initialise(Agcnn(CONFIG), tmp_path / "w.pth")


def test_another_file_format_is_refused() -> None:
    kinds = r"\.onnx, \.npz, \.safetensors, \.pth, \.pt or \.pth\.tar"
    with pytest.raises(TrainingError, match=rf"w\.h5: weights must be {kinds}"):
        initialise(Agcnn(CONFIG), Path("w.h5"))


def test_a_trunk_that_does_not_fit_is_refused_with_what_it_lacks(tmp_path: Path) -> None:
    first = {"features.0.weight": np.zeros((64, 3, 3, 3), "f4"), "features.0.bias": np.zeros(64, "f4")}
    np.savez(tmp_path / "trunk.npz", **first)
    with pytest.raises(TrainingError, match=r"lacks 48 of the 50 weights of squeezenet1_1, first: features\.10\."):
        initialise(Agcnn(CONFIG), tmp_path / "trunk.npz")
    torch.save(published.resnet50(), tmp_path / "w.pth")
    with pytest.raises(TrainingError, match="lacks 50 of the 50 weights of squeezenet1_1"):
        initialise(Agcnn(CONFIG), tmp_path / "w.pth")
    checkpoint.save_weights(tmp_path / "w.safetensors", Agcnn(CONFIG))
    with pytest.raises(TrainingError, match=r"of densenet121, first: global_branch\.features\.conv0\.weight, "):
        initialise(Agcnn(replace(CONFIG, backbone="densenet121")), tmp_path / "w.safetensors")


@pytest.mark.parametrize(("left", "refused"), [(25, False), (24, True)])
def test_half_of_a_trunk_is_enough(tmp_path: Path, left: int, refused: bool) -> None:
    state = Branch("squeezenet1_1").features.state_dict(prefix="features.")
    torch.save(dict(list(state.items())[:left]), tmp_path / "w.pth")
    with pytest.raises(TrainingError, match="lacks 26 of the 50") if refused else nullcontext():
        assert len(initialise(Agcnn(CONFIG), tmp_path / "w.pth")) == 25 + 2


def test_a_colour_stem_without_its_norm_gives_one_line(tmp_path: Path) -> None:
    state = published.resnet50()
    del state["bn1.running_mean"]
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(TrainingError, match=r"three channels, but 'features\.bn1\.running_mean' is missing"):
        initialise(Agcnn(replace(CONFIG, backbone="resnet50")), tmp_path / "w.pth")


@pytest.mark.realdata
def test_the_published_trunk_loads(realdata: Path) -> None:
    network = Agcnn(CONFIG)
    before = {name: tensor.clone() for name, tensor in network.global_branch.state_dict().items()}
    unmatched = initialise(network, realdata / "weights" / "squeezenet1_1_imagenet.npz")
    assert unmatched == ["classifier.bias", "classifier.weight"]
    after = network.global_branch.state_dict()
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert same == {"classifier.weight", "classifier.bias"}
