"""The pages that are made from docstrings, configs and the metafile."""

import re
import runpy
import shutil
import sys
from pathlib import Path

import dry_runs
import pytest
from method_pages import docs_pages, loss_facts, methods_page, published_gain, read_costs, zoo_pages
from mmengine.fileio import dump, load
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

from mmseg_kd import losses
from mmseg_kd.losses import DistillLoss, HolisticCritic
from mmseg_kd.testing.toys import toy_segmentor

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope='module')
def pages():
    init_default_scope('mmseg')
    with pytest.MonkeyPatch.context() as patch:
        dry_runs.remember(patch)
        return docs_pages(ROOT)


@pytest.mark.parametrize('name', ['docs/methods.md', 'CONTRIBUTING.md', 'docs/images/camvid_gains.svg'])
def test_the_committed_page_is_current(pages, name):
    current = (ROOT / name).read_text(encoding='utf-8') == pages[name]
    assert current, f'{name} is out of date; run: python tools/make_docs.py'


def test_every_method_has_a_row(pages):
    rows = re.findall(r'^\| (\w+) \| .*\| \[(\w+)\.py\]', pages['docs/methods.md'], re.MULTILINE)
    configs = (ROOT / 'configs' / 'kd').glob('*_r101_r18_cityscapes.py')
    assert rows == sorted((path.stem.removesuffix('_r101_r18_cityscapes'), path.stem) for path in configs)


def test_every_link_leads_somewhere(pages):
    name = 'docs/methods.md'
    text = pages[name]
    targets = set(re.findall(r'\]\(([^)]+)\)', text))
    assert len(targets) > 5
    for target in targets:
        path, _, anchor = target.partition('#')
        if path.startswith('https://'):
            continue
        file = (ROOT / name).parent / path if path else ROOT / name
        assert file.is_file(), target
        if anchor:
            page = pages.get(file.resolve().relative_to(ROOT).as_posix()) or file.read_text(encoding='utf-8')
            headings = re.findall(r'^#+ (.+)$', page, re.MULTILINE)
            assert anchor in [re.sub(r'[^\w -]', '', heading).lower().replace(' ', '-') for heading in headings], target


def test_the_line_under_a_loss_tells_what_it_needs_and_costs():
    costs = {'IFVDLoss': {'': 12.34}, 'CWDLoss': {'': 1.04, 'on features': 20.0}}
    assert loss_facts(losses.IFVDLoss, costs) == '*needs labels; channels may differ; cost 12.3 x.*'
    assert loss_facts(losses.CWDLoss, costs) == '*no labels; needs equal channels; cost 1.0 x, 20.0 x (on features).*'
    assert loss_facts(losses.HolisticKDLoss, costs) == '*no labels; needs equal channels; trains an auxiliary module.*'


def test_a_critic_that_learns_first_is_told(monkeypatch):
    monkeypatch.setattr(losses.HolisticKDLoss, 'critic_first', True)
    assert loss_facts(losses.HolisticKDLoss, {}).endswith('trains an auxiliary module before the term begins.*')


@MODELS.register_module(force=True)
class HalfOf(DistillLoss):
    """Half of a loss."""

    def __init__(self, loss: dict) -> None:
        super().__init__()
        self.loss = MODELS.build(loss)

    def compute(self, student, teacher):
        return self.loss.compute(student, teacher) / 2


def test_a_loss_of_a_loss_names_both_in_its_row(folder):
    path = folder / 'one_r101_r18_cityscapes.py'
    path.write_text(path.read_text().replace("{'type': 'BPKDLoss'}", "{'type': 'HalfOf', 'loss': {'type': 'CWDLoss'}}"))
    assert cells(methods_page(folder, {}), 'one')[2].endswith(
        '`HalfOf` of [`CWDLoss`](../mmseg_kd/losses/cwd_loss.py) (0.25)'
    )


