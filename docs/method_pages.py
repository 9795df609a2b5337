"""The pages on methods, made from configs, the metafile, and the costs that were measured."""

import csv
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

from gain_picture import gain_picture
from method_picture import method_picture
from mmengine.config import Config
from mmengine.fileio import load
from room_picture import floors_of, with_room_picture
from torch import nn

from mmseg_kd.distillers.dry_run import build_skeleton
from mmseg_kd.distillers.taps import LOGITS
from mmseg_kd.distillers.term import Term
from mmseg_kd.losses import AdversarialLoss, DistillLoss

PAIR = '_r101_r18_cityscapes'
HEADER = '<!-- Written by `python tools/make_docs.py`: change what it reads, not this page. -->\n\n'
ON_FEATURES = 'on features'
Costs = dict[str, dict[str, float]]


def docs_pages(root: Path) -> dict[str, str]:
    """Text of every generated page that is kept under version control, by its path below ``root``.

    Raises:
        ValueError: if a config cannot be built.
    """
    pages = {'docs/methods.md': methods_page(root / 'configs' / 'kd', costs_of(root))}
    results = root / 'docs' / 'benchmarks' / 'camvid.md'
    if results.exists():
        pages['docs/images/camvid_gains.svg'] = gain_picture(results.read_text(encoding='utf-8'))
    contributing = root / 'CONTRIBUTING.md'
    if contributing.exists():
        floors = floors_of(root / 'tests' / 'test_rooms.py')
        pages['CONTRIBUTING.md'] = with_room_picture(contributing.read_text(encoding='utf-8'), floors)
    return pages


def costs_of(root: Path) -> Costs:
    """The measured costs of the project at ``root``; empty if there are none."""
    measured = root / 'docs' / 'benchmarks' / 'losses.csv'
    return read_costs(measured) if measured.exists() else {}


def read_costs(path: Path) -> Costs:
    """The cost of every measured loss in units of one softmax-KL: ``ms / kl_ms`` of a table of benchmarks.

    Args:
        path: A CSV file with the columns ``loss``, ``ms``, ``kl_ms`` and ``note``, and others. The note
            names sizes that differ from the usual ones; one loss may have several rows.

    Returns:
        dict: The costs by note, for every loss.
    """
    costs: Costs = {}
    with open(path, newline='', encoding='utf-8') as file:
        for row in csv.DictReader(file):
            costs.setdefault(row['loss'], {})[row['note']] = float(row['ms']) / float(row['kl_ms'])
    return costs


def method_configs(folder: Path) -> list[Path]:
    """The configs of the pair ResNet-101 to ResNet-18 on Cityscapes: one for each method, in alphabetical order."""
    return sorted(folder.glob(f'*{PAIR}.py'), key=_method)


def methods_page(folder: Path, costs: Costs) -> str:
    """A table of all methods.

    Args:
        folder: The folder of the configs, ``*_r101_r18_cityscapes.py``, and of their ``metafile.yml``.
        costs: The costs of losses, by :func:`read_costs`. The cost of a method is unknown if one of its terms is missing.

    Raises:
        ValueError: if a config cannot be built.
    """
    metafile = _Metafile(folder)
    rows = [
        ('method', 'paper', 'terms (weight)', 'reads', 'trains, M', 'cost', 'published mIoU', 'config'),
        ('---',) * 8,
    ]
    for path in method_configs(folder):
        terms = _terms(path)
        rows.append(
            (
                _method(path),
                metafile.paper(path),
                '<br>'.join(f'{_links(term.loss)} ({_weight(term)})' for term in terms),
                _reads(terms),
                _trains(terms),
                _cost(terms, costs),
                metafile.published(path),
                f'[{path.name}](../configs/{folder.name}/{path.name})',
            )
        )
    return (
        HEADER
        + '\n\n'.join(
            [
                '# Methods',
                'Each row is one method, for one pair of networks and one data set: ResNet-101 teaches ResNet-18 on Cityscapes.',
                '- *reads*: the [paths](own_model.md#paths) of the student that the terms read.\n'
                '- *trains*: parameters, in millions, that are trained with the student and dropped after training. Auxiliary '
                'modules, such as a discriminator, have an optimizer of their own.\n'
                '- *cost*: time of the terms, forward and backward on one core, divided by that of one softmax-KL over '
                '19 x 64 x 128 logits. A star marks a term that was measured at another size '
                '([all sizes](benchmarks/losses.md)). The forward pass of the teacher, which every method needs, is not '
                'included.\n'
                '- *published mIoU*: the numbers of the papers, not measured with this project. Each paper has its own protocol '
                '(teacher, student, schedule, crops, pretrained weights), so rows cannot be compared with each other. Within a '
                'row, the baseline and the distilled student can.\n'
                '- *reconstructed*: neither the text of the paper nor code of its authors was available. We chose what the '
                'abstract leaves open, such as formulas, layers and weights. The documentation of each loss says what.',
                _table(rows),
            ]
        )
        + '\n'
    )


