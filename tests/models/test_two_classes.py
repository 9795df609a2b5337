import torch

from mmseg_kd.models.two_classes import two_classes


def test_one_channel_is_two_classes_and_more_stay_as_they_are():
    z = torch.tensor([[[[3.0, -1.0]]]])
    assert two_classes(z).flatten(2).tolist() == [[[-1.5, 0.5], [1.5, -0.5]]]
    assert two_classes(torch.tensor([[4.0, -2.0]]), dim=0).tolist() == [[-2.0, 1.0], [2.0, -1.0]]
    torch.testing.assert_close((two_classes(z) / 5).softmax(1)[:, 1:], (z / 5).sigmoid())
    assert two_classes(z.expand(1, 3, 1, 2)).shape[1] == 3
