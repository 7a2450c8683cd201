from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from service.artefact.file import Artefact, load
from service.errors import ArtefactError, ConfigurationError, InferenceFailed
from service.inference import provider
from service.inference.session import Session, _options, buckets
from tests.artefacts import calibration, tiny_artefact, tiny_card, tiny_network


def test_outputs_have_the_shapes_of_the_contract(session: Session, canvases: np.ndarray) -> None:
    outputs = session.run(canvases[:1])[0]
    assert outputs.fusion.shape == outputs.global_.shape == outputs.local.shape == (14,)
    assert outputs.heat_map.shape == (3, 3)
    assert outputs.class_maps.shape == (14, 3, 3)
    assert outputs.fusion.dtype == outputs.class_maps.dtype == np.float32
    x0, y0, x1, y1 = outputs.box
    assert 0 <= x0 < x1 <= 1
    assert 0 <= y0 < y1 <= 1
    assert outputs.heat_map.min() == 0
    assert outputs.heat_map.max() == 1


def test_outputs_do_not_depend_on_the_batch(session: Session, canvases: np.ndarray) -> None:
    together = session.run(canvases)
    assert len({outputs.box for outputs in together}) > 1
    for canvas, outputs in zip(canvases, together, strict=True):
        alone = session.run(canvas[None])[0]
        np.testing.assert_allclose(alone.fusion, outputs.fusion, atol=1e-4)
        np.testing.assert_allclose(alone.box, outputs.box, atol=1e-4)


def test_outputs_agree_with_torch(session: Session, canvases: np.ndarray) -> None:
    torch = pytest.importorskip("torch")
    with torch.inference_mode():
        output = tiny_network()(torch.from_numpy(canvases))
    logits = np.stack([output.fusion.numpy(), output.global_.numpy(), output.local.numpy()])
    expected = calibration().probabilities(logits)
    got = session.run(canvases)
    # Weights in the file are rounded to float16, which may move a box and with it the crop.
    np.testing.assert_allclose([outputs.global_ for outputs in got], expected[1], atol=5e-3)
    np.testing.assert_allclose([outputs.fusion for outputs in got], expected[0], atol=5e-2)


def test_an_unchanged_artefact_passes_the_self_test(session: Session) -> None:
    session.prove(4)
    assert session.provider == "cpu"
    assert session.reason == "as configured"
    assert session.threads == 1


@pytest.mark.parametrize("output", ["fusion", "global", "local", "heat_map", "box"])
def test_a_wrong_golden_output_fails_the_self_test(artefact_path: Path, tmp_path: Path, output: str) -> None:
    golden = tiny_card(artefact_path)["golden"]
    values = golden[output][0] if output == "heat_map" else golden[output]
    values[0] += 0.01 if values[0] < 0.5 else -0.01
    session = Session(load(tiny_artefact(tmp_path, golden=golden)), "cpu", 1)
    with pytest.raises(ArtefactError, match=rf"golden self-test on cpu: {output} is off by 0\.01,") as caught:
        session.prove()
    assert caught.value.code == "golden_mismatch"


def test_other_weights_fail_the_self_test(artefact_path: Path, tmp_path: Path) -> None:
    model = onnx.load(artefact_path)
    tensor = next(tensor for tensor in model.graph.initializer if "global_branch.classifier.weight" in tensor.name)
    stored = onnx.numpy_helper.to_array(tensor)
    tensor.CopyFrom(onnx.numpy_helper.from_array(stored * stored.dtype.type(1.1), tensor.name))
    path = tmp_path / "other.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ArtefactError, match="is off by"):
        Session(load(path), "cpu", 1).prove()


@pytest.mark.parametrize(
    "wrong", [np.zeros((1, 128, 128), np.float32), np.zeros((1, 1, 64, 64), np.float32), np.zeros((1, 1, 128, 128))]
)
def test_another_shape_or_type_is_refused(session: Session, wrong: np.ndarray) -> None:
    with pytest.raises(InferenceFailed, match=r"expected float32 \[B, 1, 128, 128\], got"):
        session.run(wrong)


def test_an_output_that_is_not_finite_is_a_failure(session: Session, canvases: np.ndarray) -> None:
    bad = canvases[:2].copy()
    bad[1] = np.nan
    with pytest.raises(InferenceFailed, match="not finite"):
        session.run(bad)


def test_a_flat_canvas_has_finite_outputs(session: Session) -> None:
    outputs = session.run(np.zeros((1, 1, 128, 128), np.float32))[0]
    assert np.isfinite(outputs.fusion).all()


def test_float16_weights_are_converted_when_the_session_is_made(artefact: Artefact, tmp_path: Path) -> None:
    options = _options(1)
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    ort.InferenceSession(artefact.model, options, providers=["CPUExecutionProvider"])
    optimised = onnx.load(tmp_path / "optimised.onnx").graph
    float16 = {tensor.name for tensor in optimised.initializer if tensor.data_type == onnx.TensorProto.FLOAT16}
    assert not float16
    weights = {tensor.name for tensor in optimised.initializer}
    assert not [node for node in optimised.node if node.op_type == "Cast" and node.input[0] in weights]


def test_buckets_are_powers_of_two() -> None:
    assert [buckets(largest) for largest in (1, 2, 3, 8, 9)] == [
        (1,),
        (1, 2),
        (1, 2, 4),
        (1, 2, 4, 8),
        (1, 2, 4, 8, 16),
    ]


def test_on_a_gpu_batches_are_padded_to_a_bucket(
    session: Session, canvases: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    class Spy:
        def run(self, names: Any, feeds: dict[str, np.ndarray]) -> Any:
            sizes.append(len(feeds["image"]))
            return real.run(names, feeds)

    real = session._session
    monkeypatch.setattr(session, "_session", Spy())
    monkeypatch.setattr(session, "provider", "cuda")
    assert len(session.run(canvases[:3])) == 3
    session.prove(5)
    assert sizes == [4, 1, 2, 4, 8]


def test_a_gpu_that_onnx_runtime_cannot_use_is_an_error(artefact: Artefact, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without cuDNN there is a GPU, but ONNX Runtime silently makes the session on the CPU."""
    monkeypatch.setattr(provider, "_cuda_obstacle", lambda: None)
    real = ort.InferenceSession
    monkeypatch.setattr(ort, "InferenceSession", lambda model, options, providers: real(model, options, providers[1:]))
    for setting in ("auto", "cuda"):
        with pytest.raises(ConfigurationError, match="could not load CUDA 13 or cuDNN 9") as caught:
            Session(artefact, setting, 1)  # type: ignore[arg-type]
        assert caught.value.code == "provider_unavailable"


def test_a_broken_model_is_an_error(artefact: Artefact) -> None:
    with pytest.raises(ArtefactError, match="no session on cpu"):
        Session(replace(artefact, model=b""), "cpu", 1)
