"""No file that somebody else sent runs code: every argument of every tool, and every key of a config that names a file.

The arguments are those of the tools' own parsers, and the keys are those of the constructors in the registries, so a
new one makes these tests fail until it is classified here, and tried if a file is read from it.
"""

import argparse
import hashlib
import importlib.util
import inspect
import json
import pickle
import re
import runpy
import sys
from functools import partial
from pathlib import Path

import mmcv
import mmengine
import numpy as np
import pytest
import run_folders
import torch
from canaries import Canary, poison_checkpoint, poison_pickle, poison_python, poison_yaml
from mmengine.config import Config
from mmengine.registry import Registry, init_default_scope
from mmengine.runner.checkpoint import CheckpointLoader
from mmseg import registry as mmseg_registries
from mmseg.models.losses.utils import get_class_weight
from mmseg.registry import DATASETS, MODELS

from mmseg_kd.datasets import LoadSoftLabels
from mmseg_kd.distillers import CachedTeacher, FrozenTeacher
from mmseg_kd.labeling.writer import FORMAT
from mmseg_kd.testing.toys import toy_runner, toy_segmentor
from mmseg_kd.testing.trees import write_camvid_tree

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = {
    path.stem: path
    for folder in ('tools', 'examples', 'benchmarks')
    for path in sorted((ROOT / folder).glob('*.py'))
    if 'ArgumentParser' in path.read_text(encoding='utf-8')
}

# Kinds of arguments and keys.
CODE = 'code by design: a config that the user names, or a change to it'
WRITTEN = 'only written'
SETTING = 'names no file'
FOLDER = 'a folder of images, whose files are pictures'
READ = 'a file or folder that is read as data'

ARGUMENTS = dict(
    config=CODE, configs=CODE, student=CODE, terms=CODE, method=CODE, sweep=CODE, cfg_options=CODE,
    out=WRITTEN, show_dir=WRITTEN, csv=WRITTEN,
    country=SETTING, suffix=SETTING, only=SETTING, losses=SETTING, device=SETTING, logits=SETTING, features=SETTING,
    files=CODE, images=FOLDER, unlabeled=FOLDER,
    checkpoint=READ, weights=READ, runs=READ, train_log=READ, ids=READ, storage=READ, work_dir=READ,
    teacher=READ, before=READ, classes=READ, class_map=READ,
)  # fmt: skip
EXCEPTIONS = {
    ('convert_torchvision_fcn', 'checkpoint'): WRITTEN,
    ('test', 'work_dir'): WRITTEN,
    ('demo', 'work_dir'): WRITTEN,
    ('camvid', 'work_dir'): WRITTEN,
    ('losses', 'work_dir'): WRITTEN,
    ('views', 'work_dir'): WRITTEN,
    ('demo', 'data_root'): WRITTEN,
    ('pseudo_label', 'out'): READ,
    ('cache_teacher', 'out'): READ,
}


class Captured(Exception):
    pass


def parser_of(path):
    """The parser of a program, without running it."""

    def capture(parser, *args, **kwargs):
        raise Captured(parser)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, 'parse_args', capture)
        patch.syspath_prepend(str(path.parent))
        spec = importlib.util.spec_from_file_location(f'captured_{path.stem}', path)
        module = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
            module.main()
        except Captured as captured:
            return captured.args[0]
    raise AssertionError(f'{path} parses no arguments')


def kind_of(program, action):
    """The kind of an argument; None if it is not known."""
    if (program, action.dest) in EXCEPTIONS:
        return EXCEPTIONS[program, action.dest]
    takes_text = action.type in (None, str, Path) and action.nargs != 0 and not action.choices
    return ARGUMENTS.get(action.dest) if takes_text else SETTING


def arguments():
    return [(program, action) for program, path in PROGRAMS.items() for action in parser_of(path)._actions]