def test_costs_are_times_of_one_softmax_kl(tmp_path):
    path = tmp_path / 'losses.csv'
    path.write_text(
        'loss,ms,textbook_ms,kl_ms,kept_mib,textbook_kept_mib,peak_mib,textbook_peak_mib,note\n'
        'CWDLoss,30.0,45.0,20.0,1,2,3,4,\n'
        'IFVDLoss,5,,20.0,,,,,"128, not 512"\n'
        'CWDLoss,80,90,20,1,2,3,4,on features\n'
    )
    assert read_costs(path) == {'CWDLoss': {'': 1.5, 'on features': 4.0}, 'IFVDLoss': {'128, not 512': 0.25}}


@pytest.mark.parametrize(
    'metrics, shown',
    [
        (dict(mIoU=76.1, **{'mIoU of the baseline': 74.2}), '74.2 -> 76.1 (+1.9)'),
        (dict(mIoU=70.05, **{'mIoU of the baseline': 71.1}), '71.1 -> 70.05 (-1.05)'),
        (dict(mIoU=76.1), '76.1'),
        ({}, '-'),
        (None, '-'),
    ],
)
def test_the_gain_is_what_the_metafile_states(metrics, shown):
    result = dict(Task='Semantic Segmentation', Dataset='Cityscapes')
    assert published_gain(dict(Results=[result if metrics is None else dict(result, Metrics=metrics)])) == shown
    assert published_gain({}) == '-'


@pytest.fixture
def folder(tmp_path):
    """Two methods: one with a metafile entry, labels, a schedule and an adapter; one with a critic and no entry."""
    path = tmp_path / 'configs' / 'kd'
    path.mkdir(parents=True)
    student, teacher = (toy_segmentor(width).to_dict() for width in (4, 8))

    def write(name, **terms):
        model = dict(type='Distiller', student=student, teacher=dict(model=teacher), terms=terms)
        (path / f'{name}_r101_r18_cityscapes.py').write_text(f'model = {model!r}\n')

    write(
        'one',
        loss_a=dict(
            student='backbone.layer4',
            teacher='backbone.layer4',
            loss=dict(type='HintLoss'),
            weight=dict(type='CutoffWeight', weight=2.0, end=3),
        ),
        loss_b=dict(student='logits', teacher='logits', loss=dict(type='BPKDLoss'), weight=0.25),
    )
    write('a_critic', loss_c=dict(student=['logits', 'inputs'], teacher='logits', loss=dict(type='HolisticKDLoss')))
    entry = dict(Name='one_r101_r18_cityscapes', Results=[dict(Metrics=dict(mIoU=75.5))])
    paper = dict(Title='On *stars* | bars', URL='https://example.org/1')
    dump(
        dict(
            Collections=[dict(Name='First | Best', Paper=paper)],
            Models=[dict(entry, **{'In Collection': 'First | Best'})],
        ),
        str(path / 'metafile.yml'),
    )
    return path


def cells(page, method):
    (row,) = [line for line in page.splitlines() if line.startswith(f'| {method} |')]
    return [cell.strip() for cell in re.split(r'(?<!\\)\|', row)[1:-1]]


def test_a_row_tells_terms_paths_parameters_cost_and_source(folder):
    page = methods_page(folder, {'HintLoss': {'': 1.25}, 'BPKDLoss': {'': 4.5, 'on features': 90.0}})
    assert cells(page, 'one') == [
        'one',
        r'[On \*stars\* \| bars](https://example.org/1)',
        '[`HintLoss`](../mmseg_kd/losses/hint_loss.py) (2, `CutoffWeight`)<br>'
        '[`BPKDLoss`](../mmseg_kd/losses/bpkd_loss.py) (0.25)',
        '`backbone.layer4`, `logits`, labels',
        '< 0.01',
        '5.8',
        '75.5',
        '[one_r101_r18_cityscapes.py](../configs/kd/one_r101_r18_cityscapes.py)',
    ]
    critic = sum(p.numel() for p in HolisticCritic(4 + 3).parameters())
    assert cells(page, 'a_critic')[1:7] == [
        '-',
        '[`HolisticKDLoss`](../mmseg_kd/losses/holistic_kd_loss.py) (1)',
        '`logits`, `inputs`',
        f'{critic / 1e6:.2f} (auxiliary modules {critic / 1e6:.2f})',
        '-',
        '-',
    ]
    lines = [line for line in page.splitlines() if line.startswith('|')]
    assert [line.split()[1] for line in lines[2:]] == ['a_critic', 'one']


