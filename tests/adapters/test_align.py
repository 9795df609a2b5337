import torch

from mmseg_kd.adapters import align


def test_maps_go_to_the_students_grid():
    teacher = torch.tensor([[[[0.0, 1.0], [2.0, 3.0]]]])
    assert align(teacher, torch.zeros(1, 1, 1, 1)).item() == 1.5
    assert align(teacher, torch.zeros(1, 7, 3, 5)).shape == (1, 1, 3, 5)


def test_equal_grids_and_other_tensors_are_left_alone():
    teacher = torch.randn(1, 2, 3, 3)
    assert align(teacher, torch.zeros(1, 5, 3, 3)) is teacher
    tokens = torch.randn(1, 9, 2)
    assert align(tokens, torch.zeros(1, 5, 3, 3)) is tokens
