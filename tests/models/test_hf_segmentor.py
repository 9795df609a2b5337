import copy
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.optim import OptimWrapper
from mmseg.datasets import CityscapesDataset
from mmseg.registry import MODELS

from mmseg_kd.distillers import FrozenTeacher
from mmseg_kd.distillers.dry_run import build_skeleton, run_skeleton
from mmseg_kd.testing.toys import toy_batch, toy_segmentor

transformers = pytest.importorskip('transformers')

from mmseg_kd.testing.hf_networks import KINDS, write_hf_network  # noqa: E402

NAMES = ('road', 'Side-Walk', 'building, edifice', 'sky')
FEATURES = 'backbone.network.model.pixel_level_module.decoder.mask_projection'


def blocks(*size, num=2):
    """Images of large patches, for which random networks answer with more than one class."""
    return F.interpolate(3 * torch.randn(num, 3, 5, 6, generator=torch.Generator().manual_seed(0)), size=size)


IMAGES = blocks(64, 96)


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
    torch.manual_seed(0)
    return {kind: str(write_hf_network(tmp_path_factory.mktemp(kind), kind, NAMES)) for kind in KINDS}


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


def build(folder, **settings):
    return MODELS.build(dict(type='HFSegmentor', pretrained=folder, **settings)).eval()


def library_answer(kind, folder, images):
    """The answer of the library's own network, fed as its own processor feeds it."""
    name, network, _ = KINDS[kind]
    network = getattr(transformers, network).from_pretrained(folder).eval()
    processor = getattr(transformers, f'{name}ImageProcessor').from_pretrained(folder)
    feed = {}
    if kind == 'oneformer':
        tokenizer = transformers.CLIPTokenizer.from_pretrained(folder)
        texts = transformers.OneFormerProcessor(processor, tokenizer, task_seq_length=24)
        feed['task_inputs'] = texts._preprocess_text(['the task is semantic'] * len(images), max_length=24)
    with torch.no_grad():
        return network(pixel_values=images, **feed), processor


def scores_by_hand(answer):
    """Equation of the docstring, in float64, at the resolution of the masks."""
    classes, masks = (x.double().numpy() for x in (answer.class_queries_logits, answer.masks_queries_logits))
    classes = np.exp(classes - classes.max(-1, keepdims=True))
    classes = (classes / classes.sum(-1, keepdims=True))[..., :-1]
    return np.einsum('nqc,nqhw->nchw', classes, 1 / (1 + np.exp(-masks)))


@torch.no_grad()
def predicted(model, images=IMAGES):
    return torch.cat([sample.pred_sem_seg.data for sample in model.predict(images)])


@pytest.mark.parametrize('kind', ['oneformer', 'maskformer'])
@pytest.mark.parametrize('size', [(64, 96), (65, 47)])
def test_predicts_what_the_library_post_processes(folders, kind, size):
    images = blocks(*size, num=6)
    answer, processor = library_answer(kind, folders[kind], images)
    expected = torch.stack(processor.post_process_semantic_segmentation(answer, target_sizes=[size] * 6))
    assert len(expected.unique()) > 1
    assert (predicted(build(folders[kind]), images) == expected).float().mean() > 0.9999


def test_mask2former_votes_as_the_library_does_on_the_one_size_that_it_resizes_masks_to(folders):
    answer, processor = library_answer('mask2former', folders['mask2former'], blocks(64, 96, num=6))
    answer.masks_queries_logits = F.interpolate(answer.masks_queries_logits, size=(384, 384), mode='bilinear')
    expected = torch.stack(processor.post_process_semantic_segmentation(answer))
    logits = build(folders['mask2former']).decode_head((answer.class_queries_logits, answer.masks_queries_logits, None))
    assert len(expected.unique()) > 1
    assert (logits.argmax(1) == expected).float().mean() > 0.9999


def test_logits_are_the_logarithm_of_the_normalised_scores(folders, kind):
    expected = scores_by_hand(library_answer(kind, folders[kind], IMAGES)[0])
    assert not np.allclose(expected.sum(1), 1, atol=0.05)  # the scores are no probabilities
    with torch.no_grad():
        logits = build(folders[kind])(IMAGES, mode='tensor')
    assert logits.shape == (2, 4, 16, 24)
    assert np.allclose(logits.exp().double().numpy(), expected / expected.sum(1, keepdims=True), rtol=1e-3, atol=1e-5)


def test_a_class_that_no_query_votes_for_has_a_finite_logit(folders):
    head = build(folders['maskformer']).decode_head
    classes = torch.tensor([[[200.0, 0, 0, 0, 0]]])
    logits = head((classes, torch.full((1, 1, 2, 2), 5.0), None))
    assert torch.isfinite(logits).all()
    # The one class has its mask's score, 1 / (1 + exp(-5)); the others the least.
    assert logits[0, :, 0, 0].tolist() == pytest.approx([0, *[np.log(1e-8 * (1 + np.exp(-5)))] * 3], abs=1e-5)


