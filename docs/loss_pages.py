"""The pages on losses and methods, made from docstrings, configs, the metafile and the measured costs."""

import csv
import inspect
import pkgutil
import re
import sys
import textwrap
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

from mmengine.config import Config
from mmengine.fileio import load
from torch import nn

from mmseg_kd import losses, masks
from mmseg_kd.distillers.dry_run import build_skeleton
from mmseg_kd.distillers.taps import LOGITS
from mmseg_kd.distillers.term import Term
from mmseg_kd.losses import AdversarialLoss, DistillLoss

PAIR = '_r101_r18_cityscapes'
HEADER = '<!-- Written by `python tools/make_docs.py`: change what it reads, not this page. -->\n\n'
ON_FEATURES = 'on features'
Costs = dict[str, dict[str, float]]
PACKAGE = Path(__file__).resolve().parents[1] / 'mmseg_kd'
INLINE = re.compile(
    r':(?P<role>\w+):`(?P<target>[^`]+)`|``(?P<code>.+?)``|(?P<other>`|\.\. \w+::)'
    r'|(?P<arxiv>arXiv \d{4}\.\d{4,5})|(?P<doi>DOI 10\.[^\s,;)]*[^\s,;).])'
    r'|(?P<special>[\\*<\[$]|\b_\B|\B_\b)'
)
SECTION = re.compile(r'(Args|Shape|Raises|Example):\n(.*)', re.DOTALL)
ENTRY = re.compile(r'^(\w+): ', re.MULTILINE)


def docs_pages(root: Path) -> dict[str, str]:
    """Text of every generated page, by its path below ``root``, the folder of the project.

    Raises:
        ValueError: if a docstring cannot be rendered, or a config not be built.
    """
    measured = root / 'docs' / 'benchmarks' / 'losses.csv'
    costs = read_costs(measured) if measured.exists() else {}
    return {'docs/losses.md': losses_page(costs), 'docs/methods.md': methods_page(root / 'configs' / 'kd', costs)}


def read_costs(path: Path) -> Costs:
    """What every measured loss costs, in times of one softmax-KL: ``ms / kl_ms`` of a table of benchmarks.

    Args:
        path: a CSV file with the columns ``loss``, ``ms``, ``kl_ms`` and ``note``, and others. The note tells the sizes
            where they are not the usual ones; one loss may have rows of several notes.

    Returns:
        dict: the costs by note, for every loss.
    """
    costs: Costs = {}
    with open(path, newline='', encoding='utf-8') as file:
        for row in csv.DictReader(file):
            costs.setdefault(row['loss'], {})[row['note']] = float(row['ms']) / float(row['kl_ms'])
    return costs


def documented_losses() -> list[type]:
    """All losses that the package exports, in alphabetical order; neither their base classes nor their parts."""
    exported = [getattr(room, name) for room in (losses, masks) for name in room.__all__]
    found = [c for c in exported if issubclass(c, DistillLoss) and c not in (DistillLoss, AdversarialLoss)]
    return sorted(found, key=lambda loss: loss.__name__.lower())


def losses_page(costs: Costs) -> str:
    """One section per loss, and a list of them above.

    Args:
        costs: see :func:`read_costs`; a loss that is not among them shows none.
    """
    sections = [_section(loss, costs) for loss in documented_losses()]
    ideas = [f'- {_link(loss)}: {_Docstring(loss).idea()}' for loss in documented_losses()]
    return (
        HEADER
        + '\n\n'.join(
            [
                '# Losses',
                "Each is the `loss` of a term, as `loss=dict(type='CWDLoss', temperature=4.0)`; [Methods](methods.md) shows "
                'them at work, and [Add a loss](add_a_loss.md) how to write one. Adapters, resizing and weights belong to the '
                'term.',
                'The line under each name says how it is called, and then: whether it needs labels; whether the channels of '
                'student and teacher must be equal (where those of features differ, the term puts a 1x1 convolution in); '
                'whether it has a critic, which wants an optimiser of its own; and, where it was measured, what it costs, '
                'forward and backward on one core, in times of one softmax-KL over 19x64x128 logits, for logits of that size '
                'or features of 512 channels on that grid; what differs from these sizes is in parentheses. A loss that computes '
                'another one needs what that needs, and what its own text says.',
                '\n'.join(ideas),
                *sections,
            ]
        )
        + '\n'
    )


