import numpy as np
import pytest
import torch
from reference import assert_value, labels, maps, softmax

from mmseg_kd.losses import FAKDLoss, PixelWiseKDLoss
from mmseg_kd.testing.toys import toy_runner, toy_segmentor


def example(n=2, d=6, h=3, w=4, classes=5, scale=1.0):
    """(features, weight, bias), the teacher's logits, labels."""
    features, teacher = maps(n, d, h, w, channels=classes, scale=scale)
    weight, _ = maps(classes, d, 1, 1, seed=1)
    bias, _ = maps(classes, seed=2)
    return (features, weight, bias), teacher, labels(n, h, w, classes=classes)


def built(student, teacher, **settings):
    loss = FAKDLoss(**settings)
    loss.setup(student, teacher)
    return loss.double()


def shown(student, teacher, y, **settings):
    """In eval mode, with the variances of this batch."""
    loss = built(student, teacher, **settings)
    loss(student, teacher, y)
    return loss.eval()


def expected(student, teacher, y, strength, tau, variance):
    features, weight, bias = (x.numpy() for x in student)
    weight, total = weight[:, :, 0, 0], []
    for n, i, j in np.ndindex(*y.shape):
        if (k := int(y[n, i, j])) != 255:
            z = weight @ features[n, :, i, j] + bias
            q = softmax(teacher[n, :, i, j].numpy() / tau, 0)
            for c in range(len(q)):
                spread = [sum(variance[k] * (weight[o] - weight[c]) ** 2) for o in range(len(q))]
                terms = np.exp(z / tau + strength / (2 * tau**2) * np.array(spread))
                total.append(q[c] * (np.log(q[c]) - z[c] / tau + np.log(terms.sum())))
    return tau**2 * np.sum(total) / (y != 255).sum().item()


def class_variances(features, y, classes):
    rows = features.permute(0, 2, 3, 1)
    return [
        rows[y == k].var(0, correction=0).numpy() if (y == k).any() else np.zeros(rows.shape[-1])
        for k in range(classes)
    ]


@pytest.mark.parametrize('strength, tau', [(2.5, 1.0), (0.7, 3.0)])
@pytest.mark.parametrize('shape', [dict(), dict(n=1, d=2, h=5, w=3, classes=19), dict(n=3, h=1, w=1)])
def test_equals_the_formula(shape, strength, tau):
    student, teacher, y = example(**shape)
    y[0, 0, 0] = 1
    variance = class_variances(student[0], y, teacher.shape[1])
    loss = shown(student, teacher, y, strength=strength, temperature=tau)
    assert_value(loss, expected(student, teacher, y, strength, tau, variance), student, teacher, y)


def test_chunks_change_nothing():
    student, teacher, y = example()
    loss = shown(student, teacher, y)
    whole = loss(student, teacher, y)
    loss.chunk = 3 * 5**2
    torch.testing.assert_close(loss(student, teacher, y), whole)


def test_gradient_to_features_weight_and_bias():
    student, teacher, y = example(n=1, d=3, h=2, w=3, classes=4)
    loss = shown(student, teacher, y)
    loss.chunk = 2 * 4**2
    assert torch.autograd.gradcheck(lambda *s: loss(s, teacher, y), [x.clone().requires_grad_() for x in student])


@pytest.mark.parametrize('tau', [1.0, 3.0])
def test_without_strength_or_variance_it_is_pixelwise(tau):
    student, teacher, y = example()
    y[y == 255] = 0
    logits = torch.nn.functional.conv2d(*student)
    plain = PixelWiseKDLoss(tau)(logits, teacher)
    torch.testing.assert_close(shown(student, teacher, y, strength=0.0, temperature=tau)(student, teacher, y), plain)
    torch.testing.assert_close(built(student, teacher, temperature=tau).eval()(student, teacher, y), plain)


def test_it_bounds_the_mean_over_sampled_features_and_grows_with_strength():
    student, teacher, y = example(n=1, h=1, w=2)
    y[:] = 3
    values = []
    for strength in (0.0, 0.5, 1.0):
        loss = shown(student, teacher, y, strength=strength)
        values.append(loss(student, teacher, y))
    assert values[0] < values[1] < values[2]
    noise = torch.randn(4000, 6, 1, 2, dtype=torch.float64) * loss.statistics.variance[3].sqrt().reshape(1, 6, 1, 1)
    samples = torch.nn.functional.conv2d(student[0] + noise, *student[1:])
    sampled = PixelWiseKDLoss()(samples, teacher.expand(4000, -1, -1, -1))
    assert values[0] < sampled < values[2]


def test_one_vector_added_to_all_classes_changes_nothing():
    student, teacher, y = example()
    loss = shown(student, teacher, y)
    moved = (student[0], student[1] + torch.randn(1, 6, 1, 1, dtype=torch.float64), student[2])
    torch.testing.assert_close(loss(moved, teacher, y), loss(student, teacher, y))


def test_only_training_updates_the_statistics():
    student, teacher, y = example()
    loss = built(student, teacher)
    loss.eval()(student, teacher, y)
    assert loss.statistics.count.sum() == 0
    loss.train()(student, teacher, y)
    assert loss.statistics.count.sum() == (y != 255).sum()
    loss.train()(student, teacher, torch.full_like(y, 255))
    assert loss.statistics.count.sum() == (y != 255).sum()


def test_it_wants_a_classifier_that_fits():
    student, teacher, y = example()
    loss = built(student, teacher)
    with pytest.raises(ValueError, match=r'takes \(features, weight, bias\) of the student'):
        loss(student[0], teacher, y)
    with pytest.raises(ValueError, match=r'set up for \(classes, channels\) = \(5, 6\), but got \(4, 6\)'):
        loss(student, teacher[:, 1:], y)
    with pytest.raises(ValueError, match=r'set up for \(classes, channels\) = None'):
        FAKDLoss()(student, teacher, y)


@pytest.mark.parametrize('settings', [dict(strength=-1.0), dict(temperature=0.0)])
def test_settings_must_make_sense(settings):
    with pytest.raises(ValueError, match='FAKDLoss: strength must be >= 0 and temperature > 0'):
        FAKDLoss(**settings)


def test_the_paths_of_the_docstring_train(tmp_path):
    student = ['prelogits', 'decode_head.conv_seg.weight', 'decode_head.conv_seg.bias']
    runner = toy_runner(
        dict(
            type='Distiller',
            student=toy_segmentor(4),
            teacher=dict(model=toy_segmentor(8)),
            terms=dict(loss_fakd=dict(student=student, teacher='logits', loss=dict(type='FAKDLoss'))),
        ),
        tmp_path,
        max_iters=2,
    )
    runner.train()
    assert runner.message_hub.get_scalar('train/loss_fakd').current() > 0
    statistics = runner.model.terms['loss_fakd'].loss.statistics
    assert statistics.count.sum() > 0 and statistics.variance.max() > 0
