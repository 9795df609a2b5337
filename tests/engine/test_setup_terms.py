"""A setup and the terms of a method, which together are what a config of the method would be."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS

from mmseg_kd.distillers import Distiller
from mmseg_kd.engine.setup_terms import SetupError, read_setup, run_name
from mmseg_kd.io.command_line import setup_file
from mmseg_kd.io.configs import config_file
from mmseg_kd.testing.toys import toy_batch, toy_segmentor

KEYS = ('model', 'optim_wrapper', 'custom_hooks', 'train_dataloader', 'param_scheduler', 'train_cfg', 'custom_imports')


@pytest.mark.parametrize(
    'setup, terms, leaf',
    [
        ('r101_r18_cityscapes', 'cwd', 'kd/cwd_r101_r18_cityscapes.py'),
        ('r101_r18_cityscapes', 'csc_ace', 'kd/csc_ace_r101_r18_cityscapes.py'),
        ('r101_r18_ade20k', 'apd_ade20k', 'kd/apd_r101_r18_ade20k.py'),
        ('r101_r18_voc12', 'skd', 'kd/skd_r101_r18_voc12.py'),
        ('r18_r18half_camvid', 'ka_camvid', 'camvid/ka_r18_r18half_camvid.py'),
        ('semi_r18_voc12aug', 'semi_mgd', 'semi/mgd_r18_voc12aug.py'),
        ('semi_r18_cityscapes', 'semi_cps_cityscapes', 'semi/cps_r18_cityscapes.py'),
        ('semi_r18quarter_camvid', 'semi_mt_camvid', 'semi/mt_r18quarter_camvid.py'),
        ('mckd_swint_coco133', 'soft_labels', 'mckd/oneformer_swinl_swint_coco133.py'),
    ],
)
def test_setup_and_terms_are_the_config_of_the_method(setup, terms, leaf):
    combined, config = read_setup(setup, terms), Config.fromfile(config_file(f'mmseg_kd::{leaf}'))
    assert {key: combined.get(key) for key in KEYS} == {key: config.get(key) for key in KEYS}
    assert Path(combined.filename).name == f'{setup}-{terms}.py'


def own(folder, **files):
    for name, text in files.items():
        (folder / f'{name}.py').write_text(text)
    return [str(folder / f'{name}.py') for name in files]


SETUP = """_base_ = 'mmseg_kd::demo/student.py'
model = dict(
    _delete_=True, type='mmseg_kd.Distiller', student=_base_.model, teacher=dict(config='mmseg_kd::demo/teacher.py'))