def methods_page(folder: Path, costs: Costs) -> str:
    """A table of all methods: the configs of the pair ResNet-101 to ResNet-18 on Cityscapes.

    Args:
        folder: of these configs, ``*_r101_r18_cityscapes.py``, and of their ``metafile.yml``.
        costs: see :func:`read_costs`; a method with a term that is not among them shows none.

    Raises:
        ValueError: if a config cannot be built.
    """
    metafile = load(str(folder / 'metafile.yml'))
    collections = {collection['Name']: collection for collection in metafile['Collections']}
    models = {model['Name']: model for model in metafile['Models']}
    rows = [
        ('method', 'paper', 'terms (weight)', 'reads', 'learns, M', 'cost', 'published mIoU', 'config'),
        ('---',) * 8,
    ]
    for path in sorted(folder.glob(f'*{PAIR}.py'), key=_method):
        model = models.get(path.stem, {})
        terms = _terms(path)
        rows.append(
            (
                _method(path),
                _paper(collections.get(model.get('In Collection'), {})),
                '<br>'.join(f'{_links(term.loss)} ({_weight(term)})' for term in terms),
                _reads(terms),
                _learns(terms),
                _cost(terms, costs),
                published_lift(model),
                f'[{path.name}](../configs/{folder.name}/{path.name})',
            )
        )
    table = '\n'.join('| ' + ' | '.join(cell.replace('|', '\\|') for cell in row) + ' |' for row in rows)
    return (
        HEADER
        + '\n\n'.join(
            [
                '# Methods',
                'One row per method, for one pair of networks and one data set: ResNet-101 teaches ResNet-18 on Cityscapes. '
                '*Reads* are the [paths](../README.md#distil-your-own-model) of the student; *learns* are the parameters, in '
                'millions, that train beside the student and are gone after training; *cost* is the sum over the terms of '
                'time, forward and backward, in times of one softmax-KL over 19x64x128 logits, with a star where one was '
                'measured at other sizes than the rest. The formulas, and these sizes, are in [Losses](losses.md).',
                table,
                '*Reconstructed* from an abstract: neither the text of the paper nor code of its authors was at hand. What the '
                'abstract leaves open, such as formulas, layers and weights, is ours; the section of each loss says what.',
                'Published numbers are those of the papers, not measured with this project. Each paper has its own protocol '
                '(teacher, student, schedule, crops, pretrained weights), so that rows cannot be compared with each other; '
                'what can is a student alone and the same student distilled, in one row. The costs are those of the losses '
                'alone, on one core; the forward pass of the teacher, which every method needs, is not in them.',
            ]
        )
        + '\n'
    )


def published_lift(model: dict[str, Any]) -> str:
    """Published numbers of a model: ``alone -> distilled (+x)``, mIoU alone, that of other networks, or ``-``."""
    metrics = next(iter(model.get('Results', [])), {}).get('Metrics', {})
    distilled, alone = (metrics.get(name) for name in ('mIoU', 'mIoU of the student alone'))
    if distilled is None or alone is None:
        return model.get('Metadata', {}).get('Published', '-') if distilled is None else str(distilled)
    # Decimals, since 76.1 - 74.2 is 1.8999... in binary.
    return f'{alone} -> {distilled} ({Decimal(str(distilled)) - Decimal(str(alone)):+})'


