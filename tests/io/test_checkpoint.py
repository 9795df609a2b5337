import argparse
import os
import pickle
import re
import zipfile

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import load_checkpoint
from mmseg.registry import MODELS
from torch import nn

from mmseg_kd.distillers import CheckpointError
from mmseg_kd.io.checkpoint import check_checkpoint, load_weights, read_checkpoint
from mmseg_kd.testing.toys import toy_runner, toy_segmentor


def model(*args, **kwargs):
    return MODELS.build(toy_segmentor(*args, **kwargs))


def test_reads_what_mmengine_saves(tmp_path):
    history = HistoryBuffer([1.0, 2.0], [1, 1])
    torch.save(
        dict(
            state_dict=model().state_dict(),
            message_hub=dict(log_scalars=dict(loss=history)),
            meta=dict(epoch=np.int64(3)),
            optimizer=dict(state={}),
        ),
        tmp_path / 'c.pth',
    )
    checkpoint = read_checkpoint(str(tmp_path / 'c.pth'))
    assert checkpoint['message_hub']['log_scalars']['loss'].mean() == 1.5 and checkpoint['meta']['epoch'] == 3
    if hasattr(torch.serialization, 'add_safe_globals'):  # as MMEngine itself loads it, from torch 2.4 on
        assert torch.load(tmp_path / 'c.pth', weights_only=True).keys() == checkpoint.keys()


def test_reads_it_also_after_others_took_the_permission_back(tmp_path):
    torch.save(dict(log=HistoryBuffer([1.0], [1])), tmp_path / 'c.pth')
    load_checkpoint(torch.nn.Identity(), str(tmp_path / 'c.pth'))
    assert read_checkpoint(str(tmp_path / 'c.pth'))['log'].current() == 1.0


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


class GetattrBomb:
    def __reduce__(self):
        return getattr, (np.ndarray, 'tofile')


@pytest.mark.parametrize('make', [lambda p: Bomb(str(p / 'ran')), lambda p: GetattrBomb()])
def test_code_in_a_checkpoint_is_never_run(tmp_path, make):
    torch.save(dict(state_dict={}, extra=make(tmp_path)), tmp_path / 'c.pth')
    with pytest.raises(CheckpointError, match='could run code, so it was not loaded'):
        read_checkpoint(str(tmp_path / 'c.pth'))
    assert not (tmp_path / 'ran').exists()


def test_old_pickles_that_run_code_are_refused_as_well(tmp_path):
    (tmp_path / 'c.pth').write_bytes(pickle.dumps(Bomb(str(tmp_path / 'ran'))))
    with pytest.raises(CheckpointError):
        read_checkpoint(str(tmp_path / 'c.pth'))
    assert not (tmp_path / 'ran').exists()


@pytest.mark.parametrize('content', [b'', b'not a checkpoint', b'PK\x03\x04broken'])
def test_a_corrupt_file_is_one_clear_line(tmp_path, content):
    (tmp_path / 'c.pth').write_bytes(content)
    with pytest.raises(CheckpointError) as error:
        read_checkpoint(str(tmp_path / 'c.pth'))
    assert str(tmp_path / 'c.pth') in str(error.value) and '\n' not in str(error.value)


def test_a_missing_file_is_named():
    with pytest.raises(CheckpointError, match='no such checkpoint: nowhere.pth'):
        read_checkpoint('nowhere.pth')


def test_a_checkpoint_that_holds_no_dict_is_refused(tmp_path):
    torch.save(torch.ones(2), tmp_path / 'c.pth')
    with pytest.raises(CheckpointError, match='must hold a dict'):
        read_checkpoint(str(tmp_path / 'c.pth'))


@pytest.mark.parametrize(
    'wrap',
    [
        lambda s: s,
        lambda s: dict(state_dict=s),
        lambda s: dict(state_dict={f'module.{k}': v for k, v in s.items()}),
        lambda s: dict(state_dict={f'student.{k}': v for k, v in s.items()} | {'terms.x': torch.ones(1)}),
    ],
)
def test_loads_plain_wrapped_and_distilled_weights(tmp_path, wrap):
    source, target = model(), model()
    torch.save(wrap(source.state_dict()), tmp_path / 'c.pth')
    load_weights(target, str(tmp_path / 'c.pth'))
    assert all(torch.equal(a, b) for a, b in zip(source.state_dict().values(), target.state_dict().values()))


