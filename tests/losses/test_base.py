import pytest
import torch

from mmseg_kd.losses.base import AdversarialLoss, DistillLoss, check_same_shape, count_images, pairs

MAPS = torch.ones(2, 3, 4, 4)


class Product(DistillLoss):
    """The mean product, so that each side's gradient is the other's value."""

    def compute(self, student, teacher):
        assert student.dtype == torch.float32 and not torch.is_autocast_enabled(student.device.type)
        return (student * teacher).mean()


class Labels(DistillLoss):
    needs_labels, least_channels = True, 2

    def compute(self, student, teacher, labels):
        return labels.float().sum()


def test_the_teacher_gets_no_gradient_and_half_precision_is_raised():
    student, teacher = MAPS.bfloat16().requires_grad_(), MAPS.clone().requires_grad_()
    with torch.autocast('cpu', torch.bfloat16):
        Product()(student, teacher).backward()
    assert teacher.grad is None and student.grad.sum() == 1 and student.grad.dtype == torch.bfloat16


def test_labels_are_sampled_to_the_students_size():
    labels = torch.arange(64).reshape(1, 8, 8).repeat(2, 1, 1)
    loss = Labels()
    assert loss(MAPS, MAPS, labels) == loss.sample(labels, (4, 4)).sum() and loss.sample(labels, (4, 4)).shape[1:] == (
        4,
        4,
    )


@pytest.mark.parametrize(
    'loss, maps, message',
    [
        (Product(), (MAPS, MAPS, torch.zeros(2, 4, 4)), 'Product takes no labels, but labels came as Tensor'),
        (Labels(), (MAPS, MAPS), 'Labels needs labels, but labels came as NoneType'),
        (Labels(), (MAPS, MAPS, torch.zeros(1, 4, 4)), r'with N = 2, but got \(1, 4, 4\)'),
        (Labels(), (MAPS[:, :1], MAPS[:, :1]), 'cannot learn from less than 2 channels, but got 1; read "logits"'),
        (Product(), (MAPS, MAPS[:, :2]), r'equal shapes, but student is \(2, 3, 4, 4\) and teacher is \(2, 2, 4, 4\)'),
        (Product(), ((MAPS, MAPS), (MAPS,)), 'in pairs, but got 2 of the student and 1 of the teacher'),
    ],
)
def test_maps_that_cannot_be_compared_are_refused(loss, maps, message):
    with pytest.raises(ValueError, match=message):
        loss(*maps)


def test_the_denominator_counts_images_or_labeled_pixels():
    labels = torch.zeros(2, 4, 4, dtype=torch.long)
    labels[0, 0] = 255
    assert Product().denominator(MAPS, MAPS) == 2 == count_images((MAPS,))
    assert Labels().denominator(MAPS, MAPS, labels) == 2 * 16 - 4


def test_pairs_and_shapes():
    assert pairs(MAPS, MAPS) == ((MAPS, MAPS),)
    check_same_shape('Loss', MAPS, MAPS[:, :1], channels=False)
    with pytest.raises(ValueError, match='batch and spatial sizes'):
        check_same_shape('Loss', MAPS, MAPS[:1], channels=False)


def test_an_abstract_loss_is_not_built():
    for kind in (DistillLoss, AdversarialLoss):
        with pytest.raises(TypeError, match='abstract'):
            kind()
