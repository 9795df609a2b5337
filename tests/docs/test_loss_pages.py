"""The pages that are made from docstrings, configs and the metafile."""

import functools
import re
import runpy
import shutil
import sys
from pathlib import Path

import pytest
from loss_pages import (
    docs_pages,
    docstring_to_markdown,
    documented_losses,
    losses_page,
    methods_page,
    published_lift,
    read_costs,
)
from mmengine.fileio import dump, load
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

from mmseg_kd import losses, masks
from mmseg_kd.losses import AdversarialLoss, DistillLoss, HolisticCritic, PixelWiseKDLoss
from mmseg_kd.testing.toys import toy_segmentor

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope='module')
def pages():
    """MMEngine reads fifty metafiles for every `mmseg::`."""
    init_default_scope('mmseg')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('mmengine.config.utils.load', functools.lru_cache(maxsize=None)(load))
        return docs_pages(ROOT)


def section(page, name):
    return page.partition(f'\n## {name}\n\n')[2].partition('\n## ')[0].strip()


@pytest.mark.parametrize('name', ['docs/losses.md', 'docs/methods.md'])
def test_the_committed_page_is_current(pages, name):
    current = (ROOT / name).read_text(encoding='utf-8') == pages[name]
    assert current, f'{name} is out of date; run: python tools/make_docs.py'


def test_every_exported_loss_has_a_section_and_a_line_in_the_list(pages):
    page = pages['docs/losses.md']
    bases = ('DistillLoss', 'AdversarialLoss', 'HolisticCritic', 'BatchNormCritic')
    names = [name for name in losses.__all__ + masks.__all__ if name not in bases]
    assert re.findall(r'^## (\w+)$', page, re.MULTILINE) == sorted(names, key=str.lower)
    assert re.findall(r'^- \[`(\w+)`\]\(#\w+\): \S', page, re.MULTILINE) == sorted(names, key=str.lower)


def test_every_method_has_a_row(pages):
    rows = re.findall(r'^\| (\w+) \| .*\| \[(\w+)\.py\]', pages['docs/methods.md'], re.MULTILINE)
    configs = (ROOT / 'configs' / 'kd').glob('*_r101_r18_cityscapes.py')
    assert rows == sorted((path.stem.removesuffix('_r101_r18_cityscapes'), path.stem) for path in configs)


@pytest.mark.parametrize('name', ['docs/losses.md', 'docs/methods.md'])
def test_every_link_leads_somewhere(pages, name):
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


class WholeLoss(DistillLoss):
    r"""Match ``a_b`` of each pixel, as
    :class:`PixelWiseKDLoss` does.

    .. math:: L = \sum_p x^s_p

    .. math::

        x = \frac{a}{b}, \qquad
            y < 3

    with :math:`x_p` of :func:`~mmseg_kd.losses.ops.sample_labels`, :class:`torch.nn.Module`,
    :mod:`mmseg_kd.losses.ops` and :meth:`setup`; 2 * 3 <b> [1] _so_ and a_b_c.

    Args:
        alpha: the weight
            :math:`\alpha`.
        size: of it.

    Shape:
        maps (N, C, H, W). A scalar.

    Raises:
        ValueError: if ``alpha`` is negative.
        TypeError: if not.
        ValueError: if ``size`` is.

    Paper: Some et al., "Title" (arXiv
    1503.02531, DOI 10.3390/s20164616). Deviation: none.
    """

    def __init__(self, alpha: float, size: tuple = (1, 2)) -> None:
        super().__init__()

    def compute(self, student, teacher):
        return (student - teacher).mean()


def test_a_docstring_becomes_markdown_of_github():
    assert (
        docstring_to_markdown(WholeLoss)
        == r"""
Match `a_b` of each pixel, as [`PixelWiseKDLoss`](#pixelwisekdloss) does.

```math
L = \sum_p x^s_p
```

```math
x = \frac{a}{b}, \qquad
    y < 3
```

with $`x_p`$ of [`sample_labels`](../mmseg_kd/losses/ops.py), `torch.nn.Module`, """.lstrip()
        + r"""[`mmseg_kd.losses.ops`](../mmseg_kd/losses/ops.py) and `setup`; 2 \* 3 \<b> \[1] \_so\_ and a_b_c.

**Arguments:**

- `alpha`: the weight $`\alpha`$.
- `size=(1, 2)`: of it.

**Shape:** maps (N, C, H, W). A scalar.

**Raises:** `ValueError` if `alpha` is negative. `TypeError` if not. `ValueError` if `size` is.

**Paper:** Some et al., "Title" ([arXiv 1503.02531](https://arxiv.org/abs/1503.02531), """
        r"""[DOI 10.3390/s20164616](https://doi.org/10.3390/s20164616)). Deviation: none."""
    )


