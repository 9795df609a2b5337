import csv
import io

import numpy as np
import pytest
from run_folders import alone, distilled, sweep_entry, write_run

from mmseg_kd.comparison.comparison import compare
from mmseg_kd.comparison.comparison_tables import (
    Cell,
    Table,
    as_latex,
    as_markdown,
    as_text,
    class_csv,
    class_table,
    main_csv,
    main_table,
    notes,
    run_table,
)
from mmseg_kd.io.image_confusion import ImageConfusion, write_image_confusion
from mmseg_kd.io.runs import find_runs, read_run


@pytest.fixture
def comparison(tmp_path):
    """Alone 60, 61, 62 and distilled 61, 63, 65 over the seeds 0, 1, 2; a single run of a method with an odd name."""
    for seed, (student, pi) in enumerate(zip((60.0, 61.0, 62.0), (61.0, 63.0, 65.0))):
        write_run(tmp_path / f'a{seed}', alone(), [student], seed=seed, classes={'Sky': student, 'Sign_1 & 2': 1.0})
        write_run(
            tmp_path / f'p{seed}',
            distilled(),
            [70.0, pi],
            seed=seed,
            time=0.5,
            memory=2048,
            name='pi',
            classes={'Sky': pi, 'Sign_1 & 2': 2.0},
        )
    write_run(tmp_path / 'odd', distilled(optim_wrapper__optimizer__lr=0.5), [62.5], name='a_50%|b*')
    write_run(tmp_path / 'half', alone(), [1.0], until=150)
    return compare([read_run(path) for path in find_runs([tmp_path])])


def test_text_is_aligned_and_marks_the_best(comparison):
    # The std of 61, 63, 65 is 2; the single run at 62.5 and the student at 61 are within it. Intervals: 2 +- 2.484.
    assert (
        as_text(main_table(comparison))
        == """\
          seeds       mIoU, %     gain  paired  95 % over seeds  pairs  iterations  seconds  memory, MiB
baseline      3  61.00 ± 1.00 ~      -       -                -      -         300       75            -
pi            3  63.00 ± 2.00 *  +2.00   +2.00   [-0.48, +4.48]      3         300      150         2048
a_50%|b*      1         62.50 ~  +1.50   +2.50                -      1         300       75            -
"""
    )


def test_markdown_is_bold_and_underlined_and_escaped(comparison):
    assert as_markdown(main_table(comparison)).splitlines() == [
        r'|             | seeds |             mIoU, % |  gain | paired |  95 % over seeds | pairs | iterations | seconds |'
        r' memory, MiB |',
        r'| ----------- | ----: | ------------------: | ----: | -----: | ---------------: | ----: | ---------: | ------: |'
        r' ----------: |',
        r'| baseline    |     3 | <u>61.00 ± 1.00</u> |     - |      - |                - |     - |        300 |      75 |'
        r'           - |',
        r'| pi          |     3 |    **63.00 ± 2.00** | +2.00 |  +2.00 | \[-0.48, +4.48\] |     3 |        300 |     150 |'
        r'        2048 |',
        r'| a\_50%\|b\* |     1 |        <u>62.50</u> | +1.50 |  +2.50 |                - |     1 |        300 |      75 |'
        r'           - |',
    ]


def test_latex_is_bold_and_underlined_and_escaped(comparison):
    lines = as_latex(main_table(comparison)).splitlines()
    assert (
        lines[:2] == [r'% needs \usepackage{booktabs}', r'\begin{tabular}{lrrrrrrrrr}']
        and lines[-1] == r'\end{tabular}'
    )
    assert lines[5:8] == [
        r'baseline & 3 & \underline{61.00 $\pm$ 1.00} & -- & -- & -- & -- & 300 & 75 & -- \\',
        r'pi & 3 & \textbf{63.00 $\pm$ 2.00} & +2.00 & +2.00 & [$-$0.48, +4.48] & 3 & 300 & 150 & 2048 \\',
        r'a\_50\%\textbar{}b* & 1 & \underline{62.50} & +1.50 & +2.50 & -- & 1 & 300 & 75 & -- \\',
    ]


def test_every_special_character_of_latex_is_escaped():
    table = Table('', ['x'], [[Cell(r'\{}$&#%_~^<>')]])
    assert as_latex(table).splitlines()[5] == (
        r'\textbackslash{}\{\}\$\&\#\%\_\textasciitilde{}\textasciicircum{}'
        r'\textless{}\textgreater{} \\'
    )


