"""The table of an MCKD run."""

from mmseg_kd.engine.loops.mckd_report import mckd_table


def test_the_table_has_a_row_per_part_and_the_columns_that_are_known():
    parts = {
        'labels/teacher': dict(images=12, void=0.125, confidence=0.5),
        'partition': dict(a=6, b=6),
        'final': dict(images=12, iterations=4, miou=61.237),
    }
    assert mckd_table(parts).splitlines() == [
        '|                | images |  mIoU | ignored | confidence |',
        '| -------------- | -----: | ----: | ------: | ---------: |',
        '| labels/teacher |     12 |       |   12.5% |      0.500 |',
        '| final          |     12 | 61.24 |         |            |',
    ]
