import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from training.data.cache import Canvases
from training.evaluation import predictions
from training.evaluation.inference import logits, macro_auroc


def brightness(canvas: Tensor) -> Tensor:
    """Fifteen outputs: the mean, and its multiples."""
    mean: Tensor = canvas.mean((1, 2, 3))[:, None]
    return mean * mean.new_tensor(range(15))


def test_every_image_has_a_row_and_no_finding_has_no_column(canvases: Canvases) -> None:
    scores = logits(Fabric(accelerator="cpu"), brightness, canvases)
    expected = canvases.pixels.mean((1, 2), np.float64)[:, None] / 255 * np.arange(14)
    np.testing.assert_allclose(scores, expected, rtol=1e-5)


def test_the_macro_score_is_sklearn_s_mean() -> None:
    draw = np.random.default_rng(0)
    targets, scores = draw.integers(0, 2, (30, 3)).astype(np.float32), draw.random((30, 3)).astype(np.float32)
    expected = np.mean([roc_auc_score(targets[:, label], scores[:, label]) for label in range(3)])
    assert macro_auroc(scores, targets) == pytest.approx(expected)
    assert macro_auroc(scores, np.zeros_like(targets)) is None


def test_predictions_are_computed_without_tf32(canvases: Canvases) -> None:
    """Only the switches are tested: TF32 exists on NVIDIA's GPUs alone."""
    backends = (torch.backends.cuda.matmul, torch.backends.cudnn)

    class Seen(nn.Linear):
        def forward(self, canvas: Tensor) -> Tensor:
            raise RuntimeError([backend.allow_tf32 for backend in backends])

    before = [backend.allow_tf32 for backend in backends]
    for backend in backends:
        backend.allow_tf32 = True
    try:
        with pytest.raises(RuntimeError, match=r"\[False, False\]"):
            predictions.predict(Seen(1, 1), canvases)  # type: ignore[arg-type]
        assert all(backend.allow_tf32 for backend in backends)
    finally:
        for backend, allowed in zip(backends, before, strict=True):
            backend.allow_tf32 = allowed