def loss_with(docstring, parent=DistillLoss):
    return type('OddLoss', (parent,), {'__doc__': docstring, '__module__': __name__})


def test_a_short_docstring_refers_to_the_parent():
    text = docstring_to_markdown(loss_with('Half of :class:`PixelWiseKDLoss`.', PixelWiseKDLoss))
    link = '[`PixelWiseKDLoss`](#pixelwisekdloss)'
    assert text == f'Half of {link}.\n\nAll else is as in {link}.'


@pytest.mark.parametrize(
    'docstring, parent, message',
    [
        ('Idea of :class:`NoSuchLoss`.', DistillLoss, 'refers to :class:`NoSuchLoss`, which does not exist'),
        ('Idea of :class:`~mmseg_kd.losses.cbam.NoSuch`.', DistillLoss, 'which does not exist'),
        ('Idea of :meth:`no_such`.', DistillLoss, 'which does not exist'),
        ('Idea of `this`.', DistillLoss, 'has markup that is not known at "`this`."'),
        ('Idea.\n\n.. note:: this', DistillLoss, 'has markup that is not known at ".. note:: this"'),
        (None, DistillLoss, 'is empty'),
        ('Idea.\n\nShape:\n    a scalar.', PixelWiseKDLoss, 'has no section Args'),
        (
            'Idea.\n\nArgs:\n    tau: of it.\n\nShape:\n    a scalar.',
            PixelWiseKDLoss,
            'documents tau, but the signature has temperature',
        ),
        (
            'Idea.\n\nArgs:\n    tau: of it.\n\nShape:\n    a scalar.',
            DistillLoss,
            'documents tau, but the signature has nothing',
        ),
        (
            'Idea.\n\nRaises:\n    if odd.\n\nShape:\n    a scalar.',
            DistillLoss,
            'needs "name: text" in the section Raises, but has \'if odd.\'',
        ),
    ],
)
def test_what_cannot_be_rendered_is_named(docstring, parent, message):
    with pytest.raises(ValueError) as error:
        docstring_to_markdown(loss_with(docstring, parent))
    assert str(error.value).startswith('the docstring of OddLoss ') and str(error.value).endswith(message)


def test_the_line_under_a_name_tells_what_a_loss_wants():
    costs = {'IFVDLoss': {'': 12.34}, 'CWDLoss': {'': 1.04, 'on features': 20.0}, 'HintLoss': {'32 x 64': 5.25}}
    page = losses_page(costs)
    assert section(page, 'IFVDLoss').splitlines()[0] == (
        '`IFVDLoss()` · needs labels · channels may differ · no critic · cost 12.3 x · '
        '[source](../mmseg_kd/losses/ifvd_loss.py)'
    )
    assert ' · cost 1.0 x, 20.0 x (on features) · ' in section(page, 'CWDLoss')
    assert ' · cost 5.2 x (32 x 64) · ' in section(page, 'HintLoss')
    assert section(page, 'HolisticKDLoss').splitlines()[0] == (
        '`HolisticKDLoss(penalty=10.0)` · no labels · equal channels · a critic · '
        '[source](../mmseg_kd/losses/holistic_kd_loss.py)'
    )
    assert section(page, 'PixelWiseKDLoss').splitlines()[0] == (
        '`PixelWiseKDLoss(temperature=1.0)` · no labels · equal channels · no critic · '
        '[source](../mmseg_kd/losses/pixel_wise_kd_loss.py)'
    )


def test_a_critic_that_learns_first_is_told(monkeypatch):
    monkeypatch.setattr(losses.HolisticKDLoss, 'critic_first', True)
    assert ' · a critic that learns before the term begins · ' in section(losses_page({}), 'HolisticKDLoss')