def _section(loss: type, costs: Costs) -> str:
    name = loss.__name__
    parameters = _parameters(loss)
    facts = [f'`{name}({", ".join(map(_argument, parameters.values()))})`']
    if 'loss' in parameters:
        facts += ['a base class'] * inspect.isabstract(loss) + ['computes another loss']
    else:
        facts += [
            'needs labels' if loss.needs_labels else 'no labels',
            'equal channels' if loss.needs_equal_channels else 'channels may differ',
            _critic(loss),
        ]
    if name in costs:
        rows = costs[name].items()
        facts.append('cost ' + ', '.join(f'{cost:.1f} x ({note})' if note else f'{cost:.1f} x' for note, cost in rows))
    facts.append(f'[source]({_file(loss)})')
    return f'## {name}\n\n' + ' · '.join(facts) + '\n\n' + docstring_to_markdown(loss)


def docstring_to_markdown(loss: type) -> str:
    """The docstring of a loss, from the reST of Sphinx with Google's sections to the Markdown of GitHub.

    Raises:
        ValueError: if it has markup that is not known, refers to what does not exist, or documents other arguments than
            the signature has.
    """
    return _Docstring(loss).markdown()


class _Docstring:
    """Formulas become math blocks, and references links; what a subclass does not repeat is left to its parent."""

    def __init__(self, loss: type) -> None:
        self._loss = loss
        text = inspect.cleandoc(loss.__dict__['__doc__'] or '')
        if not text:
            raise self._error('is empty')
        # A blank line in a section or in a formula is followed by an indented one.
        self._blocks = re.split(r'\n\n+(?=\S)', text)

    def idea(self) -> str:
        return self._inline(self._blocks[0])

    def markdown(self) -> str:
        parts = [self._block(block) for block in self._blocks]
        documented = {match[1] for match in map(SECTION.match, self._blocks) if match}
        parent = self._loss.__bases__[0]
        if 'Shape' not in documented and parent in documented_losses():
            parts.append(f'All else is as in {_link(parent)}.')
        elif 'Args' not in documented and _parameters(self._loss):
            raise self._error('has no section Args')
        return '\n\n'.join(parts)

    def _block(self, block: str) -> str:
        if block.startswith('.. math::'):
            first, _, rest = block.removeprefix('.. math::').partition('\n')
            formula = f'{first.strip()}\n{textwrap.dedent(rest)}'.strip()
            return f'```math\n{formula}\n```'
        section = SECTION.match(block)
        if section is None:
            label = re.match(r'(Paper|Papers|Source): ', block)
            return f'**{label[1]}:** ' + self._inline(block[label.end() :]) if label else self._inline(block)
        kind, body = section[1], textwrap.dedent(section[2])
        if kind == 'Example':
            return f'**Example:**\n\n```pycon\n{body}\n```'
        if kind == 'Shape':
            return f'**Shape:** {self._inline(body)}'
        entries = self._entries(kind, body)
        if kind == 'Raises':
            return '**Raises:** ' + ' '.join(f'`{name}` {self._inline(text)}' for name, text in entries)
        parameters = _parameters(self._loss)
        names = [name for name, _ in entries]
        if names != list(parameters):
            raise self._error(
                f'documents {", ".join(names)}, but the signature has {", ".join(parameters) or "nothing"}'
            )
        return '**Arguments:**\n\n' + '\n'.join(
            f'- `{_argument(parameters[name])}`: {self._inline(text)}' for name, text in entries
        )

    def _entries(self, kind: str, body: str) -> list[tuple[str, str]]:
        before, *parts = ENTRY.split(body)
        if before or not parts:
            raise self._error(f'needs "name: text" in the section {kind}, but has {body!r}')
        return list(zip(parts[::2], parts[1::2]))

    def _inline(self, text: str) -> str:
        # One line per paragraph: a wrapped line might begin with what Markdown takes for a list.
        return INLINE.sub(self._markup, ' '.join(text.split()))

    def _markup(self, match: 're.Match[str]') -> str:
        if match['role'] == 'math':
            return f'$`{match["target"]}`$'
        if match['role']:
            return self._reference(match['role'], match['target'])
        if match['code']:
            return f'`{match["code"]}`'
        if match['arxiv']:
            return f'[{match[0]}](https://arxiv.org/abs/{match[0].split()[1]})'
        if match['doi']:
            return f'[{match[0]}](https://doi.org/{match[0].split()[1]})'
        if match['special']:
            return '\\' + match[0]
        raise self._error(f'has markup that is not known at "{match.string[match.start() :][:40]}"')

    def _reference(self, role: str, target: str) -> str:
        name = target.lstrip('~')
        shown = f'`{name.rpartition(".")[2] if target.startswith("~") else name}`'
        if role == 'meth' and hasattr(self._loss, name):
            return shown
        found = getattr(sys.modules[self._loss.__module__], name, None) or getattr(losses, name, None)
        try:
            found = found or pkgutil.resolve_name(name)
        except (ImportError, AttributeError, ValueError):
            raise self._error(f'refers to :{role}:`{target}`, which does not exist') from None
        if found in documented_losses():
            return _link(found)
        file = _file(found)
        return f'[{shown}]({file})' if file else shown

    def _error(self, what: str) -> ValueError:
        return ValueError(f'the docstring of {self._loss.__name__} {what}')