def test_a_hyphen_in_a_name_is_no_minus():
    table = Table('', ['x', 'y'], [[Cell('r50-d8'), Cell('-1.5')]])
    assert as_latex(table).splitlines()[5] == r'r50-d8 & $-$1.5 \\'


def test_csv_has_all_digits(comparison):
    student, pi, odd = csv.DictReader(io.StringIO(main_csv(comparison)))
    assert (student['candidate'], student['role'], student['gain'], student['pairs']) == (
        'baseline',
        'baseline',
        '',
        '',
    )
    assert float(pi['miou_mean']) == 63.0 and float(pi['miou_std']) == 2.0 and pi['pairs'] == '3'
    assert float(pi['interval_low']) == pytest.approx(2 - 2.48414, abs=1e-5)
    assert (pi['standing'], odd['standing'], odd['miou_std'], odd['interval_low']) == ('best', 'within', '', '')
    assert odd['candidate'] == 'a_50%|b*' and float(pi['peak_memory_mib']) == 2048


def test_iou_by_class_has_the_longer_side_vertical(comparison):
    assert (
        as_text(class_table(comparison))
        == """\
                 Sky    Sign_1 & 2
baseline  61.0 ± 1.0 ~   1.0 ± 0.0
pi        63.0 ± 2.0 *   2.0 ± 0.0 *
"""
    )
    for row in comparison.rows:
        row.class_iou.update({f'more {i}': row.miou for i in range(4)} if row.class_iou else {})
    table = class_table(comparison)
    assert table.header == ['', 'baseline', 'pi'] and [line[0].text for line in table.rows][:2] == ['Sky', 'Sign_1 & 2']


def test_iou_by_class_in_csv_has_one_line_for_each_class(comparison):
    lines = list(csv.DictReader(io.StringIO(class_csv(comparison))))
    assert [(line['candidate'], line['class']) for line in lines] == [
        ('baseline', 'Sky'),
        ('baseline', 'Sign_1 & 2'),
        ('pi', 'Sky'),
        ('pi', 'Sign_1 & 2'),
    ]
    assert float(lines[2]['iou_mean']) == 63.0 and lines[2]['standing'] == 'best'


def test_every_run_is_listed(comparison):
    table = run_table(comparison)
    assert len(table.rows) == 7
    texts = [[cell.text for cell in line] for line in table.rows]
    assert texts[3][1:] == ['pi', '0', '61.00', '70.00', '300', '150', '2048'] and texts[3][0].endswith('p0')


def test_the_notes_explain_the_tables(comparison):
    text = '\n'.join(notes(comparison))
    assert 'Gain: the mean minus that of baseline.' in text
    chance = 'Gains from one seed that are at most the std of baseline over its seeds (1.00): 0 of 1.'
    assert chance in text
    assert 'half' in text and 'Left out, stopped at iteration 140 of 300: ' in text
    assert 'are expected to miss' not in text  # there is one interval


def test_the_mean_f1_is_shown_if_it_was_measured(tmp_path):
    for seed, score in enumerate((70.0, 72.0)):
        folder = write_run(tmp_path / f'a{seed}', alone(), [60.0], seed=seed)
        (scalars,) = folder.glob('*/vis_data/scalars.json')
        scalars.write_text(scalars.read_text().replace('"mIoU": 60.0', f'"mIoU": 60.0, "mFscore": {score}'))
    write_run(tmp_path / 'p', distilled(), [61.0], name='pi')
    comparison = compare([read_run(path) for path in find_runs([tmp_path])])
    table = main_table(comparison)
    column = table.header.index('mean F1, %')
    # Of 70 and 72: the mean is 71, and the sample std is the root of 2.
    assert {line[0].text: line[column].text for line in table.rows} == {'baseline': '71.00 ± 1.41', 'pi': '-'}
    rows = {row['candidate']: row for row in csv.DictReader(io.StringIO(main_csv(comparison)))}
    assert rows['baseline']['fscore_mean'] == '71.0' and rows['pi']['fscore_mean'] == ''


