import numpy as np
import pytest
import torch
from mmseg.registry import MODELS

from mmseg_kd.distillers.class_logits import prediction_logits, prediction_shares
from mmseg_kd.distillers.inference import forward_inference
from mmseg_kd.models import ClassMap, map_classes, read_class_map
from mmseg_kd.testing.toys import toy_batch, toy_segmentor

THEIRS = ['sky', 'car', 'bus', 'tree', 'van']
GROUPS = {'vehicle': ['Car', 'van'], 'logo': [], 'plant': 'tree', 'sky': 0}


def by_hand(logits):
    """Equation of the docstring in float64; class 1 has no sources."""
    shares = np.exp(logits.double().numpy())
    shares /= shares.sum(1, keepdims=True)
    return np.stack([shares[:, 1] + shares[:, 4], 0 * shares[:, 0], shares[:, 3], shares[:, 0]], axis=1)


def test_probabilities_are_added_up():
    class_map = ClassMap(GROUPS, THEIRS)
    assert class_map.sources == [[1, 4], [], [3], [0]]
    assert class_map.known == [0, 2, 3] and class_map.unused == ['bus']
    logits = 5 * torch.randn(2, 5, 3, 4)
    assert np.allclose(class_map(logits).exp().numpy(), by_hand(logits), rtol=1e-4, atol=1e-30)


def test_extreme_logits_and_half_precision_stay_finite():
    class_map = ClassMap(GROUPS, THEIRS)
    logits = torch.tensor([0.0, 1e4, -1e4, 30.0, -30.0]).reshape(1, 5, 1, 1)
    for given in (logits, logits.to(torch.bfloat16)):
        with torch.autocast('cpu', torch.bfloat16):
            found = class_map(given)
        assert found.dtype == torch.float32 and torch.isfinite(found).all() and found[0].argmax() == 0


@pytest.mark.parametrize('cascade', [False, True])
@pytest.mark.parametrize('num_classes', [5, 2])
def test_a_segmentor_predicts_in_the_new_classes(cascade, num_classes):
    cfg = toy_segmentor(num_classes=num_classes)
    if num_classes == 2:
        cfg['decode_head'].update(out_channels=1, threshold=0.3)
    groups = GROUPS if num_classes == 5 else {'a': 1, 'b': [], 'c': 0}
    if cascade:
        last = dict(cfg['decode_head'], type='OCRHead', ocr_channels=8)
        last.pop('pool_scales', None)
        cfg.update(type='CascadeEncoderDecoder', num_stages=2, decode_head=[cfg['decode_head'], last])
    plain = MODELS.build(cfg).eval()
    batch = plain.data_preprocessor(toy_batch(), False)
    metas = [dict(sample.metainfo, ori_shape=(64, 64)) for sample in batch['data_samples']]
    with torch.no_grad():
        before = prediction_logits(plain, plain.encode_decode(batch['inputs'], metas))
        low = forward_inference(plain, batch['inputs'], ['logits'])['logits']
        class_map = ClassMap(groups, num_classes if num_classes == 2 else THEIRS)
        mapped = map_classes(plain, class_map)
        after = mapped.encode_decode(batch['inputs'], metas)
        values = forward_inference(mapped, batch['inputs'], ['logits', 'backbone[1]'])
        samples = mapped.predict(batch['inputs'], batch['data_samples'])
    torch.testing.assert_close(after, class_map(before))
    torch.testing.assert_close(values['logits'], class_map(low))
    assert mapped.num_classes == mapped.out_channels == len(groups)
    shares = prediction_shares(mapped, samples[0].seg_logits.data)
    assert shares.shape[0] == len(groups) and shares[1].max() < 1e-30
    assert (samples[0].pred_sem_seg.data[0] == shares.argmax(0)).all()


def test_windows_slide_in_the_new_classes():
    cfg = toy_segmentor(num_classes=5)
    cfg.test_cfg = dict(mode='slide', crop_size=(32, 32), stride=(16, 16))
    mapped = map_classes(MODELS.build(cfg).eval(), ClassMap(GROUPS, THEIRS))
    with torch.no_grad():
        logits = mapped.inference(torch.randn(1, 3, 48, 64), [dict(ori_shape=(48, 64))])
    assert logits.shape == (1, 4, 48, 64)


@pytest.mark.parametrize(
    'groups,classes,message',
    [
        ({'a': ['truck']}, THEIRS, r"class_map.a: the teacher has no class 'truck' \(closest: .*\); it has sky, car"),
        ({'a': 5}, THEIRS, 'class_map.a: classes of the teacher have indices 0 to 4, but 5 is given'),
        ({'a': -1}, 3, 'indices 0 to 2, but -1 is given'),
        ({'a': 'car'}, 3, r"names of the teacher's classes are unknown, but 'car' is given; set classes"),
        ({'a': ['car', 'bus'], 'b': 1}, THEIRS, "class 'car' of the teacher is used twice"),
        ({'a': [], 'b': []}, THEIRS, 'class_map names no class of the teacher'),
        ({}, THEIRS, 'class_map must map each class of the data set'),
        (['car'], THEIRS, r"class_map must map each class .*, but is \['car'\]"),
        ({0: 'car', 2: 'bus'}, THEIRS, r'or the indices 0 to 1, but has \[0, 2\]'),
    ],
)
def test_wrong_maps_are_refused(groups, classes, message):
    with pytest.raises(ValueError, match=message):
        ClassMap(groups, classes)


def test_maps_are_read_from_files(tmp_path):
    (tmp_path / 'classes.json').write_text('{"a": ["car", 2], "b": []}')
    assert read_class_map(str(tmp_path / 'classes.json')) == {'a': ['car', 2], 'b': []}
    for name, content, message in (
        ('list.yml', '[a, b]', "list.yml must map each class of the data set to classes of the teacher, .*'b'"),
        ('broken.yml', 'a: [b', 'broken.yml cannot be read'),
        ('classes.txt', 'a: b', 'must be a .yml, .yaml or .json file'),
    ):
        (tmp_path / name).write_text(content)
        with pytest.raises(ValueError, match=message):
            read_class_map(str(tmp_path / name))
    with pytest.raises(FileNotFoundError, match='there is no file of classes'):
        read_class_map(str(tmp_path / 'none.yml'))