def _link(loss: type, page: str = '') -> str:
    name = loss.__name__
    return f'[`{name}`]({page}#{name.lower()})' if loss in documented_losses() else f'`{name}`'


def _links(loss: DistillLoss) -> str:
    """A loss that computes another one names both."""
    inner = getattr(loss, 'loss', None)
    return _link(type(loss), 'losses.md') + (f' of {_links(inner)}' if isinstance(inner, DistillLoss) else '')


def _file(thing: Any) -> str:
    """Where a class, function or module of this package is, as seen from the pages; empty for those of others."""
    module = thing if isinstance(thing, ModuleType) else inspect.getmodule(thing)
    path = Path(module.__file__).resolve() if module and getattr(module, '__file__', None) else Path()
    return f'../{path.relative_to(PACKAGE.parent).as_posix()}' if path.is_relative_to(PACKAGE) else ''


def _critic(loss: type) -> str:
    if not issubclass(loss, AdversarialLoss):
        return 'no critic'
    return 'a critic that learns before the term begins' if loss.critic_first else 'a critic'


def _parameters(loss: type) -> dict[str, inspect.Parameter]:
    if loss.__init__ is nn.Module.__init__:
        return {}
    return {p.name: p for p in list(inspect.signature(loss.__init__).parameters.values())[1:]}


def _argument(parameter: inspect.Parameter) -> str:
    required = parameter.default is inspect.Parameter.empty
    return parameter.name if required else f'{parameter.name}={parameter.default!r}'


def _method(path: Path) -> str:
    return path.stem.removesuffix(PAIR)


def _terms(path: Path) -> list[Term]:
    """The terms of a config, built without weights."""
    try:
        return list(build_skeleton(Config.fromfile(path).model).terms.values())
    except Exception as error:
        raise ValueError(f'{path.name} must be the config of a Distiller that can be built, but: {error}') from error


def _escape(text: str) -> str:
    return re.sub(r'([\\*_<\[\]`$])', r'\\\1', text)


def _weight(term: Term) -> str:
    if term.schedule is None:
        return _short(term.weight)
    return f'{_short(term.schedule.weight)}, `{type(term.schedule).__name__}`'


def _short(weight: float) -> str:
    return f'{float(f"{weight:.3g}"):g}'


def _paper(collection: dict[str, Any]) -> str:
    paper, source = collection.get('Paper'), collection.get('Metadata', {}).get('Reconstructed From')
    if not paper:
        return '-'
    return f'[{_escape(paper["Title"])}]({paper["URL"]})' + (f', *reconstructed* from its {source}' if source else '')


def _reads(terms: list[Term]) -> str:
    paths = [f'`{path}`' for path in dict.fromkeys(path for term in terms for path in term.student_paths)]
    return ', '.join(paths + ['labels'] * any(term.loss.needs_labels for term in terms))


def _learns(terms: list[Term]) -> str:
    everything = sum(map(_trainable, terms))
    critics = sum(_trainable(term.critic) for term in terms if term.critic is not None)
    if not everything:
        return '-'
    return _millions(everything) + (f' (critics {_millions(critics)})' if critics else '')


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
