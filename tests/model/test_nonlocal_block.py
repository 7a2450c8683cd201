import math

import numpy as np
import torch

from model.nonlocal_block import NonLocal, nonlocal_resnet50
from model.resnet import resnet50
from tests.model import by_hand, published


def test_two_positions_by_hand() -> None:
    block = NonLocal(2).eval()
    for layer, weights in ((block.theta, [1.0, 0.0]), (block.phi, [0.0, 1.0]), (block.g, [1.0, 1.0])):
        layer.weight.data = torch.tensor(weights).reshape(1, 2, 1, 1)
    block.w_z.weight.data = torch.tensor([1.0, 10.0]).reshape(2, 1, 1, 1)
    block.bn.weight.data.fill_(1)
    block.bn.eps = 0
    x = torch.tensor([[[[0.0, 1.0]], [[0.0, math.log(3)]]]])  # [1, 2, 1, 2]
    # theta 0 1, phi 0 ln 3, g 0 1 + ln 3: the first position has equal weights, the second has 3/4 for itself
    g = 1 + math.log(3)
    y = torch.tensor([g / 2, 3 * g / 4])
    torch.testing.assert_close(block(x)[0, :, 0], x[0, :, 0] + torch.stack([y, 10 * y]))


def test_a_block_equals_a_loop_over_all_pairs_of_positions() -> None:
    block, x = by_hand.trained(NonLocal(64)), torch.randn(2, 64, 3, 4)
    expected = by_hand.non_local(x.double().numpy(), by_hand.of(block))
    np.testing.assert_allclose(block(x).detach().numpy(), expected, rtol=1e-4, atol=1e-5)


def test_a_position_attends_to_the_farthest_one() -> None:
    block, x = by_hand.trained(NonLocal(8)), torch.randn(1, 8, 9, 9, requires_grad=True)
    block(x)[0, :, 0, 0].sum().backward()
    assert x.grad is not None
    assert x.grad.any(1).all()


def test_the_block_is_before_the_last_of_six_which_keep_their_names() -> None:
    trunk = nonlocal_resnet50()
    children = [name for name, _ in trunk.get_submodule("layer3").named_children()]
    assert children == ["0", "1", "2", "3", "4", "non_local", "5"]
    own = {name for name in trunk.state_dict() if ".non_local." not in name}
    assert own == {name for name in published.resnet50() if not name.startswith("fc.")}


def test_it_adds_four_projections_and_a_batch_norm() -> None:
    with torch.device("meta"):
        more = sum(p.numel() for p in nonlocal_resnet50().parameters()) - sum(
            p.numel() for p in resnet50().parameters()
        )
    assert more == 3 * (1024 * 512 + 512) + 512 * 1024 + 2 * 1024


def test_it_is_initialised_as_the_plain_network() -> None:
    plain, other = by_hand.trained(resnet50()), nonlocal_resnet50().eval()
    other.load_state_dict(plain.state_dict(), strict=False)
    image = torch.randn(2, 1, 64, 64)
    assert torch.equal(other(image), plain(image))


def test_forward_equals_the_computation_by_hand() -> None:
    trunk, image = by_hand.trained(nonlocal_resnet50()), torch.randn(1, 1, 64, 96)
    expected = by_hand.resnet50(image.double().numpy(), by_hand.of(trunk))
    with torch.no_grad():
        output = trunk(image).numpy()
    np.testing.assert_allclose(output, expected, rtol=1e-4, atol=1e-5 * expected.max())


def test_one_small_image_trains_every_parameter() -> None:
    trunk = by_hand.trained(nonlocal_resnet50()).train()
    trunk(torch.rand(1, 1, 64, 64)).square().sum().backward()
    still = [name for name, parameter in trunk.named_parameters() if parameter.grad is None or not parameter.grad.any()]
    # A bias of the keys adds a constant to all scores of a query, which does not change the softmax.
    assert set(still) <= {"layer3.non_local.phi.bias"}


def test_initial_attention_is_nearly_uniform() -> None:
    """For features with standard deviation 1, no position has a weight near 1."""
    block, x = NonLocal(1024), torch.randn(1, 1024, 14, 14)
    with torch.no_grad():
        scores = torch.einsum("bci,bcj->bij", block.theta(x).flatten(2), block.phi(x).flatten(2))
    assert scores.std() < 5


def test_the_block_learns_from_its_first_step() -> None:
    block = NonLocal(16)
    block(torch.randn(2, 16, 4, 4)).square().sum().backward()
    assert block.bn.weight.grad is not None
    assert block.bn.weight.grad.any()
