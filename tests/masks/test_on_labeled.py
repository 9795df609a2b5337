import torch

from mmseg_kd.masks import OnLabeled


def test_all_but_void_counts():
    y = torch.tensor([[[0, 255], [254, 3]]])
    assert OnLabeled(dict(type='HintLoss')).counted(None, None, y).tolist() == [[[True, False], [True, True]]]