"""
TERM = "dict(student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss'), weight=2.0)"


def test_a_setup_and_terms_of_ones_own_become_one_flat_config(tmp_path):
    setup, terms = own(
        tmp_path, mine=SETUP, pi=f"custom_imports = dict(imports='wave')\nterms = dict(loss_pi={TERM})\n"
    )
    combined = read_setup(setup, terms)
    assert combined.custom_imports.imports == ['mmseg_kd', 'wave']
    combined.dump(tmp_path / combined.filename)
    flat = Config.fromfile(tmp_path / 'mine-pi.py')
    assert '_base_' not in (tmp_path / 'mine-pi.py').read_text()
    assert flat.model == combined.model and flat.model.terms.loss_pi.weight == 2.0
    assert flat.model.teacher.config == 'mmseg_kd::demo/teacher.py' and 'terms' not in flat


def test_a_config_of_its_own_stays_as_it_is():
    leaf = 'mmseg_kd::demo/distilled.py'
    assert read_setup(leaf)._cfg_dict == Config.fromfile(config_file(leaf))._cfg_dict
    assert setup_file('r101_r18_voc12') == str(config_file('mmseg_kd::_base_/setups/r101_r18_voc12.py'))


@pytest.mark.parametrize(
    'setup, terms, message',
    [
        ('r101_r18_voc21', 'cwd', 'no such config: r101_r18_voc21; did you mean r101_r18_voc12?'),
        (
            'mmseg_kd::demo/distiled.py',
            None,
            'such config: mmseg_kd::demo/distiled.py; did you mean mmseg_kd::demo/dist',
        ),
        ('r101_r18_voc12', 'cdw', 'no such terms: cdw; did you mean cwd?'),
        ('r101_r18_voc12', 'qqqqqq', 'no such terms: qqqqqq'),
        ('r101_r18_voc12', 'gone/cwd.py', 'no such terms: gone/cwd.py'),
        (
            'r101_r18_voc12',
            'semi_cwd',
            'r101_r18_voc12 is a supervised setup, but the terms of semi_cwd are semi-super',
        ),
        (
            'semi_r18_voc12aug',
            'cwd',
            'semi_r18_voc12aug is a semi-supervised setup, but the terms of cwd are supervised',
        ),
        (
            'mmseg_kd::demo/student.py',
            'cwd',
            '--terms needs a config whose model is a distiller, but .* EncoderDecoder',
        ),
        ('mmseg_kd::demo/distilled.py', 'pi', '--terms needs a setup without terms, but .* has loss_cwd'),
        ('r101_r18_voc12', 'mmseg_kd::demo/distilled.py', '--terms needs a file that has terms'),
        ('r101_r18_voc12', None, 'r101_r18_voc12 is a setup without terms; name the terms of a method'),
        ('semi_r18_voc12aug', None, 'semi_r18_voc12aug is a setup without terms'),
    ],
)
def test_what_cannot_be_combined_is_told_in_one_line(setup, terms, message):
    with pytest.raises((FileNotFoundError, SetupError), match=message) as error:
        read_setup(setup, terms)
    assert '\n' not in str(error.value)


def test_every_setup_and_every_file_of_terms_is_whole():
    folder = Path(config_file('mmseg_kd::_base_/default_runtime.py')).parent
    semi = {path.stem for path in folder.glob('terms/*.py') if 'unlabeled_terms' in Config.fromfile(path)}
    assert semi == {path.stem for path in folder.glob('terms/semi_*.py')}
    for path in folder.glob('setups/*.py'):
        config = Config.fromfile(path)
        assert issubclass(MODELS.get(config.model.type), MODELS.get('Distiller')), path.name
        assert not config.model.get('terms') and config.train_dataloader and config.train_cfg, path.name


TERMS = Path(config_file('mmseg_kd::_base_/default_runtime.py')).parent / 'terms'
# `compact_tuned` belongs to its network, and has the published weights.
TUNED = sorted(path.stem for path in TERMS.glob('*_tuned.py') if path.stem != 'compact_tuned')


@pytest.mark.parametrize('name', TUNED)
def test_tuned_terms_fit_networks_of_other_widths_and_share_the_gradient(name):
    terms = Config.fromfile(TERMS / f'{name}.py').terms
    shares = [term.weight.share for term in terms.values()]
    assert sum(shares) == pytest.approx(dict(cwd_at_tuned=0.45, dist_unlabeled_tuned=0.6).get(name, 0.3))
    torch.manual_seed(0)
    student, teacher = (toy_segmentor(channels, auxiliary=False) for channels in (4, 8))
    model = Distiller(student, dict(model=teacher), terms.to_dict())
    model.move_terms(0, 10)
    losses = model.loss(**model.data_preprocessor(toy_batch(), training=True))
    assert terms.keys() <= losses.keys() and all(losses[name] != 0 for name in terms)
    measured = model.gradient_shares.measured
    assert [measured[name] for name in terms] == pytest.approx(shares, rel=0.05)


def test_a_run_is_named_by_both():
    assert run_name('configs/a.py', None) == 'a' and run_name('a', 'terms/b.py') == 'a-b'
    assert run_name('mmseg_kd::kd/a.b.py', None) == 'a.b'
