import math

import pytest
import torch

from mmseg_kd.evaluation.output_knowledge import OutputKnowledge


def test_entropy_counts_where_it_is_right_and_certainty_where_labels_are_missing():
    shares = torch.tensor([[[0.9, 0.5, 0.25, 0.6, 0.2]], [[0.1, 0.5, 0.75, 0.4, 0.7]]])
    predicted, labels = torch.tensor([[0, 0, 1, 0, 1]]), torch.tensor([[255, 0, 1, 1, 255]])
    found = OutputKnowledge.of(shares, predicted, labels)
    entropies = math.log(2), -0.25 * math.log(0.25) - 0.75 * math.log(0.75)
    assert found.mean_entropy == pytest.approx(sum(entropies) / 2)
    assert (found.right, found.ignored, found.sure, found.pixels) == (2, 2, 1, 5)
    both = found + found
    assert both.mean_entropy == pytest.approx(found.mean_entropy) and both.pixels == 10


def test_left_out_classes_make_it_unsure_and_do_not_change_the_entropy():
    shares = torch.tensor([[[0.45, 0.0, 0.3]], [[0.45, 0.0, 0.1]]])
    found = OutputKnowledge.of(shares, torch.tensor([[0, 0, 0]]), torch.tensor([[0, 0, 255]]))
    assert found.entropy == pytest.approx(math.log(2)) and found.sure == 0