def test_an_auxiliary_head_may_be_missing_on_either_side(tmp_path):
    torch.save(model(auxiliary=False).state_dict(), tmp_path / 'without.pth')
    torch.save(model().state_dict(), tmp_path / 'with.pth')
    for own, other in ((True, 'without'), (False, 'with')):
        network, weights = model(auxiliary=own), torch.load(tmp_path / f'{other}.pth')
        load_weights(network, str(tmp_path / f'{other}.pth'))
        assert torch.equal(network.state_dict()['decode_head.conv_seg.weight'], weights['decode_head.conv_seg.weight'])


@pytest.mark.parametrize(
    'other, message',
    [
        (dict(depth=50), '[1-9]\\d* unexpected, [1-9]'),
        (dict(depth=34), '0 keys missing, [1-9]\\d* unexpected, 0 of another shape'),
        (dict(num_classes=7), '0 keys missing, 0 unexpected, 2 of another shape'),
    ],
)
def test_another_architecture_is_refused_with_counts(tmp_path, other, message):
    torch.save(model(**other).state_dict(), tmp_path / 'c.pth')
    with pytest.raises(CheckpointError, match=message) as error:
        load_weights(model(), str(tmp_path / 'c.pth'))
    assert '\n' not in str(error.value)


def test_counts_of_missing_and_unexpected_keys_are_right(tmp_path):
    weights = model().state_dict()
    del weights['decode_head.conv_seg.weight'], weights['decode_head.conv_seg.bias']
    weights['stranger'] = torch.ones(1)
    torch.save(weights, tmp_path / 'c.pth')
    with pytest.raises(CheckpointError, match='2 keys missing, 1 unexpected'):
        load_weights(model(), str(tmp_path / 'c.pth'))


class TableBackbone(nn.Module):
    """Like a Swin Transformer: a load hook resizes a table, and buffers are computed from its size."""

    def __init__(self, size):
        super().__init__()
        self.table = nn.Parameter(torch.zeros(size))
        self.register_buffer('index', torch.arange(size))
        self.register_buffer('grid', torch.linspace(0, 1, size))
        self._register_load_state_dict_pre_hook(self._resize)

    def _resize(self, weights, prefix, *args):
        if f'{prefix}old_table' in weights:
            weights[f'{prefix}table'] = weights.pop(f'{prefix}old_table')
        table = weights.get(f'{prefix}table')
        if table is not None and len(table) != len(self.table):
            weights[f'{prefix}table'] = table.repeat_interleave(len(self.table) // len(table))
            del weights[f'{prefix}index'], weights[f'{prefix}grid']


class TableSegmentor(nn.Module):
    def __init__(self, size, classes=2, auxiliary=3):
        super().__init__()
        self.backbone, self.auxiliary_head = TableBackbone(size), nn.Linear(1, auxiliary)
        self.decode_head = nn.Linear(1, classes)


@pytest.mark.parametrize(
    'change',
    [
        lambda weights: None,
        lambda weights: weights.update({'backbone.old_table': weights.pop('backbone.table')}),
        lambda weights: weights.update({'auxiliary_head.weight': torch.ones(7, 1)}),
    ],
    ids=['resized', 'renamed', 'another auxiliary head'],
)
def test_what_a_load_hook_of_the_network_makes_of_a_checkpoint_fits(tmp_path, change):
    weights = TableSegmentor(2).state_dict()
    weights['backbone.table'] = torch.tensor([1.0, 2.0])
    change(weights)
    torch.save(weights, tmp_path / 'c.pth')
    network = TableSegmentor(4)
    load_weights(network, str(tmp_path / 'c.pth'))
    assert network.backbone.table.tolist() == [1, 1, 2, 2] and network.backbone.index.tolist() == [0, 1, 2, 3]
    assert torch.equal(network.backbone.grid, torch.linspace(0, 1, 4))
    assert torch.equal(network.decode_head.weight, weights['decode_head.weight'])


@pytest.mark.parametrize(
    'change, message',
    [
        (lambda weights: weights.pop('backbone.table'), r'1 keys missing.*such as backbone\.table'),
        (
            lambda weights: weights.update({'decode_head.weight': torch.ones(5, 1)}),
            '0 keys missing, 0 unexpected, 1 of another',
        ),
        (lambda weights: weights.update({'backbone.other': torch.ones(1)}), r'0 keys missing, 1 unexpected'),
        (
            lambda weights: weights.pop('backbone.grid'),
            r"cannot be loaded into TableSegmentor: KeyError 'backbone\.grid'",
        ),
    ],
)
def test_what_does_not_fit_behind_a_load_hook_is_refused(tmp_path, change, message):
    weights = TableSegmentor(2).state_dict()
    change(weights)
    torch.save(weights, tmp_path / 'c.pth')
    with pytest.raises(CheckpointError, match=message) as error:
        load_weights(TableSegmentor(4), str(tmp_path / 'c.pth'))
    assert '\n' not in str(error.value)


def test_a_float_buffer_that_the_file_lacks_is_missing_and_a_table_of_indices_is_not(tmp_path):
    weights = TableSegmentor(2).state_dict()
    del weights['backbone.index']
    torch.save(weights, tmp_path / 'c.pth')
    load_weights(TableSegmentor(2), str(tmp_path / 'c.pth'))
    del weights['backbone.grid']
    torch.save(weights, tmp_path / 'c.pth')
    with pytest.raises(CheckpointError, match=r'1 keys missing.*such as backbone\.grid'):
        load_weights(TableSegmentor(2), str(tmp_path / 'c.pth'))


@pytest.mark.parametrize('read', [read_checkpoint, check_checkpoint])
def test_an_address_that_is_not_safe_is_one_clear_line(read):
    with pytest.raises(CheckpointError, match='is not downloaded: an address must begin with https://; if you trust'):
        read('http://localhost/weights.pth')


def test_a_check_finds_what_reading_would_find(tmp_path):
    torch.save(dict(state_dict=dict(x=torch.ones(1000)), log=HistoryBuffer([1.0], [1])), tmp_path / 'c.pth')
    assert check_checkpoint(str(tmp_path / 'c.pth')) is None
    whole = (tmp_path / 'c.pth').read_bytes()
    for content, message in ((whole[:-200], 'is not a readable checkpoint'), (pickle.dumps(Bomb('x')), 'mkdir')):
        (tmp_path / 'c.pth').write_bytes(content)
        with pytest.raises(CheckpointError, match=message):
            check_checkpoint(str(tmp_path / 'c.pth'))


def write_zip(path, content):
    """A file as torch.save writes it, with a pickle made by hand."""
    torch.save({}, path)
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, 'w') as archive:
        for name, data in files.items():
            archive.writestr(name, content if name.endswith('data.pkl') else data)


