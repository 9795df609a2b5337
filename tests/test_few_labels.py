"""The page on few labels: every row of its ablations is a model, and the sweep compares what it says."""
import copy
import functools
import re
from pathlib import Path

import pytest
from mmengine.config import Config, DictAction
from mmengine.fileio import load
from mmseg.registry import MODELS

from mmseg_kd import config_file
from mmseg_kd.analysis.sweep_plan import load_sweep

PAGE = (Path(__file__).resolve().parents[1] / 'docs/few_labels.md').read_text(encoding='utf-8')
ABLATIONS = PAGE[PAGE.index('## Ablations'):]
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
    'all, labelled images only': PIXEL,
    'deep': {(loss, 'deep') for loss, _ in WHOLE},
    'wide': {(loss, 'wide') for loss, _ in WHOLE},
    'deep, deep': WHOLE,
    'wide, wide': WHOLE,
    'deep, wide': WHOLE,
    '3': WHOLE, '5': WHOLE, '7': WHOLE, '9': WHOLE, '11': WHOLE,
}


# To be built in seconds.
SMALL = dict(r101_voc12aug='r34half_camvid', wide_voc12aug='r18half_camvid', r18_voc12aug='r18quarter_camvid')


@pytest.fixture(scope='module', autouse=True)
def no_repeated_work():
    """MMEngine reads fifty metafiles for every `mmseg::`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('mmengine.config.utils.load', functools.lru_cache(maxsize=None)(load))
        yield


@functools.lru_cache(maxsize=None)
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
    return {(type(term.loss).__name__, path.split('.')[0]) for term in model.all_terms.values() if term.weight
            for path in term.teacher_paths}


def test_the_tables_have_the_rows_of_the_paper():
    assert ROWS.keys() == COMPARED.keys()


@pytest.mark.parametrize('row', COMPARED)
def test_a_row_of_the_ablations_compares_what_the_paper_compares(row):
    model = MODELS.build(read('mmseg_kd::semi/mgd_r18quarter_camvid.py', small(ROWS[row])).model)
    assert compared(model) == COMPARED[row]
    if row.isdigit():
        assert model.unlabeled_terms['loss_region'].loss.grid == int(row)
    assert bool(model.unlabeled_terms) == (row != 'all, labelled images only')


@pytest.mark.parametrize('row', ['deep, deep', 'wide, wide'])
def test_a_pair_of_one_kind_has_one_architecture_and_two_files(row):
    teacher = read('mmseg_kd::semi/mgd_r18_voc12aug.py', ROWS[row]).model.teacher
    deep, wide = teacher.deep, teacher.wide
    assert deep.config == wide.config and deep.checkpoint != wide.checkpoint
    assert f'cps_{"r101" if row == "deep, deep" else "wide"}_voc12aug' in deep.config


def test_image_and_region_level_of_both_teachers_are_two_more_terms(tmp_path):
    block, = re.findall(r'```python\n(.*?)```', ABLATIONS, re.DOTALL)
    (tmp_path / 'both.py').write_text(small(block))
    model = MODELS.build(Config.fromfile(tmp_path / 'both.py').model)
    assert compared(model) == {(loss, teacher) for loss, _ in WHOLE for teacher in ('deep', 'wide')}
    base = read('mmseg_kd::semi/mgd_r18_voc12aug.py').model.unlabeled_terms
    for ours, published in (('loss_image_wide', 'loss_image'), ('loss_region_deep', 'loss_region')):
        assert model.unlabeled_terms[ours].weight == base[published].weight


@pytest.mark.parametrize('data', ['voc12aug', 'cityscapes'])
def test_the_published_code_differs_where_its_config_says_so(data):
    ours, code = (read(f'mmseg_kd::semi/{name}_r18_{data}.py') for name in ('mgd', 'mgd_code'))
    assert code.model.student.pretrained == 'torchvision://resnet18'
    code.model.student.pretrained = ours.model.student.pretrained
    for name in ('deep', 'wide'):
        spec = code.model.teacher[name]
        trained, teacher = read(ours.model.teacher[name].config).model, read(spec.config).model
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
    images = {name: config.train_cfg.max_iters * config.train_dataloader.batch_size
              for name, config in (('ours', ours), ('code', code))}
    assert images['code'] == pytest.approx(images['ours'], rel=0.01)


def test_the_sweep_on_camvid_compares_the_five_ways_for_as_many_iterations():
    sweep = load_sweep('mmseg_kd::sweeps/semi_camvid.py')
    stage, = sweep.stages
    assert stage.candidates == ('sup', 'mt', 'cps', 'kd', 'mgd') and stage.seeds == (0, 1) and not stage.space
    configs = {name: candidate.read() for name, candidate in sweep.candidates.items()}
    assert {config.train_cfg.max_iters for config in configs.values()} == {sweep.budget['value']}
    partitions = [str(config.train_dataloader.dataset.partition) for config in configs.values()]
    assert len(set(partitions)) == 1
    student = configs['sup'].model
    assert all(configs[name].model.student == student for name in ('mt', 'cps', 'kd', 'mgd'))


@pytest.mark.parametrize('name', ['deep', 'wide'])
def test_teachers_on_camvid_are_the_last_checkpoints_of_trainings_on_the_same_labels(name):
    config = read('mmseg_kd::semi/mgd_r18quarter_camvid.py')
    spec = config.model.teacher[name]
    trained = read(spec.config)
    steps = trained.train_cfg.max_iters
    assert steps % trained.default_hooks.checkpoint.interval == 0
    assert spec.checkpoint == f'work_dirs/{Path(spec.config).stem}/iter_{steps}.pth'
    assert trained.train_dataloader.dataset == config.train_dataloader.dataset
