"""The page on few labels: every row of its ablations is a model, and the sweep compares what it says."""

import argparse
import copy
import functools
import re
import subprocess
from pathlib import Path

import dry_runs
import pytest
from mmengine.config import Config, DictAction
from mmseg.registry import MODELS

from mmseg_kd import config_file
from mmseg_kd.datasets.partitions import PARTITIONS
from mmseg_kd.engine.launch import load_config
from mmseg_kd.io.command_line import add_arguments
from mmseg_kd.sweep.plan import load_sweep

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / 'docs/few_labels.md').read_text(encoding='utf-8')
ABLATIONS = PAGE[PAGE.index('## Ablations') :]
ROWS = dict(re.findall(r'^\| ([^|]+) \| (?:`(model\.[^`]*)`)? ?\|$', ABLATIONS, re.MULTILINE))
PIXEL = {('PseudoLabelLoss', 'deep'), ('PseudoLabelLoss', 'wide')}
IMAGE, REGION = ('ImageSemanticLoss', 'deep'), ('RegionContentLoss', 'wide')
WHOLE = {*PIXEL, IMAGE, REGION}
# By the paper's tables of ablations: what is compared, and with which teacher.
COMPARED = {
    'pixel': PIXEL,
    'pixel, image': {*PIXEL, IMAGE},
    'pixel, region': {*PIXEL, REGION},
    'pixel, image, region': WHOLE,
    'all, labeled images only': PIXEL,
    'deep': {(loss, 'deep') for loss, _ in WHOLE},
    'wide': {(loss, 'wide') for loss, _ in WHOLE},
    'deep, deep': WHOLE,
    'wide, wide': WHOLE,
    'deep, wide': WHOLE,
    '3': WHOLE,
    '5': WHOLE,
    '7': WHOLE,
    '9': WHOLE,
    '11': WHOLE,
}


# To be built in seconds.
SMALL = dict(r101_voc12aug='r34half_camvid', wide_voc12aug='r18half_camvid', r18_voc12aug='r18quarter_camvid')


@functools.cache
def parsed(path):
    return Config.fromfile(config_file(path))


def read(path, options=''):
    """A config with options, as `--cfg-options` are read."""
    config = copy.deepcopy(parsed(path))
    pairs = (option.split('=', 1) for option in options.split())
    config.merge_from_dict({key: DictAction._parse_iterable(value) for key, value in pairs})
    return config


def small(text):
    """What the page says, said of the networks for CamVid."""
    for published, own in SMALL.items():
        text = text.replace(f'_{published}', f'_{own}')
    return text


def compared(model):
    """Losses and teachers of the terms that count."""
    return {
        (type(term.loss).__name__, path.split('.')[0])
        for term in model.all_terms.values()
        if term.weight
        for path in term.teacher_paths
    }


def test_the_tables_have_the_rows_of_the_paper():
    assert ROWS.keys() == COMPARED.keys()


@pytest.mark.parametrize('row', COMPARED)
def test_a_row_of_the_ablations_compares_what_the_paper_compares(row, monkeypatch):
    dry_runs.remember(monkeypatch)
    model = MODELS.build(read('mmseg_kd::semi/mgd_r18quarter_camvid.py', small(ROWS[row])).model)
    assert compared(model) == COMPARED[row]
    if row.isdigit():
        assert model.unlabeled_terms['loss_region'].loss.grid == int(row)
    assert bool(model.unlabeled_terms) == (row != 'all, labeled images only')


@pytest.mark.parametrize('row', ['deep, deep', 'wide, wide'])
def test_a_pair_of_one_kind_has_one_architecture_and_two_files(row):
    teacher = read('mmseg_kd::semi/mgd_r18_voc12aug.py', ROWS[row]).model.teacher
    deep, wide = teacher.deep, teacher.wide
    assert deep.config == wide.config and deep.checkpoint != wide.checkpoint
    assert f'cps_{"r101" if row == "deep, deep" else "wide"}_voc12aug' in deep.config


def test_image_and_region_level_of_both_teachers_are_two_more_terms(tmp_path):
    (block,) = re.findall(r'```python\n(.*?)```', ABLATIONS, re.DOTALL)
    (tmp_path / 'both.py').write_text(small(block))
    model = MODELS.build(Config.fromfile(tmp_path / 'both.py').model)
    assert compared(model) == {(loss, teacher) for loss, _ in WHOLE for teacher in ('deep', 'wide')}
    base = read('mmseg_kd::semi/mgd_r18_voc12aug.py').model.unlabeled_terms
    for ours, published in (('loss_image_wide', 'loss_image'), ('loss_region_deep', 'loss_region')):
        assert model.unlabeled_terms[ours].weight == base[published].weight


