import torch

from model.fusion import Fusion


def test_it_is_one_linear_layer_on_both_pooled_vectors() -> None:
    fusion = Fusion(3, findings=2)
    assert sum(parameter.numel() for parameter in fusion.parameters()) == 2 * (2 * 3 + 1)
    global_, local = torch.rand(4, 3), torch.rand(4, 3)
    weight = fusion.classifier.weight
    assert torch.allclose(fusion(global_, local), global_ @ weight[:, :3].T + local @ weight[:, 3:].T)
