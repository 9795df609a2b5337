import pytest
from studies import LR, board_of, final, record, sweep_of, tuning


@pytest.fixture
def board():
    return board_of(sweep_of(tuning(), final()))


def cells(board, table=0):
    lines = board.table().split('\n\n')[table].splitlines()[2:]
    return [[cell.strip() for cell in line.split('|')[1:-1]] for line in lines]


def test_a_stage_starts_when_those_before_are_finished_with_their_best_values(board):
    tune, last = board.studies
    assert board.ready(tune) and not board.ready(last) and not board.finished
    for index, value in enumerate((50.0, 70.0, 60.0)):
        record(tune, index, [value, value])
    assert board.ready(last) and board.inherited(last) == board.fixed(last) == {LR: 0.2}
    record(last, 0, [60.0, 62.0, 64.0])
    assert board.finished
    assert cells(board) == [
        ['tune/pi', '70.00 ± 0.00', '3', f'{LR}=0.2'],
        ['final/pi', '62.00 ± 2.00', '1', f'{LR}=0.2'],
    ]


def test_a_best_value_at_the_end_of_its_list_is_marked(board):
    for index, value in enumerate((50.0, 60.0, 70.0)):
        record(board.studies[0], index, [value, value])
    assert cells(board)[0][3] == f'{LR}=0.3 (the largest tried)'


def test_values_that_were_improved_later_are_marked(board):
    tune, last = board.studies
    for index, value in enumerate((50.0, 70.0, 60.0)):
        record(tune, index, [value, value])
    last.fixed({LR: 0.1})
    record(last, 0, [60.0, 60.0, 60.0])
    assert cells(board)[1][3] == f'{LR}=0.1; uses outdated values: an earlier stage has since found better ones'


def test_a_stage_after_a_failed_one_is_skipped(board):
    tune, last = board.studies
    for index in range(3):
        record(tune, index, [None, None], 'failed', 'no memory')
    assert board.skipped(last) and board.finished
    assert cells(board)[1] == ['final/pi', '-', '-', 'skipped: an earlier study has no complete trial']
    assert board.table().endswith(
        'failed:\n' + '\n'.join(f'tune/pi/{i}_seed{s}: no memory' for i in range(3) for s in (0, 1))
    )


def test_runs_are_counted_and_their_time_is_that_of_finished_runs(board):
    # Six runs and three, of 100 iterations at 0.5 s.
    assert board.count() == (0, 9, 450.0)
    record(board.studies[0], 0, [50.0, 50.0], seconds=20.0)
    assert board.count() == (2, 9, 7 * 20.0)
    assert board_of(board.sweep, pace=None).count() == (0, 9, None)


def test_the_cost_of_each_candidate_is_shown(board):
    assert cells(board, 1) == [['pi', '100', '0.5', '50']]