def test_base_classes_and_parts_have_no_section():
    assert not {DistillLoss, AdversarialLoss, HolisticCritic} & set(documented_losses())


@MODELS.register_module(force=True)
class HalfOf(DistillLoss):
    """Half of a loss.

    Args:
        loss: config of it.

    Example:
        >>> loss=dict(
        ...     type='HalfOf')
    """

    def __init__(self, loss: dict) -> None:
        super().__init__()
        self.loss = MODELS.build(loss)

    def compute(self, student, teacher):
        return self.loss.compute(student, teacher) / 2


def test_a_loss_of_a_loss_says_so(monkeypatch):
    monkeypatch.setattr(losses, 'HalfOf', HalfOf, raising=False)
    monkeypatch.setattr(losses, '__all__', ['HalfOf', 'HintLoss'])
    assert section(losses_page({}), 'HalfOf') == (
        '`HalfOf(loss)` · computes another loss · [source]()\n\nHalf of a loss.\n\n**Arguments:**\n\n'
        "- `loss`: config of it.\n\n**Example:**\n\n```pycon\n>>> loss=dict(\n...     type='HalfOf')\n```"
    )


def test_a_loss_of_a_loss_names_both_in_its_row(folder):
    path = folder / 'one_r101_r18_cityscapes.py'
    path.write_text(path.read_text().replace("{'type': 'BPKDLoss'}", "{'type': 'HalfOf', 'loss': {'type': 'CWDLoss'}}"))
    assert cells(methods_page(folder, {}), 'one')[2].endswith('<br>`HalfOf` of [`CWDLoss`](losses.md#cwdloss) (0.25)')


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
        (dict(mIoU=76.1, **{'mIoU of the student alone': 74.2}), '74.2 -> 76.1 (+1.9)'),
        (dict(mIoU=70.05, **{'mIoU of the student alone': 71.1}), '71.1 -> 70.05 (-1.05)'),
        (dict(mIoU=76.1), '76.1'),
        ({}, '-'),
        (None, '-'),
    ],
)
def test_the_lift_is_what_the_metafile_states(metrics, shown):
    result = dict(Task='Semantic Segmentation', Dataset='Cityscapes')
    assert published_lift(dict(Results=[result if metrics is None else dict(result, Metrics=metrics)])) == shown
    assert published_lift({}) == '-'


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
        '[`HintLoss`](losses.md#hintloss) (2, `CutoffWeight`)<br>[`BPKDLoss`](losses.md#bpkdloss) (0.25)',
        '`backbone.layer4`, `logits`, labels',
        '< 0.01',
        '5.8',
        '75.5',
        '[one_r101_r18_cityscapes.py](../configs/kd/one_r101_r18_cityscapes.py)',
    ]
    critic = sum(p.numel() for p in HolisticCritic(4 + 3).parameters())
    assert cells(page, 'a_critic')[1:7] == [
        '-',
        '[`HolisticKDLoss`](losses.md#holistickdloss) (1)',
        '`logits`, `inputs`',
        f'{critic / 1e6:.2f} (critics {critic / 1e6:.2f})',
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
    assert page.count('*reconstructed*') == 1 and cells(page, 'a_critic')[1] == '-'


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
    assert capsys.readouterr().out == 'written: docs/losses.md\nwritten: docs/methods.md\n'
    run('--check')
    (root / 'docs' / 'benchmarks' / 'losses.csv').write_text('loss,ms,kl_ms,note\nHintLoss,30,20,\nBPKDLoss,80,20,\n')
    with pytest.raises(SystemExit, match='^docs/losses.md is out of date'):
        run('--check')
    run()
    assert capsys.readouterr().out == 'written: docs/losses.md\nwritten: docs/methods.md\n'
    assert '· cost 1.5 x ·' in section((root / 'docs' / 'losses.md').read_text(), 'HintLoss')
    assert cells((root / 'docs' / 'methods.md').read_text(), 'one')[5] == '5.5'
    (root / 'docs' / 'methods.md').write_text('old')
    with pytest.raises(SystemExit, match=r'^docs/methods.md is out of date; run: python tools/make_docs.py$'):
        run('--check')
    assert (root / 'docs' / 'methods.md').read_text() == 'old'
    run()
    assert capsys.readouterr().out == 'written: docs/methods.md\n'