# Weights of the image and the region level. Qin et al. (arXiv 2208.10169): 0.002, for the mean over the classes, and
# 100, everywhere. Their code sums over the classes and the 2 images of a GPU.
PAPER, WEIGHT_DECAY = (0.002, 100.0), 5e-4
CODE = {
    ('r18', 'voc12aug'): (0.002 * 21 * 2, 100.0),
    ('mbv2', 'voc12aug'): (0.0005 * 21 * 2, 50.0),
    ('r18', 'cityscapes'): (0.001 * 19 * 2, 100.0),
}
DATA = ('voc12aug', 'voc12_few', 'cityscapes')


def weights(config):
    terms = config.model.unlabeled_terms
    return terms.loss_image.weight, terms.loss_region.weight


@pytest.mark.parametrize('student', ['r18', 'mbv2'])
@pytest.mark.parametrize('data', DATA)
def test_weights_are_those_of_the_paper(student, data):
    config = read(f'mmseg_kd::semi/mgd_{student}_{data}.py')
    assert weights(config) == PAPER and config.optim_wrapper.optimizer.weight_decay == WEIGHT_DECAY
    assert all(term.weight == 1 for term in config.model.terms.values())


@pytest.mark.parametrize('student, data', CODE)
def test_the_published_code_differs_where_its_config_says_so(student, data):
    ours, code = (read(f'mmseg_kd::semi/{name}_{student}_{data}.py') for name in ('mgd', 'mgd_code'))
    assert weights(code) == pytest.approx(CODE[student, data])
    assert code.optim_wrapper.optimizer.weight_decay == dict(voc12aug=4e-4, cityscapes=8e-4)[data]
    assert code.optim_wrapper.optimizer.lr == (0.0035 if student == 'mbv2' else 0.0025)
    for name, weight in zip(('loss_image', 'loss_region'), PAPER):
        code.model.unlabeled_terms[name].weight = weight
    if student == 'r18':
        assert code.model.student.pretrained == 'torchvision://resnet18'
        code.model.student.pretrained = ours.model.student.pretrained
    else:
        assert code.model.student.backbone.norm_cfg.type == 'BN'
        code.model.student.backbone.norm_cfg = ours.model.student.backbone.norm_cfg
    for name in ('deep', 'wide'):
        spec = code.model.teacher[name]
        trained, teacher = read(ours.model.teacher[name].config).model, read(spec.config).model.student
        for part in ('backbone', 'decode_head'):
            assert teacher[part].norm_cfg.type == 'BatchStatisticsBN'
            teacher[part].norm_cfg = trained.student[part].norm_cfg
        assert teacher == trained.student
        spec.config = ours.model.teacher[name].config
    assert code.model == ours.model
    for pipeline in code.train_dataloader.dataset.unlabeled_pipelines:
        pad = pipeline.pop(-2)
        assert (pad.type, pad.size, pad.pad_val['seg']) == ('Pad', code.crop_size, 0)
    assert code.train_dataloader.dataset == ours.train_dataloader.dataset
    images = {
        name: config.train_cfg.max_iters * config.train_dataloader.batch_size
        for name, config in (('ours', ours), ('code', code))
    }
    assert images['code'] == pytest.approx(images['ours'], rel=0.01)


@pytest.mark.parametrize('method', ['kd', 'cwd'])
@pytest.mark.parametrize('data', DATA)
def test_the_baselines_distil_from_both_teachers_on_all_images(method, data):
    model = read(f'mmseg_kd::semi/{method}_r18_{data}.py').model
    assert model.teacher == read(f'mmseg_kd::semi/mgd_r18_{data}.py').model.teacher
    loss = dict(kd='PixelWiseKDLoss', cwd='CWDLoss')[method]
    for terms in (model.terms, model.unlabeled_terms):
        assert sorted((term.loss.type, term.teacher) for term in terms.values()) == [
            (loss, 'deep.logits'),
            (loss, 'wide.logits'),
        ]
        assert len({term.weight for term in terms.values()}) == 1


