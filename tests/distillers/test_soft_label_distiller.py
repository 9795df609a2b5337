import copy

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.registry import DATASETS, MODELS
from PIL import Image

from mmseg_kd.distillers import PathError
from mmseg_kd.distillers.soft_label_distiller import soft_logits
from mmseg_kd.engine.export import export_student
from mmseg_kd.labeling import Labeler, find_images, write_labels
from mmseg_kd.testing.toys import toy_batch, toy_runner, toy_segmentor

TEMPERATURE, WEIGHT, STRIDE = 8.0, 0.1, 8  # that of the toy's logits
TERMS = dict(
    loss_kl=dict(
        student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss', temperature=TEMPERATURE), weight=WEIGHT
    )
)


def build(terms=TERMS, **settings):
    return MODELS.build(dict(type='SoftLabelDistiller', student=toy_segmentor(), terms=terms, **settings))


def soft(logits, k):
    """What a labeler that has these logits (C, h, w) leaves on disk, and a pipeline packs."""
    shares, classes = logits.softmax(0).topk(k, dim=0)
    rest = (1 - shares.sum(0, keepdim=True)).clamp_min(0)
    return PixelData(metainfo=dict(stride=STRIDE), classes=classes.byte(), shares=torch.cat([shares, rest]).half())


def batch(k, size=32, num_classes=4):
    """Images, labels, and soft labels of a teacher that is made up; of images that are smaller, these are too."""
    data = toy_batch(size=size)
    teacher = 3 * torch.randn(
        2, num_classes, size // STRIDE, size // STRIDE, generator=torch.Generator().manual_seed(1)
    )
    for sample, logits in zip(data['data_samples'], teacher):
        sample.soft_labels = soft(logits, k)
    return data, teacher


def student_logits(model, inputs):
    """In training mode, as the loss sees them; dropout is off."""
    model.student.decode_head.dropout = None
    return model.student.decode_head(model.student.extract_feat(inputs)).detach().double().numpy()


def softened(logs):
    shares = np.exp((logs - logs.max(0)) / TEMPERATURE)
    return shares / shares.sum(0)


def divergence_by_hand(student, samples, labels, num_classes=4):
    """Mean over the labeled pixels, in nats, times the squared temperature; in float64, pixel by pixel."""
    values = []
    for n, sample in enumerate(samples):
        classes, shares = sample.soft_labels.classes.numpy(), sample.soft_labels.shares.double().numpy()
        for y, x in np.ndindex(*classes.shape[1:]):
            if labels[n, y * STRIDE, x * STRIDE] == 255:
                continue
            full = np.full(num_classes, shares[-1, y, x] / max(1, num_classes - len(classes)))
            full[classes[:, y, x]] = shares[:-1, y, x]
            target = softened(np.log(np.maximum(full, 2.0**-24)))
            values.append((target * np.log(target / softened(student[n, :, y, x]))).sum())
    return TEMPERATURE**2 * np.mean(values)


@pytest.mark.parametrize('size', [32, 24])  # the preprocessor pads to 32
@pytest.mark.parametrize('k', [1, 3, 4])
def test_is_the_divergence_from_what_is_stored(k, size):
    model = build()
    data, _ = batch(k, size)
    data = model.data_preprocessor(data, True)
    student = student_logits(model, data['inputs'])
    losses = model(**data, mode='loss')
    labels = np.stack([sample.gt_sem_seg.data[0].numpy() for sample in data['data_samples']])
    assert student.shape[2:] == (4, 4) and (labels[:, size:] == 255).all()
    expected = WEIGHT * divergence_by_hand(student, data['data_samples'], labels)
    assert losses['loss_kl'].item() == pytest.approx(expected, rel=1e-4)
    assert {'decode.loss_ce', 'aux.loss_ce'} <= losses.keys()


def test_with_all_classes_it_is_the_teacher_itself():
    data, teacher = batch(k=4)
    stored = torch.stack([soft_logits(sample.soft_labels, 4) for sample in data['data_samples']]).double()
    expected = (teacher.double() / TEMPERATURE).softmax(1)
    # Half precision: about a thousandth, but for shares of less than 6e-5.
    assert ((stored / TEMPERATURE).softmax(1) / expected - 1).abs().max() < 1e-2


def test_what_is_left_is_shared_by_the_others_and_nothing_is_impossible():
    labels = PixelData(
        classes=torch.tensor([[[2, 0]], [[0, 3]]], dtype=torch.uint8),
        shares=torch.tensor([[[0.5, 1.0]], [[0.25, 0.0]], [[0.25, 0.0]]]).half(),
    )
    found = soft_logits(labels, 4).exp()[:, 0].T.tolist()
    assert found[0] == pytest.approx([0.25, 0.125, 0.5, 0.125]) and found[1] == pytest.approx([1] + [2**-24] * 3)