@pytest.mark.parametrize('package', [b'numpy.core', b'numpy._core'])
def test_numpy_of_either_generation_is_read(tmp_path, package):
    content = dict(scalar=np.float64(1.5), array=np.array([1, 2], np.uint8))
    write_zip(tmp_path / 'c.pth', re.sub(rb'numpy\._?core', package, pickle.dumps(content, protocol=2)))
    found = read_checkpoint(str(tmp_path / 'c.pth'))
    assert found['scalar'] == 1.5 and found['array'].tolist() == [1, 2]


@pytest.mark.parametrize('package', [b'numpy.core', b'numpy._core'])
def test_other_functions_of_numpy_stay_forbidden(tmp_path, package):
    write_zip(
        tmp_path / 'c.pth',
        b'\x80\x02}X\x01\x00\x00\x00xc' + package + b'.multiarray\nfromfile\nX\x01\x00\x00\x00a\x85Rs.',
    )
    with pytest.raises(CheckpointError, match='could run code, so it was not loaded'):
        read_checkpoint(str(tmp_path / 'c.pth'))


@pytest.mark.parametrize(
    'save',
    [
        lambda content, path: torch.save(content, path, _use_new_zipfile_serialization=False),
        lambda content, path: torch.save(
            {key: value.half() if value.is_floating_point() else value for key, value in content.items()}, path
        ),
        lambda content, path: torch.save(dict(model=content, args=argparse.Namespace(lr=0.1)), path),
        lambda content, path: torch.save(
            dict(epoch=3, model_state={f'module.{k}': v for k, v in content.items()}), path
        ),
        lambda content, path: torch.save({f'module.model.segmentor.{k}': v for k, v in content.items()}, path),
        lambda content, path: torch.save(
            {f'_orig_mod.{k}'.replace('layer1', 'layer1._checkpoint_wrapped_module'): v for k, v in content.items()},
            path,
        ),
        lambda content, path: torch.save(
            dict(
                state_dict={f'architecture.{k}': v for k, v in content.items()}
                | {f'teacher.{k}': v[:0] for k, v in content.items() if 'bias' in k}
            ),
            path,
        ),
        lambda content, path: torch.save(
            dict(
                state_dict=content,
                ema_state_dict={f'module.{k}': v * 0 for k, v in content.items()},
                optimizer=dict(state={0: dict(x=torch.ones(1))}),
            ),
            path,
        ),
        lambda content, path: torch.save(dict(teacher={k: v * 0 for k, v in content.items()}, student=content), path),
    ],
)
def test_weights_are_found_in_files_of_any_layout(tmp_path, save):
    source, target = model(4), model(4)
    for tensor in source.state_dict().values():
        tensor.copy_(tensor.half())
    save(source.state_dict(), tmp_path / 'c.pth')
    load_weights(target, str(tmp_path / 'c.pth'))
    assert all(torch.equal(a, b) for a, b in zip(source.state_dict().values(), target.state_dict().values()))