def zoo_pages(root: Path) -> dict[str, str]:
    """One page for each method: its picture, idea, terms, numbers and commands, by the name of the method.

    Args:
        root: The folder of the project.

    Raises:
        ValueError: if a config cannot be built.
    """
    folder = root / 'configs' / 'kd'
    costs, metafile = costs_of(root), _Metafile(folder)
    return {_method(path): _zoo_page(path, costs, metafile) for path in method_configs(folder)}


def _zoo_page(path: Path, costs: Costs, metafile: '_Metafile') -> str:
    method, terms = _method(path), _terms(path)
    losses = dict.fromkeys(type(term.loss) for term in terms)
    others = sorted(p.name for p in path.parent.glob(f'{method}_r101_*.py') if p != path)
    facts = [
        ('', ''),
        ('---', '---'),
        ('paper', metafile.paper(path)),
        ('reads', _reads(terms)),
        ('trained with the student', 'nothing' if _trains(terms) == '-' else f'{_trains(terms)} M parameters'),
        (
            'cost of the terms',
            f'{_cost(terms, costs)} x one softmax-KL ([how it was measured](../benchmarks/losses.md))',
        ),
        ('published mIoU', metafile.published(path)),
    ]
    config = Config(dict(terms=Config.fromfile(path).model.terms)).pretty_text.strip()
    return (
        '\n\n'.join(
            [
                f'# {method}',
                '\n'.join(f'- {{py:class}}`~mmseg_kd.losses.{loss.__name__}`: {_idea(loss)}' for loss in losses),
                f'```{{raw}} html\n{method_picture(terms)}\n```',
                'The student is on the left, the frozen teacher on the right. Each term compares what its lines point to.',
                _table(facts),
                '## Config',
                f'`configs/{path.parent.name}/{path.name}` adds these terms to the setup:',
                f'```python\n{config}\n```',
                f'```bash\npython tools/train.py configs/{path.parent.name}/{path.name}\n```',
                'Other setups of the method: ' + ', '.join(f'`{name}`' for name in others) + '.' if others else '',
            ]
        )
        + '\n'
    )


class _Metafile:
    """The papers and published numbers of the methods of a folder."""

    def __init__(self, folder: Path) -> None:
        content = load(str(folder / 'metafile.yml'))
        self.collections = {collection['Name']: collection for collection in content['Collections']}
        self.models = {model['Name']: model for model in content['Models']}

    def paper(self, path: Path) -> str:
        collection = self.collections.get(self.models.get(path.stem, {}).get('In Collection'), {})
        paper, source = collection.get('Paper'), collection.get('Metadata', {}).get('Reconstructed From')
        if not paper:
            return '-'
        return f'[{_escape(paper["Title"])}]({paper["URL"]})' + (
            f', *reconstructed* from its {source}' if source else ''
        )

    def published(self, path: Path) -> str:
        return published_gain(self.models.get(path.stem, {}))


