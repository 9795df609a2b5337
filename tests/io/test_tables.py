from mmseg_kd.io.tables import csv_table, markdown_table

ROWS = [('', 'mIoU, %', 'n'), ('student', '9.5', '100'), ('teacher, large', '43.78', '7')]


def test_markdown_is_aligned_as_text():
    assert markdown_table(ROWS) == (
        '|                | mIoU, % |   n |\n'
        '| -------------- | ------: | --: |\n'
        '| student        |     9.5 | 100 |\n'
        '| teacher, large |   43.78 |   7 |'
    )


def test_csv_quotes_what_holds_a_comma():
    assert csv_table(ROWS) == ',"mIoU, %",n\nstudent,9.5,100\n"teacher, large",43.78,7\n'