def test_half_precision_answers_in_float32(folders):
    with torch.no_grad(), torch.autocast('cpu', torch.bfloat16):
        logits = build(folders['maskformer'])(IMAGES, mode='tensor')
    assert logits.dtype == torch.float32 and torch.isfinite(logits).all()


def test_classes_are_brought_into_the_order_of_the_data_set_by_name(folders, kind):
    own, mapped = build(folders[kind]), build(folders[kind], classes=['sky', 'Building', 'sidewalk'])
    assert own.num_classes == 4 and mapped.num_classes == mapped.out_channels == 3
    assert mapped.decode_head.order == [3, 2, 1]
    with torch.no_grad():
        scores = own.decode_head.scores(own.extract_feat(IMAGES))
        logits = mapped(IMAGES, mode='tensor')
    kept = scores[:, [3, 2, 1]]
    assert torch.allclose(logits.exp(), kept / kept.sum(1, keepdim=True), atol=1e-5)


def test_classes_may_be_those_of_a_registered_data_set(tmp_path):
    labels = [name.title() for name in reversed(CityscapesDataset.METAINFO['classes'])]
    folder = str(write_hf_network(tmp_path, 'maskformer', labels))
    assert build(folder, classes='CityscapesDataset').decode_head.order == list(range(18, -1, -1))


@pytest.mark.parametrize(
    'classes,message',
    [
        (['road', 'river', 'sidewalks'], r'model.classes: .* has no class river, sidewalks \(closest to the first: '),
        ('NoSuchDataset', 'model.classes must be names of classes or a registered data set, but is "NoSuchDataset"'),
    ],
)
def test_a_class_that_is_missing_is_named(folders, classes, message):
    with pytest.raises(ValueError, match=message):
        build(folders['maskformer'], classes=classes)


def test_the_preprocessing_is_that_of_the_librarys_image_processor(tmp_path):
    folder = str(write_hf_network(tmp_path, 'maskformer', NAMES, mean=(0.5, 0.4, 0.3), std=(0.1, 0.2, 0.25)))
    batch = toy_batch()
    inputs = build(folder).data_preprocessor(toy_batch(), False)['inputs']
    processor = transformers.MaskFormerImageProcessor.from_pretrained(folder)
    rgb = [image.flip(0) for image in batch['inputs']]
    expected = processor(rgb, do_resize=False, return_tensors='pt')['pixel_values']
    assert torch.allclose(inputs, expected, atol=1e-4)
    (tmp_path / 'preprocessor_config.json').unlink()
    with pytest.raises(
        ValueError, match='model.data_preprocessor must be given, since .* has no preprocessor_config.json'
    ):
        build(folder)


def test_windows_slide_over_the_image(folders, kind):
    model = build(folders[kind], test_cfg=dict(mode='slide', crop_size=(64, 64), stride=(64, 32)))
    metas = [dict(ori_shape=(64, 96))]
    with torch.no_grad():
        logits = model.inference(IMAGES, metas * 2)
        left, right = (model.encode_decode(IMAGES[..., x : x + 64], metas * 2) for x in (0, 32))
    assert torch.allclose(logits[..., :32], left[..., :32], atol=1e-5)
    assert torch.allclose(logits[..., 64:], right[..., 32:], atol=1e-5)
    assert torch.allclose(logits[..., 32:64], (left[..., 32:] + right[..., :32]) / 2, atol=1e-5)
    with torch.no_grad():
        whole = build(folders[kind]).inference(IMAGES, metas * 2)
    assert not torch.allclose(logits, whole, atol=1e-3)


def test_the_task_is_tokenised_or_given_as_ids(folders, tmp_path):
    model = build(folders['oneformer'])
    ids = model.backbone.task_ids
    words = transformers.CLIPTokenizer.from_pretrained(folders['oneformer'])('the task is semantic')['input_ids']
    assert ids == words + [0] * (24 - len(words)) and len(words) == 18
    assert build(folders['oneformer'], task=words).backbone.task_ids == ids
    other = build(folders['oneformer'], task='the task is panoptic')
    with torch.no_grad():
        assert not torch.allclose(other(IMAGES, mode='tensor'), model(IMAGES, mode='tensor'), atol=1e-6)