def published_gain(model: dict[str, Any]) -> str:
    """The published mIoU: ``baseline -> distilled (+x)``, one value, that of other networks, or ``-``."""
    metrics = next(iter(model.get('Results', [])), {}).get('Metrics', {})
    distilled, baseline = (metrics.get(name) for name in ('mIoU', 'mIoU of the baseline'))
    if distilled is None or baseline is None:
        return model.get('Metadata', {}).get('Published', '-') if distilled is None else str(distilled)
    # Decimals, since 76.1 - 74.2 is 1.8999... in binary.
    return f'{baseline} -> {distilled} ({Decimal(str(distilled)) - Decimal(str(baseline)):+})'


def loss_facts(loss: type, costs: Costs) -> str:
    """Labels, channels, auxiliary module and measured cost of a loss, in one line of reST."""
    facts = [
        'needs labels' if loss.needs_labels else 'no labels',
        'needs equal channels' if loss.needs_equal_channels else 'channels may differ',
    ]
    if issubclass(loss, AdversarialLoss):
        facts.append('trains an auxiliary module' + ' before the term begins' * loss.critic_first)
    rows = costs.get(loss.__name__, {}).items()
    if rows:
        facts.append('cost ' + ', '.join(f'{cost:.1f} x ({note})' if note else f'{cost:.1f} x' for note, cost in rows))
    return '*' + '; '.join(facts) + '.*'


def _idea(loss: type) -> str:
    """The first sentence of a docstring, with its reST as Markdown of MyST."""
    text = ' '.join((loss.__dict__['__doc__'] or '').strip().split('\n\n')[0].split())
    text = re.sub(r':(class|func|meth|mod):`~?([^`]+)`', lambda match: f'`{match[2].rpartition(".")[2]}`', text)
    return re.sub(r':math:`([^`]+)`', r'$\1$', text).replace('``', '`')


def _links(loss: DistillLoss) -> str:
    """A loss that computes another one names both."""
    inner = getattr(loss, 'loss', None)
    name, module = type(loss).__name__, type(loss).__module__
    own = module.startswith('mmseg_kd.')
    link = f'[`{name}`](../{module.replace(".", "/")}.py)' if own else f'`{name}`'
    return link + (f' of {_links(inner)}' if isinstance(inner, DistillLoss) else '')


def _method(path: Path) -> str:
    return path.stem.removesuffix(PAIR)


def _terms(path: Path) -> list[Term]:
    """The terms of a config, built without weights."""
    try:
        return list(build_skeleton(Config.fromfile(path).model).terms.values())
    except Exception as error:
        raise ValueError(f'{path.name} must be the config of a Distiller that can be built, but: {error}') from error


def _table(rows: list[tuple[str, ...]]) -> str:
    return '\n'.join('| ' + ' | '.join(cell.replace('|', '\\|') for cell in row) + ' |' for row in rows)


def _escape(text: str) -> str:
    return re.sub(r'([\\*_<\[\]`$])', r'\\\1', text)


def _weight(term: Term) -> str:
    if term.schedule is None:
        return _short(term.weight)
    return f'{_short(term.schedule.weight)}, `{type(term.schedule).__name__}`'


def _short(weight: float) -> str:
    return f'{float(f"{weight:.3g}"):g}'


def _reads(terms: list[Term]) -> str:
    paths = [f'`{path}`' for path in dict.fromkeys(path for term in terms for path in term.student_paths)]
    return ', '.join(paths + ['labels'] * any(term.loss.needs_labels for term in terms))


def _trains(terms: list[Term]) -> str:
    everything = sum(map(_trainable, terms))
    critics = sum(_trainable(term.critic) for term in terms if term.critic is not None)
    if not everything:
        return '-'
    return _millions(everything) + (f' (auxiliary modules {_millions(critics)})' if critics else '')


def _trainable(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def _millions(count: int) -> str:
    return f'{count / 1e6:.2f}' if count >= 5000 else '< 0.01'


def _cost(terms: list[Term], costs: Costs) -> str:
    total, odd = 0.0, False
    for term in terms:
        rows = costs.get(type(term.loss).__name__)
        if not rows:
            return '-'
        on_features = ON_FEATURES in rows and term.student_paths[0] != LOGITS
        note = ON_FEATURES if on_features else next(iter(rows))
        total, odd = total + rows[note], odd or note not in ('', ON_FEATURES)
    return f'{total:.1f}' + '\\*' * odd
