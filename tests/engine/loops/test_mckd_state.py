import json

import pytest

from mmseg_kd.engine.loops.mckd_state import MCKDState


def test_finished_parts_are_there_after_a_restart(tmp_path):
    state = MCKDState(tmp_path, {'stages': 2}, resume=False)
    state.finish('teacher', dict(miou=50.0))
    again = MCKDState(tmp_path, {'stages': 2}, resume=True)
    assert again.done('teacher') and not again.done('final') and again.parts == {'teacher': {'miou': 50.0}}
    assert [path.name for path in tmp_path.iterdir()] == ['mckd.json']


def test_a_run_is_only_continued_on_request_and_with_its_settings(tmp_path):
    MCKDState(tmp_path, {'stages': 2}, resume=False).finish('teacher', {})
    before = (tmp_path / 'mckd.json').read_text()
    with pytest.raises(ValueError, match='already holds a run; continue it with --resume'):
        MCKDState(tmp_path, {'stages': 2}, resume=False)
    with pytest.raises(ValueError, match='stages: 2 -> 3'):
        MCKDState(tmp_path, {'stages': 3}, resume=True)
    assert (tmp_path / 'mckd.json').read_text() == before


@pytest.mark.parametrize('content', ['{"settings"', '[]', json.dumps(dict(settings={}))])
def test_a_damaged_file_is_told(tmp_path, content):
    (tmp_path / 'mckd.json').write_text(content)
    with pytest.raises(ValueError, match='mckd.json is damaged; remove it'):
        MCKDState(tmp_path, {}, resume=True)


def test_a_file_of_another_format_is_told(tmp_path):
    (tmp_path / 'mckd.json').write_text(json.dumps(dict(settings={}, parts={}, format=0)))
    with pytest.raises(ValueError, match='must have format 1, but has 0'):
        MCKDState(tmp_path, {}, resume=True)