def test_every_argument_is_classified():
    unknown = [f'{program}: {action.dest}' for program, action in arguments() if kind_of(program, action) is None]
    assert not unknown, f'add these arguments to ARGUMENTS: {unknown}'


def test_every_argument_that_is_read_is_tried():
    read = {(program, action.dest) for program, action in arguments() if kind_of(program, action) == READ}
    assert read == TOOL_CASES.keys()


def test_every_tool_that_reads_files_can_trust_them():
    for program, path in PROGRAMS.items():
        actions = {action.dest: kind_of(program, action) for action in parser_of(path)._actions}
        if path.parent.name == 'tools' and set(actions.values()) & {READ, CODE}:
            assert 'trust_files' in actions, f'{path.name} needs add_trust_files(parser)'


@pytest.fixture(scope='module')
def workspace(tmp_path_factory):
    folder = tmp_path_factory.mktemp('canaries')
    write_camvid_tree(folder / 'data' / 'camvid', images=2)
    (folder / 'segmentor.py').write_text(
        "_base_ = ['mmseg_kd::_base_/datasets/camvid_240x180.py', 'mmseg_kd::_base_/schedules/adamw_600.py',\n"
        "          'mmseg_kd::_base_/default_runtime.py']\n"
        f'model = {toy_segmentor(4, num_classes=11).to_dict()!r}\n'
    )
    init_default_scope('mmseg')
    torch.save(MODELS.build(toy_segmentor(4, num_classes=11)).state_dict(), folder / 'good.pth')
    terms = dict(loss_pi=dict(student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss')))
    (folder / 'distilled.py').write_text(
        "_base_ = './segmentor.py'\n"
        "model = dict(_delete_=True, type='Distiller', student=_base_.model, "
        f"teacher=dict(model=_base_.model, checkpoint='good.pth'), terms={terms!r})\n"
    )
    return folder


def bad_checkpoint(name):

    def case(folder, ran):
        poison_checkpoint(folder / name, ran)
        return str(folder / name)

    return case


def bad_run(folder, ran):
    run_folders.write_run(folder / 'run', run_folders.alone(), [50.0, 60.0, 70.0])
    (config,) = (folder / 'run').glob('*/vis_data/config.py')
    poison_python(config, ran)
    return str(folder / 'run')


def resumed(folder, ran):
    (folder / 'run').mkdir()
    poison_checkpoint(folder / 'run' / 'iter_1.pth', ran)
    (folder / 'run' / 'last_checkpoint').write_text(str(folder / 'run' / 'iter_1.pth'))
    return str(folder / 'run')


def resumed_labels(folder, ran):
    poison_pickle(folder / 'labels.json', ran)
    (folder / 'settings.json').write_text('{}')
    return str(folder)


def resumed_cache(folder, ran):
    poison_pickle(folder / 'settings.json', ran)
    return str(folder)


def bad_list(folder, ran):
    (folder / 'ids.txt').write_text(f'../../{ran.name}\n/etc/passwd\n')
    return str(folder / 'ids.txt')


def bad_classes(folder, ran):
    poison_yaml(folder / 'classes.yml', ran)
    return str(folder / 'classes.yml')


def bad_hf_network(folder, ran):
    (folder / 'config.json').write_text('{"model_type": "segformer", "auto_map": {"AutoConfig": "evil.Config"}}')
    (folder / 'preprocessor_config.json').write_text('{"image_mean": [0, 0, 0], "image_std": [1, 1, 1]}')
    poison_python(folder / 'evil.py', ran)
    poison_pickle(folder / 'pytorch_model.bin', ran)
    return str(folder)


def no_database(folder, ran):
    poison_pickle(folder / 'study.db', ran)
    return f'sqlite:///{folder}/study.db'


def no_journal_in_folder(folder, ran):
    poison_pickle(folder / 'study.journal', ran)
    return str(folder)


# For each argument that is read: what writes the poisoned file and returns the value, the other arguments, and the
# words of the refusal.
TRUST = '--trust-files'
DISTILL = ['segmentor.py', '--teacher', 'segmentor.py', '--checkpoint', 'good.pth', '--work-dir', 'distilled']
TOOL_CASES = {
    ('analyze_teacher', 'checkpoint'): (bad_checkpoint('c.pth'), ['segmentor.py', '*'], TRUST),
    ('cache_teacher', 'out'): (resumed_cache, ['distilled.py', '--views', '1', '--out', '*'], 'must hold JSON'),
    ('compare', 'runs'): (bad_run, ['*'], TRUST),
    ('convert_torchvision_fcn', 'weights'): (bad_checkpoint('c.pth'), ['*', 'out.pth'], TRUST),
    ('cost', 'checkpoint'): (bad_checkpoint('c.pth'), ['segmentor.py', '--checkpoint', '*'], TRUST),
    ('cost', 'train_log'): (bad_run, ['segmentor.py', '--country', 'FRA', '--train-log', '*'], TRUST),
    ('distill', 'before'): (bad_checkpoint('c.pth'), [*DISTILL, '--before', '*'], TRUST),
    ('distill', 'checkpoint'): (
        bad_checkpoint('c.pth'), [*DISTILL[:3], '--checkpoint', '*', '--work-dir', 'distilled'], TRUST),
    ('distill', 'classes'): (bad_classes, [*DISTILL, '--classes', '*'], 'cannot be read'),
    ('distill', 'teacher'): (
        bad_hf_network, ['segmentor.py', '--teacher', '*', '--work-dir', 'distilled'], 'has no class'),
    ('distill', 'work_dir'): (resumed, [*DISTILL[:-2], '--work-dir', '*', '--resume'], TRUST),
    ('pseudo_label', 'checkpoint'): (
        bad_checkpoint('c.pth'), ['segmentor.py', '*', 'data/camvid/img_dir/val', 'labels'], TRUST),
    ('pseudo_label', 'class_map'): (
        bad_classes, ['segmentor.py', 'good.pth', 'data/camvid/img_dir/val', 'labels', '--class-map', '*'],
        'cannot be read'),
    ('pseudo_label', 'ids'): (
        bad_list, ['segmentor.py', 'none', 'data/camvid/img_dir/val', 'labels', '--ids', '*'], 'have no image'),
    ('pseudo_label', 'out'): (
        resumed_labels, ['segmentor.py', 'good.pth', 'data/camvid/img_dir/val', '*'], 'labels with other settings'),
    ('publish', 'checkpoint'): (bad_checkpoint('c.pth'), ['*', 'out.pth'], TRUST),
    ('show_predictions', 'checkpoint'): (bad_checkpoint('c.pth'), ['segmentor.py', '*'], TRUST),
    ('sweep', 'storage'): (no_database, ['sweep.py', '--storage', '*'], 'must be the URL of a database'),
    ('sweep', 'work_dir'): (no_journal_in_folder, ['sweep.py', '--work-dir', '*'], 'must be the journal of a sweep'),
    ('test', 'checkpoint'): (bad_checkpoint('c.pth'), ['segmentor.py', '*'], TRUST),
    ('train', 'work_dir'): (resumed, ['segmentor.py', '--work-dir', '*', '--resume'], TRUST),
}  # fmt: skip


# Checking a whole training takes many seconds.
SLOW = {('train', 'work_dir')}


@pytest.mark.parametrize(
    'program, dest', [pytest.param(*case, marks=[pytest.mark.slow] * (case in SLOW)) for case in TOOL_CASES]
)
def test_no_tool_runs_a_file_that_it_reads(program, dest, workspace, tmp_path, monkeypatch, capfd):
    poison, command, words = TOOL_CASES[program, dest]
    if program == 'sweep':
        pytest.importorskip('optuna')
        monkeypatch.setattr('mmseg_kd.sweep.storage.OPENING_TRIES', 1)
        (workspace / 'sweep.py').write_text(
            "name = 'sweep'\nwork_dir = 'work'\nmetric = 'mIoU'\nseeds = [0]\nbudget = dict(kind='iterations', value=20)\n"
            "candidates = dict(alone=dict(config='segmentor.py'))\nstages = [dict(name='final', candidates=['alone'])]\n"
        )
    if program == 'show_predictions':
        pytest.importorskip('matplotlib')
    value = poison(tmp_path, tmp_path / 'ran')
    monkeypatch.chdir(workspace)
    monkeypatch.setattr(sys, 'argv', [program, *(value if part == '*' else part for part in command)])
    with pytest.raises((SystemExit, Exception)) as stopped:
        runpy.run_path(str(PROGRAMS[program]), run_name='__main__')
    assert not (tmp_path / 'ran').exists()
    assert words in ''.join(capfd.readouterr()) + str(stopped.value)


# Keys of configs. Those of other packages that look like files, and all keys of our own that take text.
LOOKS_LIKE_A_FILE = re.compile(
    r'(^|_)(path|file|folder|root|dir|checkpoint|pretrained|weights?|images|labels|ids|partition|config|load_from|init_cfg|'
    r'prototype|resume)$|^ann_|_embed_path'
)
PACKAGES = ('mmseg_kd', 'mmseg', 'mmengine', 'mmcv')
KEYS = {
    CODE: {'config', 'teacher', 'terms', 'unlabeled_terms'},
    WRITTEN: {
        'out', 'out_dir', 'output_dir', 'work_dir', 'save_dir', 'img_save_dir', 'collect_dir', 'config_save_file', 'scalar_save_file',
        'json_trace_path', 'out_file_path', 'result_path',
    },
    SETTING: {
        'cache_key', 'classes', 'country', 'dtype', 'group', 'key', 'opened', 'pixels', 'img_suffix', 'seg_map_suffix', 'suffixes', 'loss_name',
        'meta_keys', 'monitor', 'rule', 'task', 'weight', 'loss_weight', 'memory_weight', 'mse_weight',
        'prototype', 'weights', 'channel_weights', 'restart_weights', 'master_weights', 'fast_forward_on_resume',
        'swap_seg_labels', 'used_labels', 'labels_from',         'specific_key_path', 'variant', 'memory_format',
            },
    FOLDER: {'data_root', 'folder'},
    READ: {
        'cache', 'checkpoint', 'checkpoint_path', 'class_embed_path', 'pretrained', 'load_from', 'resume', 'init_cfg', 'class_weight',
        'ann_file', 'ids', 'images', 'labels', 'partition', 'rfstructure_file',
    },
}  # fmt: skip


def keys():
    """The parameters of all constructors in the registries that may name a file."""
    found = {}
    registries = [value for value in vars(mmseg_registries).values() if isinstance(value, Registry)]
    registries += [registry.parent for registry in registries if registry.parent is not None]
    classes = {value for registry in registries for value in registry.module_dict.values()} | {
        FrozenTeacher,
        CachedTeacher,
    }
    for each in classes:
        package = each.__module__.partition('.')[0]
        if package not in PACKAGES:
            continue
        for parameter in inspect.signature(each).parameters.values():
            text = re.search(r'\bstr\b|Path', str(parameter.annotation))
            if (package == 'mmseg_kd' and text) or LOOKS_LIKE_A_FILE.search(parameter.name):
                found.setdefault(parameter.name, each.__name__)
    return found


def test_every_key_that_may_name_a_file_is_classified():
    known = set().union(*KEYS.values())
    unknown = {name: owner for name, owner in keys().items() if name not in known}
    assert not unknown, f'add these keys to KEYS: {unknown}'


def test_every_key_that_is_read_is_tried():
    assert KEYS[READ] == {re.match(r'\w+', name)[0] for name in KEY_CASES}


def build_pretrained(path):
    MODELS.build(dict(toy_segmentor(4).backbone, pretrained=path)).init_weights()


def build_initialized(path):
    init = dict(type='Pretrained', checkpoint=path)
    MODELS.build(dict(toy_segmentor(4).backbone, init_cfg=init)).init_weights()


def build_teacher(path):
    assert FrozenTeacher(model=toy_segmentor(4), checkpoint=path).module


def build_timm(path):
    pytest.importorskip('timm')
    backbone = dict(type='TIMMBackbone', model_name='resnet10t', checkpoint_path=path, pretrained=False)
    MODELS.build(backbone)


def run_from(path, **settings):
    toy_runner(toy_segmentor(4), Path(path).parent / 'work', max_iters=1, load_from=path, **settings).train()


def hugging_face(path):
    pytest.importorskip('transformers')
    folder = Path(path).parent / 'network'
    folder.mkdir()
    (folder / 'config.json').write_text(json.dumps(dict(
        model_type='poison', auto_map=dict(AutoConfig='modeling.Poison', AutoModel='modeling.Poison'),
    )))  # fmt: skip
    poison_python(folder / 'modeling.py', Path(path).parent / 'ran')
    MODELS.build(dict(type='HFSegmentor', pretrained=str(folder)))


def hugging_face_weights(path):
    transformers = pytest.importorskip('transformers')
    config = transformers.SegformerConfig(hidden_sizes=[8, 8, 8, 8], decoder_hidden_size=8, num_labels=3)
    folder = Path(path).parent / 'network'
    config.save_pretrained(folder)
    poison_checkpoint(folder / 'pytorch_model.bin', Path(path).parent / 'ran')
    transformers.SegformerForSemanticSegmentation.from_pretrained(folder)


def camvid(path, **settings):
    root = write_camvid_tree(Path(path).parent / 'camvid', images=2, size=(8, 8))
    return dict(
        type='CamVidDataset', data_root=str(root), data_prefix=dict(img_path='img_dir/train'), **settings
    )  # fmt: skip


def build_coco(path):
    DATASETS.build(dict(type='CocoPanopticSemDataset', ann_file=path))


def write_summary(folder, image):
    folder.mkdir()
    images = {'1': dict(image=image, share=[1.0])}
    summary = dict(format=FORMAT, classes=['a'], palette=None, images=images, unreadable={}, top_k=0)
    (folder / 'labels.json').write_text(json.dumps(summary))
    return str(folder)


def build_labels(path):
    labels = write_summary(Path(path).parent / 'labels', '1.jpg')
    DATASETS.build(dict(type='PseudoLabelDataset', images='images', labels=labels, ids=path))


def build_labels_outside(path):
    labels = write_summary(Path(path).parent / 'labels', '../outside.jpg')
    DATASETS.build(dict(type='PseudoLabelDataset', images='images', labels=labels))


def read_soft_labels(path):
    np.savez(f'{path}.npz', classes=np.array([Canary(Path(path).parent / 'ran')], object))
    LoadSoftLabels._read(f'{path}.npz', 'a.png', (8, 8))


def read_cache(path):
    folder = Path(path).parent
    (folder / 'shards').mkdir()
    content = Path(path).rename(folder / 'shards' / 'view000-00000.safetensors').read_bytes()
    index = dict(format=1, images=1, views=1, size=[8, 8], per_shard=1, paths=dict(logits=STORED), constants={})
    index['shards'] = {'view000-00000': hashlib.sha256(content).hexdigest()}
    (folder / 'index.json').write_text(json.dumps(index))
    CachedTeacher(str(folder)).store.read(['logits'], [(0, 0)], [0])


def read_image(path):
    mmcv.imread(path, backend='pillow')


def build_partition(path):
    DATASETS.build(dict(type='LabeledPartDataset', labeled=camvid(path), partition=path))


def poison_list(file, ran):
    file.write_text(f'../../{ran.name}\n')


def poison_array(file, ran):
    np.save(file, np.array([Canary(ran)], object))


REFUSED = 'could run code'
STORED = dict(encoding='float16', shape=[2, 1, 1])
# For each key that is read: what writes the poisoned file, its name, what uses it as the key does, and the refusal.
KEY_CASES = {
    'checkpoint': (poison_checkpoint, 'c.pth', build_teacher, REFUSED),
    'checkpoint in the old format': (partial(poison_checkpoint, legacy=True), 'c.pth', build_teacher, REFUSED),
    'checkpoint as a bare pickle': (poison_pickle, 'c.pth', build_teacher, REFUSED),
    'checkpoint_path': (poison_checkpoint, 'c.pth', build_timm, 'mkdir'),
    'cache': (poison_pickle, 'c.safetensors', read_cache, 'is no safetensors file'),
    'class_embed_path': (poison_checkpoint, 'c.pth', CheckpointLoader.load_checkpoint, REFUSED),
    'pretrained': (poison_checkpoint, 'c.pth', build_pretrained, REFUSED),
    'pretrained of Hugging Face, code': (poison_checkpoint, 'c.pth', hugging_face, 'contains custom code'),
    'pretrained of Hugging Face, weights': (poison_checkpoint, 'c.pth', hugging_face_weights, 'mkdir'),
    'init_cfg': (poison_checkpoint, 'c.pth', build_initialized, REFUSED),
    'load_from': (poison_checkpoint, 'c.pth', run_from, REFUSED),
    'resume': (poison_checkpoint, 'c.pth', partial(run_from, resume=True), REFUSED),
    'class_weight': (poison_pickle, 'w.pkl', get_class_weight, REFUSED),
    'class_weight in YAML': (poison_yaml, 'w.yaml', get_class_weight, REFUSED),
    'class_weight of NumPy': (poison_array, 'w.npy', get_class_weight, 'allow_pickle=False'),
    'ann_file': (poison_pickle, 'a.pkl', build_coco, REFUSED),
    'ann_file with paths': (
        poison_list,
        'a.txt',
        lambda path: DATASETS.build(camvid(path, ann_file=path)),
        'outside of',
    ),
    'ids': (poison_pickle, 'i.txt', build_labels, 'must be a text file in UTF-8'),
    'images': (poison_pickle, 'i.jpg', read_image, 'cannot identify'),
    'labels': (poison_list, 'l.txt', build_labels_outside, 'outside of its folder'),
    'labels, soft': (poison_list, 'l.txt', read_soft_labels, 'allow_pickle=False'),
    'partition': (poison_list, 'p.txt', build_partition, 'are not among the'),
    'rfstructure_file': (poison_pickle, 's.pkl', mmengine.load, REFUSED),
}


@pytest.mark.parametrize('case', KEY_CASES)
def test_no_key_runs_a_file_that_it_names(case, tmp_path):
    init_default_scope('mmseg')
    poison, name, use, words = KEY_CASES[case]
    poison(tmp_path / name, tmp_path / 'ran')
    with pytest.raises(Exception, match=words):  # of any class, also of other packages
        use(str(tmp_path / name))
    assert not (tmp_path / 'ran').exists()


def test_the_canaries_sing(tmp_path):
    """The poisoned files create the file when something runs them."""
    loads = [
        lambda ran: pickle.loads(pickle.dumps(Canary(ran))),
        lambda ran: (poison_checkpoint(tmp_path / 'c', ran), torch.load(tmp_path / 'c', weights_only=False)),
        lambda ran: (poison_python(tmp_path / 'c.py', ran), Config.fromfile(tmp_path / 'c.py')),
    ]
    for number, load in enumerate(loads):
        load(tmp_path / f'ran{number}')
        assert (tmp_path / f'ran{number}').exists()