def test_two_networks_that_fit_equally_are_refused(tmp_path):
    weights = model(4).state_dict()
    torch.save({f'{name}.{key}': value for name in 'ab' for key, value in weights.items()}, tmp_path / 'c.pth')
    with pytest.raises(CheckpointError, match=r'several networks that fit: a\., b\.; save the state_dict of only one'):
        load_weights(model(4), str(tmp_path / 'c.pth'))


def test_what_fits_in_no_name_is_refused_with_what_it_is(tmp_path):
    torch.save({'segformer.encoder.patch_embeddings.0.proj.weight': torch.ones(1)}, tmp_path / 'c.pth')
    with pytest.raises(
        CheckpointError, match='holds no weights that fit EncoderDecoder: it looks like a network of Hugging Face'
    ):
        load_weights(model(4), str(tmp_path / 'c.pth'))
    torch.save(dict(state_dict={}), tmp_path / 'c.pth')
    with pytest.raises(CheckpointError, match='holds no weights that fit EncoderDecoder: it holds no tensors'):
        load_weights(model(4), str(tmp_path / 'c.pth'))


@pytest.mark.parametrize(
    'content, message',
    [
        (b'', 'the file is empty'),
        (b'version https://git-lfs.github.com/spec/v1\n', 'a pointer of Git LFS'),
        (b'<!DOCTYPE html>', 'a web page'),
        (b'\x10\0\0\0\0\0\0\0{"x":{}}', 'safetensors'),
    ],
)
def test_a_file_of_another_kind_is_named(tmp_path, content, message):
    (tmp_path / 'c.pth').write_bytes(content)
    with pytest.raises(CheckpointError, match=f'is not a readable checkpoint: .*{message}') as error:
        read_checkpoint(str(tmp_path / 'c.pth'))
    assert '\n' not in str(error.value)


def test_a_torchscript_archive_is_named(tmp_path):
    with zipfile.ZipFile(tmp_path / 'c.pth', 'w') as archive:
        for name in ('data.pkl', 'constants.pkl', 'code/__torch__.py', 'version'):
            archive.writestr(f'archive/{name}', b'3')
    with pytest.raises(CheckpointError, match='is not a readable checkpoint: it is a TorchScript archive'):
        read_checkpoint(str(tmp_path / 'c.pth'))


@pytest.mark.parametrize('text', ["import os\nos.mkdir('ran')", "_base_ = 'evil.py'", "a = '{{$X:1}}'"])
@pytest.mark.parametrize('keys', [('meta', 'config'), ('meta', 'cfg'), ('message_hub', 'runtime_info', 'cfg')])
def test_a_config_in_a_checkpoint_that_mmengine_would_execute_is_left_out(tmp_path, monkeypatch, keys, text):
    content = text
    for key in reversed(keys):
        content = {key: content}
    torch.save(dict(content, state_dict={}), tmp_path / 'c.pth')
    told = []
    monkeypatch.setattr('mmseg_kd.io.checkpoint.print_log', lambda line, *_: told.append(line))
    assert text not in str(read_checkpoint(str(tmp_path / 'c.pth')))
    assert re.search(rf'^left out: .*c\.pth: {".".join(keys)}.*code.*--trust-files', told[0])
    monkeypatch.setenv('MMSEG_KD_TRUST_FILES', '1')
    assert read_checkpoint(str(tmp_path / 'c.pth')) == dict(content, state_dict={})


def test_resuming_executes_no_config_of_a_checkpoint(tmp_path):
    toy_runner(toy_segmentor(4), tmp_path / 'run', max_iters=1).train()
    checkpoint = torch.load(tmp_path / 'run' / 'iter_1.pth', weights_only=False)
    checkpoint['meta']['config'] = f'import os\nos.mkdir({str(tmp_path / "ran")!r})'
    torch.save(checkpoint, tmp_path / 'c.pth')
    settings = dict(max_iters=2, load_from=str(tmp_path / 'c.pth'), resume=True)
    toy_runner(toy_segmentor(4), tmp_path / 'resumed', **settings).train()
    assert (tmp_path / 'resumed' / 'iter_2.pth').is_file() and not (tmp_path / 'ran').exists()


def test_a_config_in_a_checkpoint_may_be_data_or_no_python(tmp_path):
    meta = dict(cfg="model = dict(type='A', end=inf)", config='hook = <function f at 0x7f>')
    torch.save(dict(meta=meta), tmp_path / 'c.pth')
    assert read_checkpoint(str(tmp_path / 'c.pth'))['meta'] == meta
