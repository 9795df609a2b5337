import copy

import pytest
import torch
import torch.nn.functional as F
from mmengine.optim import OptimWrapper
from mmseg.registry import MODELS

from mmseg_kd.distillers.dry_run import build_skeleton, run_skeleton
from mmseg_kd.testing.toys import toy_batch, toy_segmentor

transformers = pytest.importorskip('transformers')

from mmseg_kd.testing.hf_networks import OTHER_KINDS, write_hf_network  # noqa: E402

NAMES = ('road', 'Side-Walk', 'building, edifice', 'sky')
ONE_SIZE = ('eomt', 'eomt_dinov3', 'data2vec', 'dpt')


@pytest.fixture(scope='module', params=OTHER_KINDS)
def kind(request):
    return request.param


@pytest.fixture(scope='module')
def folder(kind, tmp_path_factory):
    torch.manual_seed(0)
    return str(write_hf_network(tmp_path_factory.mktemp(kind), kind, NAMES))


@pytest.fixture(scope='module')
def model(folder):
    return build(folder)


def build(folder, **settings):
    return MODELS.build(dict(type='HFSegmentor', pretrained=folder, **settings)).eval()


def images(*size, num=4):
    coarse = torch.randn(num, 3, 5, 6, generator=torch.Generator().manual_seed(0))
    return F.interpolate(3 * coarse, size=size)


def library_labels(kind, folder, inputs):
    """The library's own network and post-processing."""
    _, network, _, processor = OTHER_KINDS[kind]
    size = tuple(inputs.shape[2:])
    with torch.no_grad():
        outputs = getattr(transformers, network).from_pretrained(folder).eval()(pixel_values=inputs)
    processor = getattr(transformers, f'{processor}ImageProcessor').from_pretrained(folder)
    settings = dict(target_sizes=[size] * len(inputs))
    if processor.__class__.__name__.startswith('Eomt'):
        side = outputs.masks_queries_logits.shape[-1]  # its processor would resize the masks, and not their votes
        outputs.patch_offsets = [torch.tensor([i, 0, side]) for i in range(len(inputs))]
        settings['size'] = dict(shortest_edge=side, longest_edge=None)
    return torch.stack(processor.post_process_semantic_segmentation(outputs, **settings))


def test_predicts_what_the_library_post_processes(kind, folder, model):
    # One image of the size that all of them take.
    inputs = images(64, 64)
    expected = library_labels(kind, folder, inputs)
    with torch.no_grad():
        found = model.encode_decode(inputs, []).argmax(1)
    assert len(expected.unique()) > 1
    assert (found == expected).float().mean() > 0.9999


@pytest.mark.parametrize('size', [(65, 47), (64, 160)])
def test_any_size_gives_logits_of_the_whole_image(kind, model, size):
    inputs = images(*size)
    with torch.no_grad():
        logits, resized = model(inputs, mode='tensor'), model.encode_decode(inputs, [])
    assert resized.shape == (4, 4, *size) and torch.isfinite(resized).all()
    assert logits.shape[:2] == (4, 4)
    # Width to height as in the image, but for whole patches.
    height, width = logits.shape[2:]
    assert abs(width - height * size[1] / size[0]) <= 2.5


@pytest.mark.parametrize('kind', ONE_SIZE, indirect=True)
def test_a_wide_image_is_seen_in_windows_where_a_network_takes_one_size(kind, model):
    inputs = images(64, 128)
    with torch.no_grad():
        whole, left = model(inputs, mode='tensor'), model(inputs[..., :64], mode='tensor')
    torch.testing.assert_close(whole[..., : left.shape[-1]], left, atol=1e-5, rtol=1e-4)


def test_classes_are_brought_into_the_order_of_the_data_set_by_name(folder, model):
    mapped = build(folder, classes=['sky', 'Building'])
    inputs = images(64, 64)
    with torch.no_grad():
        shares, chosen = model(inputs, mode='tensor').softmax(1), mapped(inputs, mode='tensor').softmax(1)
    kept = shares[:, [3, 2]]
    torch.testing.assert_close(chosen, kept / kept.sum(1, keepdim=True), atol=1e-5, rtol=1e-4)


def test_the_preprocessing_is_that_of_the_librarys_image_processor(kind, folder, model):
    batch = toy_batch()
    inputs = model.data_preprocessor(toy_batch(), False)['inputs']
    processor = getattr(transformers, f'{OTHER_KINDS[kind][3]}ImageProcessor').from_pretrained(folder)
    rgb = [image.flip(0) for image in batch['inputs']]
    expected = processor(rgb, do_resize=False, do_center_crop=False, return_tensors='pt')['pixel_values']
    torch.testing.assert_close(inputs, torch.as_tensor(expected), atol=1e-4, rtol=1e-4)


def test_its_shapes_are_found_without_loading_weights(folder, kind, monkeypatch):
    network = getattr(transformers, OTHER_KINDS[kind][1])
    monkeypatch.setattr(network, 'from_pretrained', lambda *_, **__: pytest.fail('weights were loaded'))
    skeleton = build_skeleton(dict(type='HFSegmentor', pretrained=folder))
    assert run_skeleton(skeleton, ['logits'], (64, 96))['logits'].shape[:2] == (1, 4)


def test_it_teaches_by_logits(folder):
    model = MODELS.build(
        dict(
            type='Distiller',
            student=toy_segmentor(4, num_classes=3, size=64),
            teacher=dict(model=dict(type='HFSegmentor', pretrained=folder, classes=['sky', 'road', 'building'])),
            terms=dict(loss_kl=dict(student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss'))),
        )
    )
    model = copy.deepcopy(model)
    log = model.train_step(toy_batch(size=64, num_classes=3), OptimWrapper(torch.optim.SGD(model.parameters(), 0.01)))
    assert torch.isfinite(log['loss_kl']) and log['loss_kl'] > 0
    assert not any('network' in name for name in model.state_dict())


def test_weights_that_are_no_safetensors_are_refused(tmp_path):
    folder = write_hf_network(tmp_path, 'segformer', NAMES)
    network = transformers.SegformerForSemanticSegmentation.from_pretrained(folder)
    torch.save(network.state_dict(), folder / 'pytorch_model.bin')
    (folder / 'model.safetensors').unlink()
    with pytest.raises(FileNotFoundError, match='must hold its weights as model.safetensors') as error:
        build(str(folder))
    assert '\n' not in str(error.value)


def test_code_of_a_repository_does_not_run(tmp_path):
    (tmp_path / 'evil.py').write_text('open("ran", "w")')
    (tmp_path / 'config.json').write_text('{"model_type": "evil", "auto_map": {"AutoConfig": "evil.Config"}}')
    with pytest.raises(
        (ValueError, FileNotFoundError), match='pretrained must be a folder with a config.json'
    ) as error:
        build(str(tmp_path))
    assert '\n' not in str(error.value) and not (tmp_path / 'ran').exists()