def test_a_method_that_is_made_from_an_abstract_says_so(folder):
    metafile = load(str(folder / 'metafile.yml'))
    metafile['Collections'][0]['Metadata'] = {'Reconstructed From': 'abstract'}
    dump(metafile, str(folder / 'metafile.yml'))
    page = methods_page(folder, {})
    assert cells(page, 'one')[1].endswith('(https://example.org/1), *reconstructed* from its abstract')
    assert page.count('), *reconstructed* from') == 1 and cells(page, 'a_critic')[1] == '-'


def test_the_methods_of_which_only_the_abstract_was_read_are_marked(pages):
    rows = pages['docs/methods.md'].splitlines()
    marked = [row.split()[1] for row in rows if '*reconstructed* from its abstract' in row]
    assert marked == ['consistency', 'csc_ace', 'fakd', 'idd', 'ka', 'salc', 'sstkd']


def test_a_measured_part_of_a_method_is_not_its_cost(folder):
    assert cells(methods_page(folder, {'HintLoss': {'': 1.25}}), 'one')[5] == '-'


def test_a_cost_is_that_of_the_maps_which_the_term_reads(folder):
    costs = {'HintLoss': {'': 1.25, 'on features': 8.0}, 'BPKDLoss': {'labels at stride 1': 4.5, 'on features': 90.0}}
    assert cells(methods_page(folder, costs), 'one')[5] == r'12.5\*'


def test_a_method_without_adapter_generator_and_critic_learns_nothing(folder):
    path = folder / 'one_r101_r18_cityscapes.py'
    path.write_text(path.read_text().replace("'HintLoss'", "'AttentionTransferLoss'"))
    assert cells(methods_page(folder, {}), 'one')[4] == '-'


def test_a_config_that_cannot_be_built_is_named(folder):
    path = folder / 'one_r101_r18_cityscapes.py'
    path.write_text(path.read_text().replace('backbone.layer4', 'backbone.layer9'))
    message = r'^one_r101_r18_cityscapes.py must .* but: model.terms.loss_a.student: "backbone.layer9"'
    with pytest.raises(ValueError, match=message):
        methods_page(folder, {})


def test_the_tool_writes_the_pages_and_then_finds_them_current(folder, monkeypatch, capsys):
    root = folder.parents[1]
    (root / 'tools').mkdir()
    (root / 'docs' / 'benchmarks').mkdir(parents=True)
    tool = shutil.copy(ROOT / 'tools' / 'make_docs.py', root / 'tools')

    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', ['make_docs.py', *arguments])
        runpy.run_path(tool, run_name='__main__')

    run()
    assert capsys.readouterr().out == 'written: docs/methods.md\n'
    run('--check')
    (root / 'docs' / 'benchmarks' / 'losses.csv').write_text('loss,ms,kl_ms,note\nHintLoss,30,20,\nBPKDLoss,80,20,\n')
    with pytest.raises(SystemExit, match='^2$'):
        run('--check')
    assert capsys.readouterr().err == 'error: docs/methods.md is out of date; run: python tools/make_docs.py\n'
    run()
    assert cells((root / 'docs' / 'methods.md').read_text(), 'one')[5] == '5.5'


def test_every_method_has_a_page_in_the_zoo_with_picture_terms_and_numbers(folder):
    pages = zoo_pages(folder.parents[1])
    assert sorted(pages) == ['a_critic', 'one']
    page = pages['one']
    assert '- {py:class}`~mmseg_kd.losses.HintLoss`: Regress the teacher' in page and page.count('<svg') == 1
    assert '| published mIoU | 75.5 |' in page
    assert 'loss_b=dict(' in page and 'python tools/train.py configs/kd/one_r101_r18_cityscapes.py' in page
