import mmcv
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmseg.datasets.transforms import LoadAnnotations
from mmseg.registry import MODELS
from PIL import Image

from mmseg_kd.labeling import Labeler, write_labels
from mmseg_kd.testing.toys import toy_segmentor

LOAD = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(48, 32), keep_ratio=True),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]


@pytest.fixture
def config(tmp_path):
    network = toy_segmentor(num_classes=11)
    torch.manual_seed(0)
    torch.save(dict(state_dict=MODELS.build(network).state_dict()), tmp_path / 'weights.pth')
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 61, 3), dtype=np.uint8)).save(tmp_path / 'image.png')
    return Config(
        dict(
            model=network,
            test_dataloader=dict(dataset=dict(type='CamVidDataset', data_root='/nowhere', pipeline=LOAD)),
            tta_pipeline=[
                LOAD[0],
                dict(
                    type='TestTimeAug',
                    transforms=[
                        [dict(type='Resize', scale_factor=ratio) for ratio in (0.5, 1.0)],
                        [dict(type='RandomFlip', prob=prob, direction='horizontal') for prob in (0.0, 1.0)],
                        [dict(type='LoadAnnotations')],
                        [dict(type='PackSegInputs')],
                    ],
                ),
            ],
        )
    )


def by_hand(config, folder, scale, flip=False):
    """Preprocess, run, resize to the image and take the softmax, without a pipeline."""
    model = MODELS.build(config.model).eval()
    model.load_state_dict(torch.load(folder / 'weights.pth')['state_dict'])

    resized = mmcv.imresize(np.asarray(Image.open(folder / 'image.png')), scale)
    image = torch.from_numpy(resized.copy()).permute(2, 0, 1)[None].float()
    mean, std = (getattr(model.data_preprocessor, name).reshape(1, 3, 1, 1) for name in ('mean', 'std'))
    image = (image - mean) / std
    with torch.no_grad():
        logits = model(image.flip(3) if flip else image, mode='tensor')
        logits = torch.nn.functional.interpolate(logits, size=image.shape[2:], mode='bilinear')
        logits = torch.nn.functional.interpolate(logits.flip(3) if flip else logits, size=(40, 61), mode='bilinear')
    return logits.softmax(1)[0]


def test_probabilities_have_the_size_of_the_image_whatever_the_network_sees(config, tmp_path):
    labeler = Labeler(config, str(tmp_path / 'weights.pth'))
    probabilities = labeler(str(tmp_path / 'image.png'))
    assert probabilities.shape == (11, 40, 61)
    torch.testing.assert_close(probabilities, by_hand(config, tmp_path, (48, 31)), rtol=1e-4, atol=1e-5)
    assert labeler.classes[0] == 'Sky' and labeler.palette[0] == [128, 128, 128]


def test_augmented_views_are_averaged(config, tmp_path):
    probabilities = Labeler(config, str(tmp_path / 'weights.pth'), tta=True)(str(tmp_path / 'image.png'))
    views = [by_hand(config, tmp_path, scale, flip) for scale in ((31, 20), (61, 40)) for flip in (False, True)]
    torch.testing.assert_close(probabilities, sum(views) / 4, rtol=1e-4, atol=1e-5)
    config.pop('tta_pipeline')
    with pytest.raises(ValueError, match='must have a tta_pipeline'):
        Labeler(config, str(tmp_path / 'weights.pth'), tta=True)


def test_of_a_distiller_the_student_labels(config, tmp_path):
    distilled = Config(dict(config, model=dict(type='Distiller', student=config.model, teacher=dict(config='gone.py'))))
    image, weights = str(tmp_path / 'image.png'), str(tmp_path / 'weights.pth')
    assert torch.equal(Labeler(distilled, weights)(image), Labeler(config, weights)(image))


def test_what_does_not_fit_is_said(config, tmp_path):
    (tmp_path / 'text.png').write_text('no image')
    labeler = Labeler(config, str(tmp_path / 'weights.pth'))
    for name in ('text.png', 'nowhere.png'):
        with pytest.raises(ValueError, match=f"{name} can't be read as an image"):
            labeler(str(tmp_path / name))
    with pytest.raises(ValueError, match='no such checkpoint'):
        Labeler(config, str(tmp_path / 'nowhere.pth'))
    with pytest.raises(ValueError, match='EncoderDecoder needs a checkpoint; pass its path'):
        Labeler(config, None)
    config.test_dataloader.dataset.metainfo = dict(classes=('Sky', 'Road'))
    with pytest.raises(ValueError, match='predicts 11 classes, but the data set CamVidDataset has 2'):
        Labeler(config, str(tmp_path / 'weights.pth'))


class LoadOwnLabels(LoadAnnotations):
    """A user's, which finds no labels of images that are to be labeled."""


def test_a_wrapped_data_set_and_a_users_loader_of_labels_do(config, tmp_path):
    image, weights = str(tmp_path / 'image.png'), str(tmp_path / 'weights.pth')
    expected = Labeler(config, weights)(image)
    plain = config.test_dataloader.dataset
    plain.pipeline[2] = dict(type=LoadOwnLabels)
    config.test_dataloader.dataset = dict(type='ConcatDataset', datasets=[plain, dict(plain)])
    labeler = Labeler(config, weights)
    assert torch.equal(labeler(image), expected) and labeler.classes[0] == 'Sky'


def test_an_image_that_the_network_fails_on_is_named_and_is_not_called_unreadable(config, tmp_path, monkeypatch):
    labeler = Labeler(config, str(tmp_path / 'weights.pth'))

    def full(*args, **kwargs):
        raise torch.OutOfMemoryError('CUDA out of memory.\nTried to allocate 2 GiB')

    monkeypatch.setattr(labeler._model, 'encode_decode', full)
    words = (
        r'image.png: the network or the test pipeline failed on this image, which had 31x48 pixels at that point '
        r'\(OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB\); .*mode=.slide.'
    )
    with pytest.raises(RuntimeError, match=words):
        labeler(str(tmp_path / 'image.png'))
    with pytest.raises(RuntimeError, match=words):
        write_labels(
            labeler, ['image.png'], str(tmp_path), str(tmp_path / 'out'), labeler.classes, skip_unreadable=True
        )


def test_labels_in_the_classes_of_a_map(config, tmp_path):
    image, weights = str(tmp_path / 'image.png'), str(tmp_path / 'weights.pth')
    plain = Labeler(config, weights)
    groups = {'nature': ['Tree', 'Sky'], 'logo': [], 'road': 'road'}
    mapped = Labeler(config, weights, class_map=groups)
    assert mapped.classes == ['nature', 'logo', 'road'] and mapped.palette is None
    before, after = plain(image), mapped(image)
    sky, tree, road = (plain.classes.index(name) for name in ('Sky', 'Tree', 'Road'))
    # Probabilities are resized as logarithms, here and there.
    torch.testing.assert_close(after[0], before[sky] + before[tree], atol=0.03, rtol=0)
    torch.testing.assert_close(after[2], before[road], atol=0.03, rtol=0)
    # What the map leaves out is lost.
    assert after[1].max() < 1e-30 and after.sum(0).max() < 0.9
