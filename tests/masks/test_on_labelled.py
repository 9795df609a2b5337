import torch

from mmseg_kd.masks import OnLabelled


def test_all_but_void_counts():
    y = torch.tensor([[[0, 255], [254, 3]]])
    assert OnLabelled(dict(type='HintLoss')).counted(None, None, y).tolist() == [[[True, False], [True, True]]]