SEMI = sorted(path.stem for path in (ROOT / 'configs/semi').glob('*.py') if not path.stem.endswith('camvid'))


@pytest.mark.parametrize('leaf', SEMI)
def test_one_process_trains_with_the_published_total(leaf):
    """8 labeled images a step, 16 in the code's script for Cityscapes; one process alone must not have one."""
    config = read(f'mmseg_kd::semi/{leaf}.py')
    total = 16 if leaf == 'mgd_code_r18_cityscapes' else 8
    assert config.train_dataloader.batch_size == config.auto_scale_lr.base_batch_size == total
    assert config.auto_scale_lr.enable is False


def test_the_sweep_on_camvid_compares_the_five_ways_for_as_many_iterations():
    sweep = load_sweep('mmseg_kd::sweeps/semi_camvid.py')
    (stage,) = sweep.stages
    assert stage.candidates == ('sup', 'mt', 'cps', 'kd', 'mgd') and stage.seeds == (1,) and not stage.space
    configs = {name: candidate.read() for name, candidate in sweep.candidates.items()}
    assert {config.train_cfg.max_iters for config in configs.values()} == {sweep.budget['value']}
    partitions = [str(config.train_dataloader.dataset.partition) for config in configs.values()]
    assert len(set(partitions)) == 1
    student = configs['sup'].model
    assert all(configs[name].model.student == student for name in ('mt', 'cps', 'kd', 'mgd'))


@pytest.fixture(scope='module')
def commands():
    """What the page's loop over all rows of the tables would run, in that order: config and partition."""
    (block,) = re.findall(r'```bash\n(semi=.*?)```', PAGE, re.DOTALL)
    script = f'python() {{ echo "$@"; }}\n{block}'
    said = subprocess.run(['bash', '-c', script], capture_output=True, text=True, check=True)
    return [(Path(words[1]), words[3]) for words in map(str.split, said.stdout.splitlines())]


def test_the_loop_trains_every_student_on_every_partition_and_all_teachers(commands):
    named = {(config.stem, option.partition('=')[2]) for config, option in commands}
    assert named == {
        (leaf, f'{data}/1_{part}')
        for leaf in SEMI
        if '_code_' not in leaf
        for data in DATA
        if leaf.endswith(data)
        for part in (16, 8, 4, 2)
    }
    assert {name for _, name in named} == set(PARTITIONS)
    assert all((ROOT / config).is_file() for config, _ in commands) and len(commands) == len(named)


@pytest.mark.parametrize('data', DATA)
@pytest.mark.parametrize('part', ['1_16', '1_8'])
def test_a_student_looks_for_teachers_where_an_earlier_command_of_the_loop_leaves_them(commands, data, part):
    parser = argparse.ArgumentParser()
    add_arguments(parser)

    def loaded(config, option):
        return load_config(parser.parse_args([str(ROOT / config), '--cfg-options', option]))

    option = f'train_dataloader.dataset.partition={data}/{part}'
    student = loaded(f'configs/semi/mgd_r18_{data}.py', option)
    before = commands[: commands.index((Path(f'configs/semi/mgd_r18_{data}.py'), option))]
    for name, leaf in dict(deep=f'cps_r101_{data}', wide=f'cps_wide_{data}').items():
        assert (Path(f'configs/semi/{leaf}.py'), option) in before
        teacher = loaded(f'configs/semi/{leaf}.py', option)
        steps = teacher.train_cfg.max_iters
        # The last checkpoint is written whatever the interval.
        assert teacher.default_hooks.checkpoint.get('save_last', True)
        assert student.model.teacher[name].checkpoint == f'{teacher.work_dir}/iter_{steps}.pth'
        assert {run.train_dataloader.dataset.partition for run in (teacher, student)} == {f'{data}/{part}'}


@pytest.mark.parametrize('name', ['deep', 'wide'])
def test_teachers_on_camvid_are_the_last_checkpoints_of_trainings_on_the_same_labels(name):
    config = read('mmseg_kd::semi/mgd_r18quarter_camvid.py')
    spec = config.model.teacher[name]
    trained = read(spec.config)
    steps = trained.train_cfg.max_iters
    assert steps % trained.default_hooks.checkpoint.interval == 0
    assert spec.checkpoint == f'work_dirs/{Path(spec.config).stem}/iter_{steps}.pth'
    assert trained.train_dataloader.dataset == config.train_dataloader.dataset