def test_a_task_that_cannot_be_spelled_or_is_too_long_is_refused(folders, tmp_path):
    with pytest.raises(ValueError, match='model.task must have at most 24 token ids, but has 30'):
        build(folders['oneformer'], task=[1] * 30)
    with pytest.raises(ValueError, match='model.task: the tokenizer in .* cannot spell'):
        build(folders['oneformer'], task='42')
    folder = write_hf_network(tmp_path, 'oneformer', NAMES)
    for name in ('vocab.json', 'merges.txt'):
        (folder / name).unlink()
    with pytest.raises(ValueError, match='cannot spell "the task is semantic"; add its vocab.json'):
        build(str(folder))
    assert build(str(folder), task=[3, 2, 1]).backbone.task_ids == [3, 2, 1] + [0] * 21


def test_wrong_folders_are_refused_in_one_line(folders, tmp_path):
    with pytest.raises(FileNotFoundError, match='pretrained must be a folder with a config.json') as error:
        build(str(tmp_path / 'none'))
    assert '\n' not in str(error.value)
    (tmp_path / 'config.json').write_text('{"model_type": "swin"}')
    with pytest.raises(ValueError, match='must hold a semantic segmentation network .beit, .*, but .* is a swin'):
        build(str(tmp_path))


def test_layers_without_weights_are_refused(folders, tmp_path):
    network = transformers.MaskFormerForInstanceSegmentation.from_pretrained(folders['maskformer'])
    network.save_pretrained(
        tmp_path, state_dict={k: v for k, v in network.state_dict().items() if not k.startswith('mask_embedder')}
    )
    with pytest.raises(ValueError, match='has no weights for 6 parameters of a maskformer .mask_embedder'):
        build(str(tmp_path), data_preprocessor=dict(type='SegDataPreProcessor'))


def test_without_the_library_the_extra_is_named(folders, monkeypatch):
    monkeypatch.setitem(sys.modules, 'transformers', None)
    with pytest.raises(ImportError, match=r'need transformers, which is not installed: pip install "mmseg-kd\[hf\]"'):
        build(folders['maskformer'])


def test_it_says_that_it_cannot_be_trained(folders):
    with pytest.raises(NotImplementedError, match='cannot be trained'):
        build(folders['maskformer']).loss(IMAGES, [])


def test_its_shapes_are_found_without_loading_weights(folders, kind, monkeypatch):
    network = getattr(transformers, KINDS[kind][1])
    monkeypatch.setattr(network, 'from_pretrained', lambda *_, **__: pytest.fail('weights were loaded'))
    skeleton = build_skeleton(dict(type='HFSegmentor', pretrained=folders[kind]))
    allocated = sum(p.numel() for p in skeleton.parameters() if not p.is_meta)
    assert allocated < 0.01 * sum(p.numel() for p in skeleton.parameters())  # the library puts one on the CPU
    shapes = run_skeleton(skeleton, ['logits', 'backbone[1]'], (64, 96))
    assert shapes['logits'].shape == (1, 4, 16, 24) and shapes['backbone[1]'].shape == (1, 6, 16, 24)


def test_it_teaches_by_logits_and_by_features(folders, kind, caplog):
    student = toy_segmentor(
        4, num_classes=3, size=64, mean=[100.0, 90.0, 80.0], std=[60.0, 50.0, 40.0], bgr_to_rgb=False
    )
    model = MODELS.build(
        dict(
            type='Distiller',
            student=student,
            teacher=dict(model=dict(type='HFSegmentor', pretrained=folders[kind], classes=['sky', 'road', 'building'])),
            terms=dict(
                loss_kl=dict(student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss', temperature=8.0)),
                loss_hint=dict(student='backbone[3]', teacher=FEATURES, loss=dict(type='HintLoss')),
            ),
        )
    )
    model = copy.deepcopy(model)
    log = model.train_step(toy_batch(size=64, num_classes=3), OptimWrapper(torch.optim.SGD(model.parameters(), 0.01)))
    assert torch.isfinite(log['loss_kl']) and log['loss_kl'] > 0 and torch.isfinite(log['loss_hint'])
    teacher = model.teachers['']
    assert not any('network' in name for name in model.state_dict())
    assert not any(p.requires_grad for p in teacher.module.parameters()) and not teacher.module.training
    assert 'random weights' not in caplog.text


def test_a_frozen_teacher_reads_what_the_segmentor_answers(folders, kind):
    teacher = FrozenTeacher(model=dict(type='HFSegmentor', pretrained=folders[kind]))
    with torch.no_grad():
        expected = build(folders[kind])(IMAGES, mode='tensor')
    assert torch.allclose(teacher.read(IMAGES, ['logits'])['logits'], expected, atol=1e-4)
    half = FrozenTeacher(model=dict(type='HFSegmentor', pretrained=folders[kind]), dtype='bfloat16')
    read = half.read(IMAGES, ['logits'])['logits']
    assert torch.isfinite(read).all() and (read.exp() - expected.exp()).abs().mean() < 0.05