def test_what_the_soft_labels_say_where_nothing_is_labeled_does_not_matter():
    model = build()
    data, _ = batch(k=3)
    void, known = copy.deepcopy(data), copy.deepcopy(data)
    for row, item in ((0, void), (1, known)):  # the first two rows of labels are void, and so is what is sampled there
        for sample in item['data_samples']:
            sample.soft_labels.classes[:, row] = sample.soft_labels.classes[:, row].flip(0)
    losses = []
    for item in (data, void, known):
        torch.manual_seed(0)
        losses.append(model(**model.data_preprocessor(item, True), mode='loss')['loss_kl'])
    assert torch.equal(losses[0], losses[1]) and not torch.equal(losses[0], losses[2])


def test_there_is_no_teacher():
    model = build()
    assert model.teachers == {} and all(name.startswith('student.') for name in model.state_dict())
    losses = model(**model.data_preprocessor(batch(k=2)[0], True), mode='loss')
    losses['loss_kl'].backward()
    assert model.student.decode_head.conv_seg.weight.grad.abs().max() > 0


def test_what_does_not_fit_is_said():
    with pytest.raises(PathError, match='loss_kl.teacher: soft labels hold "logits" only, but "backbone.3." is read'):
        build(dict(loss_kl=dict(TERMS['loss_kl'], student='backbone[3]', teacher='backbone[3]')))
    model = build()
    with pytest.raises(ValueError, match=r"the data samples have none; load them with dict\(type='LoadSoftLabels'\)"):
        model(**model.data_preprocessor(toy_batch(), True), mode='loss')
    with pytest.raises(ValueError, match='model.terms.loss_kl needs loss; add model.terms.loss_kl.loss'):
        build(dict(loss_kl=dict(student='logits', teacher='logits')))


def test_learns_from_files_and_leaves_a_plain_student(tmp_path):
    random = np.random.default_rng(0)
    (tmp_path / 'images').mkdir()
    for number in range(3):
        Image.fromarray(random.integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(
            tmp_path / 'images' / f'{number}.png'
        )
    images = str(tmp_path / 'images')
    write_labels(
        lambda path: torch.from_numpy(random.dirichlet([1.0] * 4, (40, 50))).permute(2, 0, 1).float(),
        find_images(images),
        images,
        str(tmp_path / 'labels'),
        ['Sky', 'Building', 'Pole', 'Road'],
        top_k=2,
    )
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations'),
        dict(type='LoadSoftLabels'),
        dict(type='RandomResize', scale=(50, 40), ratio_range=(0.5, 1.5), keep_ratio=True),
        dict(type='RandomCrop', crop_size=(32, 32)),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PackSoftSegInputs', stride=STRIDE),
    ]
    dataset = DATASETS.build(
        dict(type='PseudoLabelDataset', images=images, labels=str(tmp_path / 'labels'), pipeline=pipeline)
    )
    model = dict(type='SoftLabelDistiller', student=toy_segmentor(), terms=TERMS)
    runner = toy_runner(
        model,
        tmp_path / 'run',
        max_iters=3,
        train_dataloader=dict(
            dataset=dataset,
            batch_size=2,
            num_workers=0,
            sampler=dict(type='InfiniteSampler', shuffle=True),
            collate_fn=dict(type='pseudo_collate'),
        ),
        custom_hooks=[dict(type='DistillSummaryHook')],
    )
    runner.train()
    assert 0 < runner.message_hub.get_scalar('train/loss_kl').current() < 10
    runner.cfg.test_dataloader = dict(
        dataset=dict(
            type='CamVidDataset',
            metainfo=dict(classes=('Sky', 'Building', 'Pole', 'Road')),
            pipeline=[pipeline[0], dict(type='PackSegInputs')],
        )
    )
    export_student(runner.cfg, tmp_path / 'run' / 'iter_3.pth', tmp_path / 'student')
    for checkpoint in (tmp_path / 'run' / 'iter_3.pth', tmp_path / 'student' / 'student.pth'):
        assert Labeler(runner.cfg, str(checkpoint))(f'{images}/0.png').shape == (4, 40, 50)


def test_a_true_label_that_is_ignored_may_be_of_no_class():
    labels = PixelData(
        classes=torch.tensor([[[2, 100]]], dtype=torch.uint8), shares=torch.tensor([[[1.0, 1.0]], [[0.0, 0.0]]])
    )
    logits = soft_logits(labels, 4)
    assert logits.shape == (4, 1, 2) and torch.isfinite(logits).all() and logits[:, 0, 0].argmax() == 2