def write_confusion(folder, *mious):
    """Matrices of images with these mIoU and 1,000 pixels of each of two classes: IoU = right / (2,000 - right)."""
    right = np.array([round(2000 * miou / (100 + miou)) for miou in mious])
    pixels = np.stack([right, 1000 - right, 1000 - right, right], 1).ravel()
    names = [f'{i}.png' for i in range(len(mious))]
    image = np.arange(len(mious)).repeat(4)
    found = ImageConfusion(names, ['a', 'b'], 300, image, np.tile(range(4), len(mious)), pixels)
    write_image_confusion(folder / 'confusion_last.npz', found)
    return found.miou


def test_the_interval_over_images_stands_beside_the_one_over_seeds(tmp_path):
    """Two seeds of pi gain the same on all images, and cwd not; AT has no matrices."""
    images = [50.0, 60.0, 70.0, 60.0, 55.0, 65.0]
    for name, gains in dict(a=[0, 0], pi=[2, 3], cwd=[-5], at=[1]).items():
        for seed, gain in enumerate(gains):
            folder = tmp_path / f'{name}{seed}'
            folder.mkdir()
            spread = [-8, 8, -8, 8, -8, 8] if name == 'cwd' else [0] * 6
            miou = write_confusion(folder, *(image + gain + one for image, one in zip(images, spread)))
            if name == 'at':
                (folder / 'confusion_last.npz').unlink()
            config = alone() if name == 'a' else distilled(optim_wrapper__optimizer__lr=dict(pi=1, cwd=2, at=3)[name])
            write_run(folder, config, [round(miou, 2)], seed=seed, name=None if name == 'a' else name)
    comparison = compare([read_run(path) for path in find_runs([tmp_path])])
    table = main_table(comparison)
    column = table.header.index('95 % over images')
    assert table.header[column - 1] == 'gain' and table.header[column + 2] == '95 % over seeds'
    cells = {line[0].text: line[column].text for line in table.rows}
    assert cells['baseline'] == cells['at'] == '-'
    pi, cwd = (next(row for row in comparison.rows if row.name == name) for name in ('pi', 'cwd'))
    assert pi.over_images.mean == pytest.approx(pi.gain, abs=0.02) and pi.over_images.images == 6
    assert 2.3 < pi.over_images.low < pi.over_images.high < 2.7
    assert cells['pi'] == f'[{pi.over_images.low:+.2f}, {pi.over_images.high:+.2f}]'
    assert cwd.over_images.low < -5 and cwd.over_images.high > 0
    text = '\n'.join(notes(comparison))
    assert '95 % over images: what other images' in text and 'over 6 validation images' in text
    assert (
        'No interval over images for at: not all of its runs and those of the baseline have confusion_last.npz' in text
    )
    rows = {row['candidate']: row for row in csv.DictReader(io.StringIO(main_csv(comparison)))}
    assert float(rows['pi']['images_low']) == pi.over_images.low and rows['pi']['images'] == '6'
    assert rows['at']['images_low'] == '' and rows['baseline']['images'] == ''


def test_without_a_baseline_there_is_no_gain(tmp_path):
    write_run(tmp_path / 'a', distilled(), [60.0])
    comparison = compare([read_run(tmp_path / 'a')])
    assert main_table(comparison).header == ['', 'seeds', 'mIoU, %', 'iterations', 'seconds']
    text = '\n'.join(notes(comparison))
    assert 'No gain is shown, because there is no baseline' in text and 'MMEngine logs GPU memory only' in text


def test_the_notes_name_differences(tmp_path):
    write_run(tmp_path / 'a', alone(), [60.0])
    write_run(tmp_path / 'b', distilled(train_cfg__max_iters=200), [61.0])
    comparison = compare([read_run(tmp_path / name) for name in 'ab'], anyway=True)
    assert 'NOT COMPARABLE: different iterations: train_cfg.max_iters is 300 in a, but 200 in b.' in notes(comparison)


def test_the_notes_name_the_settings_that_a_sweep_chose(tmp_path):
    for i, lr in enumerate((0.1, 0.2)):
        write_run(
            tmp_path / f'{i}',
            alone(optim_wrapper__optimizer__lr=lr),
            [60.0 + i],
            sweep=sweep_entry('rates', 'student', {'optim_wrapper.optimizer.lr': lr}),
        )
    text = '\n'.join(notes(compare([read_run(tmp_path / name) for name in '01'])))
    assert 'Settings of student: lr 0.2.' in text and 'Other settings tried: 1.' in text
