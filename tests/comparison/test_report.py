import re
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from run_folders import alone, distilled, sweep_entry, write_run

from mmseg_kd.comparison.comparison import compare
from mmseg_kd.comparison.image_bootstrap import ImageDifference
from mmseg_kd.comparison.predictions import Predictions
from mmseg_kd.comparison.report import page, text_report, write_tables
from mmseg_kd.io.runs import find_runs, read_run

pytest.importorskip('jinja2')

VOID = ('meta', 'img', 'br')
NAME = 'PI & <script>alert("x")</script>'
LR, DECAY = 'optim_wrapper.optimizer.lr', 'optim_wrapper.optimizer.weight_decay'


class Page(HTMLParser):
    """Tables as lists of lines of (text, class), the rest as text; tags that do not match are an error."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tables, self.texts, self.addresses = [], [], [], []
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.addresses += [attributes[key] for key in ('src', 'href', 'srcset', 'data') if key in attributes]
        if tag == 'table':
            self.tables.append([])
        elif tag == 'tr':
            self.tables[-1].append([])
        elif tag in ('td', 'th'):
            self.tables[-1][-1].append(['', attributes.get('class') or '', attributes.get('style') or ''])
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        pass  # of the charts

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ('td', 'th'):
            self.tables[-1][-1][-1][0] += data.strip()
        elif self.open and self.open[-1] != 'style' and data.strip():
            self.texts.append(data.strip())


@pytest.fixture
def folder(tmp_path):
    """A sweep with a grid, a curve, seeds, and a run that failed."""
    number = iter(range(100))

    def run(stage, candidate, config, mious, params, seed=0, **state):
        write_run(
            tmp_path / 'sweep' / f'{next(number):02d}',
            config,
            mious,
            seed=seed,
            classes={'Sky': mious[-1], '<Sign> & Post': 5.0},
            sweep=sweep_entry(stage, candidate, params, seed, **state),
        )

    for lr, decay, miou in ((0.1, 1e-4, 50.0), (0.1, 1e-5, 51.0), (0.2, 1e-4, 60.0), (0.2, 1e-5, 52.0)):
        config = alone(optim_wrapper__optimizer__lr=lr, optim_wrapper__optimizer__weight_decay=decay)
        run('rates', 'student', config, [20.0, miou], {LR: lr, DECAY: decay})
    for temperature in (1.0, 2.0, 4.0):
        run(
            'temperature',
            NAME,
            distilled(model__terms__loss_pi__loss__temperature=temperature),
            [30.0, 61.0 + temperature],
            {'model.terms.loss_pi.loss.temperature': temperature},
        )
    for seed in (1, 2, 3):
        config = alone(optim_wrapper__optimizer__lr=0.2, optim_wrapper__optimizer__weight_decay=1e-4)
        run('seeds', 'student', config, [20.0, 59.0 + seed], {}, seed)
        run('seeds', NAME, distilled(), [30.0, 64.0 + seed], {}, seed)
    run('seeds', NAME, distilled(), [30.0, 1.0], {}, 4, state='failed', error='ValueError: loss_<pi> is nan')
    return tmp_path


@pytest.fixture
def comparison(folder):
    return compare([read_run(path) for path in find_runs([folder / 'sweep'])])


def test_the_page_is_self_contained(comparison):
    text = page(comparison)
    assert Page(text).addresses == []
    assert not re.search(r'https?://|@import|url\(|<link|<script|<iframe', text)


def test_names_are_escaped(comparison):
    text = page(comparison, title='a < b')
    assert '<script' not in text and 'PI &amp; &lt;script&gt;' in text and '<title>a &lt; b</title>' in text
    assert 'loss_&lt;pi&gt;' in text and '&lt;Sign&gt; &amp; Post' in text


def test_the_page_has_the_table(comparison):
    header, student, pi = Page(page(comparison)).tables[0]
    # Baseline 60, 61, 62; distilled 65, 66, 67: every difference is 5, so the interval has no width.
    assert [cell[0] for cell in student] == ['student', '3', '61.00 ± 1.00', '-', '-', '-', '-', '300', '75']
    assert [cell[0] for cell in pi] == [NAME, '3', '66.00 ± 1.00', '+5.00', '+5.00', '[+5.00, +5.00]', '3', '300', '75']
    assert pi[2][1] == 'best' and student[2][1] == ''


def test_the_page_has_a_chart_of_the_intervals_over_images(comparison):
    assert '20 images' not in page(comparison)
    comparison.rows[1].over_images = ImageDifference(5.0, 1.0, 9.0, 20)
    text = page(comparison)
    assert '+5.00 [+1.00, +9.00], 20 images' in text and 'what other images would give' in text
    assert [cell[0] for cell in Page(text).tables[0][2]][3:5] == ['+5.00', '[+1.00, +9.00]']


def test_the_heat_map_has_the_grid_and_marks_the_best(comparison):
    (heat,) = [
        table for table in Page(page(comparison)).tables if [cell[0] for cell in table[0]] == ['', '1e-05', '0.0001']
    ]
    assert [[cell[0] for cell in line] for line in heat[1:]] == [['0.1', '51.00', '50.00'], ['0.2', '52.00', '60.00']]
    assert [cell[1] for line in heat[1:] for cell in line[1:]] == ['', '', '', 'best']
    shade = {cell[0]: float(re.search(r'([\d.]+)\)', cell[2])[1]) for line in heat[1:] for cell in line[1:]}
    assert shade['50.00'] < shade['51.00'] < shade['52.00'] < shade['60.00']


def test_curves_and_charts_are_there(comparison):
    text = page(comparison)
    titles = re.findall(r'aria-label="([^"]*)"', text)
    assert titles == [
        'mIoU, %',
        'difference in mIoU, percentage points',
        *['mIoU, % over iterations'] * 2,
        *['loss over iterations'] * 2,
        'mIoU, % by temperature',
    ]
    assert text.count('class="base stroke" points') == 2 * 2 * 3  # each seed of the baseline, behind every candidate
    assert 'temperature 4: 65.75 ± 0.96' not in text  # a stage shows its own runs only
    assert 'temperature 4: 65.00' in text


def test_the_page_names_missing_parts_with_the_reason(comparison, folder):
    page_of_sweep = Page(page(comparison))
    assert 'Not shown: --predictions N adds N images.' in page_of_sweep.texts
    assert page_of_sweep.tables[-1][1][1][0] == 'failed: ValueError: loss_<pi> is nan'
    write_run(folder / 'single', distilled(), [60.0])
    texts = Page(page(compare([read_run(folder / 'single')]))).texts
    assert 'Not shown: every run was validated once, at its end.' in texts
    assert 'Not shown: no log has the table of IoUMetric.' in texts
    assert 'No heat maps and curves: no setting was varied in these runs. A sweep varies settings.' in texts


def test_runs_without_a_loss_in_their_log_have_no_curve(folder):
    write_run(folder / 'single', distilled(), [60.0])
    scalars = folder / 'single' / '20261121_114443' / 'vis_data' / 'scalars.json'
    scalars.write_text('{"mIoU": 60.0, "step": 300}\n')
    texts = Page(page(compare([read_run(folder / 'single')]))).texts
    assert 'Not shown: no log has a loss of the decode head.' in texts


def test_settings_that_are_no_grid_are_shown_separately(tmp_path):
    for i in range(14):
        params = {LR: 10.0 ** (-i / 3), DECAY: 0.1 * i, 'model.backbone.style': f'kind {i % 2}'}
        write_run(
            tmp_path / f'{i:02d}',
            alone(optim_wrapper__optimizer__lr=params[LR]),
            [50.0 + i],
            sweep=sweep_entry('search', 'student', params),
        )
    write_run(tmp_path / 'words', distilled(), [50.0], sweep=sweep_entry('kind', 'PI', {'a': 'caffe'}))
    write_run(tmp_path / 'other', distilled(), [51.0], seed=1, sweep=sweep_entry('kind', 'PI', {'a': 'pytorch'}))
    text = page(compare([read_run(path) for path in find_runs([tmp_path])]))
    assert re.findall(r'aria-label="mIoU, % by (\w+)"', text) == ['lr', 'weight_decay']
    (words,) = [table for table in Page(text).tables if [cell[0] for cell in table[0]] == ['a', 'mIoU, %']]
    assert sorted([cell[0] for cell in line] for line in words[1:]) == [['caffe', '50.00'], ['pytorch', '51.00']]


def test_differences_are_a_warning(folder):
    write_run(folder / 'a', alone(), [60.0])
    write_run(folder / 'b', distilled(train_cfg__max_iters=200), [61.0])
    comparison = compare([read_run(folder / name) for name in 'ab'], anyway=True)
    texts = Page(page(comparison)).texts
    assert 'These runs are not comparable.' in texts
    assert 'different iterations: train_cfg.max_iters is 300 in a, but 200 in b' in texts


def test_predictions_are_shown_side_by_side(comparison):
    truth = np.array([[0, 1, 255, 1]] * 4)
    maps = [np.ones_like(truth), np.zeros_like(truth)]
    predictions = Predictions(
        [np.zeros((4, 4, 3), np.uint8)] * 2,
        [truth] * 2,
        {NAME: maps},
        ['a', '<b>'],
        [[1, 2, 3], [4, 5, 6]],
        [('student', 'no <checkpoint> is left')],
    )
    parsed = Page(page(comparison, predictions))
    kinds = [address.split(';')[0] for address in parsed.addresses]
    assert kinds == ['data:image/jpeg', 'data:image/png', 'data:image/png'] * 2
    # Each line has three labeled pixels: two of class 1 and one of class 0.
    shares = [text for text in parsed.texts if text.startswith(NAME) and text.endswith('%')]
    assert shares == [f'{NAME}, 67 %', f'{NAME}, 33 %']
    assert 'Not shown: student (no <checkpoint> is left).' in parsed.texts and '<b>' in parsed.texts


def test_jinja_is_optional(comparison, monkeypatch):
    monkeypatch.setitem(sys.modules, 'jinja2', None)
    with pytest.raises(ImportError) as caught:
        page(comparison)
    assert str(caught.value) == "the page needs jinja2: pip install 'mmseg-kd[report]'"


def test_tables_are_written(comparison, tmp_path):
    written = write_tables(comparison, tmp_path / 'new' / 'out')
    assert [path.name for path in written] == [
        'comparison.txt',
        'comparison.md',
        'comparison.csv',
        'comparison.tex',
        'class_iou.md',
        'class_iou.csv',
        'class_iou.tex',
    ]
    assert written[0].read_text(encoding='utf-8') == text_report(comparison)
    assert '**66.00 ± 1.00**' in written[1].read_text(encoding='utf-8')
    assert 'failed: ValueError' in written[1].read_text(encoding='utf-8')
    assert r'\textbf{66.00 $\pm$ 1.00}' in written[3].read_text(encoding='utf-8')
    assert written[5].read_text(encoding='utf-8').splitlines()[1] == 'student,Sky,61.0,1.0,3,'


def test_without_iou_by_class_in_the_logs_there_is_no_table(tmp_path):
    write_run(tmp_path / 'a', distilled(), [60.0])
    written = write_tables(compare([read_run(tmp_path / 'a')]), tmp_path / 'out')
    assert (
        sorted(path.name for path in (tmp_path / 'out').iterdir())
        == sorted(path.name for path in written)
        == ['comparison.csv', 'comparison.md', 'comparison.tex', 'comparison.txt']
    )


def test_text_has_facts_tables_and_explanations(comparison):
    text = text_report(comparison)
    assert text.startswith('data: CamVidDataset, data/camvid\ncrop: 128 x 128\n')
    assert 'IoU by class, %' in text and '* best   ~ within one std of the best' in text
    assert 'Settings of student: lr 0.2, weight_decay 0.0001.' in text


def test_a_validation_without_a_number_is_a_gap(tmp_path):
    write_run(tmp_path / 'a', alone(), [float('nan'), 40.0, 60.0])
    text = page(compare([read_run(tmp_path / 'a')]))
    assert 'NaN' not in text and 'nan' not in re.findall(r'points="([^"]*)"', text)[0]
    assert len(re.findall(r'points="([^"]*)"', text)[0].split()) == 2
    assert [cell[0] for cell in Page(text).tables[-1][1]][3:5] == ['60.00', '60.00']


def test_long_names_are_shortened_in_charts_only(tmp_path):
    write_run(tmp_path / 'a', distilled(), [60.0], name='x' * 50)
    text = page(compare([read_run(tmp_path / 'a')]))
    assert f'>{"x" * 31}…<' in text and f'>{"x" * 50}<' in text
