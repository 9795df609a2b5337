"""Settings of the site, which ``make docs`` builds. Every build writes the pages below ``api/`` and ``zoo/`` anew."""

import functools
import importlib
import inspect
import pkgutil
import re
import sys
from pathlib import Path

import mmengine.config.utils
from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from mmengine.fileio import load
from mmengine.registry import init_default_scope

DOCS = Path(__file__).resolve().parent
sys.path[:0] = [str(DOCS), str(DOCS.parent)]

from method_pages import costs_of, loss_facts, zoo_pages  # noqa: E402

import mmseg_kd  # noqa: E402
from mmseg_kd.losses import AdversarialLoss, DistillLoss  # noqa: E402

project, copyright = 'mmseg_kd', 'the mmseg_kd authors'
release = version = mmseg_kd.__version__
extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon', 'sphinx.ext.viewcode']
exclude_patterns = ['_build']
myst_enable_extensions = ['dollarmath']
myst_heading_anchors = 3
autodoc_default_options = {'members': True, 'show-inheritance': True}
autodoc_member_order = 'groupwise'
autodoc_inherit_docstrings = False
napoleon_numpy_docstring = False
napoleon_custom_sections = ['Shape']
html_theme = 'furo'
html_title = f'mmseg_kd {version}'
html_static_path = ['_static']
html_css_files = ['site.css']
html_math_renderer = 'mathml'
toc_object_entries_show_parents = 'hide'

# Links that lead to files where the pages are read in the repository, and to pages of the site here.
ON_THE_SITE = [
    (r'\[`(\w+)`\]\(\.\./mmseg_kd/(losses|masks)/\w+\.py\)', r'{py:class}`~mmseg_kd.\2.\1`'),
    (r'\]\(\.\./configs/kd/(\w+)_r101_r18_cityscapes\.py\)', r'](zoo/\1.md)'),
    (r'\]\(\.\./mmseg_kd/losses/\)', '](api/losses.rst)'),
    (r'\]\(\.\./CONTRIBUTING\.md', '](contributing.md'),
    (r'\]\(\.\./CHANGELOG\.md', '](changelog.md'),
]


ZOO = '\n```{toctree}\n:hidden:\n:glob:\n\nzoo/*\n```\n'


def lead_to_pages(app, name, content):
    if name == 'methods':
        content[0] += ZOO
    for pattern, target in ON_THE_SITE:
        content[0] = re.sub(pattern, target, content[0])


def write_pages(app):
    """The API by room, so that a new room has its page; and one page for each method."""
    rooms = [room.name for room in pkgutil.iter_modules(mmseg_kd.__path__) if room.ispkg and room.name != 'testing']
    _write('api', {f'{room}.rst': _room_page(room) for room in rooms})
    init_default_scope('mmseg')
    # MMEngine reads fifty metafiles for every `mmseg::`.
    mmengine.config.utils.load = functools.lru_cache(maxsize=None)(load)
    _write('zoo', {f'{method}.md': page for method, page in zoo_pages(DOCS.parent).items()})


def _write(folder, pages):
    (DOCS / folder).mkdir(exist_ok=True)
    for old in (DOCS / folder).iterdir():
        if old.name not in pages:
            old.unlink()
    for name, text in pages.items():
        path = DOCS / folder / name
        if not path.exists() or path.read_text(encoding='utf-8') != text:
            path.write_text(text, encoding='utf-8')


def _room_page(room):
    package = importlib.import_module(f'mmseg_kd.{room}')
    lines = [room, '=' * len(room), '', inspect.cleandoc(package.__doc__ or ''), '']
    things = {name: getattr(package, name) for name in getattr(package, '__all__', [])}
    # What a room passes on from another is documented there.
    own = [name for name, thing in things.items() if f'.{room}.' in getattr(thing, '__module__', '')]
    for name in own:
        lines += [f'.. auto{"class" if inspect.isclass(things[name]) else "function"}:: mmseg_kd.{room}.{name}', '']
    for module in pkgutil.iter_modules(package.__path__) if not own else ():
        lines += [module.name, '-' * len(module.name), '', f'.. automodule:: mmseg_kd.{room}.{module.name}', '']
    return '\n'.join(lines)


def add_facts(app, what, name, thing, options, lines):
    """One line below the idea of every loss: what it needs, and what it costs."""
    if (
        isinstance(thing, type(DistillLoss))
        and issubclass(thing, DistillLoss)
        and thing not in (DistillLoss, AdversarialLoss)
    ):
        end = lines.index('') if '' in lines else len(lines)
        lines[end:end] = ['', loss_facts(thing, costs_of(DOCS.parent))]


def plain_signature(app, what, name, thing, options, signature, annotation):
    """A loss without arguments inherits the signature of ``torch.nn.Module``, which says nothing."""
    return ('()' if signature and signature.startswith('(*args') else signature), annotation


def mathml(block):
    """Formulas as MathML, which browsers show without a script from elsewhere."""

    def visit(translator, node):
        formula = re.sub(r'\\[bB]igg?[lr]?(?![a-z])', '', node.astext())  # brackets stretch by themselves
        # Each definition of a formula has a line of its own, so that it fits on a phone.
        lines = [tex2mathml(line.strip(), as_block=block) for line in re.split(r'\\qquad', formula)]
        translator.body.append(f'<div class="formula">{"".join(lines)}</div>' if block else lines[0])
        raise nodes.SkipNode

    return visit, None


def setup(app):
    app.connect('builder-inited', write_pages)
    app.connect('source-read', lead_to_pages)
    app.connect('autodoc-process-docstring', add_facts)
    app.connect('autodoc-process-signature', plain_signature)
    app.add_html_math_renderer('mathml', inline_renderers=mathml(False), block_renderers=mathml(True))
