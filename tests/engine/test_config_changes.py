import pytest

from mmseg_kd.engine.config_changes import changes, read_pretty_text, settings, told

BEFORE = dict(optimizer=dict(lr=0.1), work_dir='a', hooks=[dict(interval=1)], seed=0)


def test_settings_that_change_no_weight_are_left_out():
    assert settings(BEFORE) == {'.optimizer.lr': 0.1, '.hooks.0.interval': 1, '.seed': 0}


def test_changed_new_and_removed_settings_are_told():
    after = dict(optimizer=dict(lr=0.2), work_dir='b', hooks=[dict(interval=1)], crop=64)
    assert changes(settings(BEFORE), settings(after)) == {
        'optimizer.lr': '0.1 -> 0.2',
        'seed': '0 -> not set',
        'crop': 'not set -> 64',
    }


def test_a_message_holds_five_changes():
    changed = {f'key{number}': '0 -> 1' for number in range(7)}
    assert told(changed).split('; ') == [f'key{number}: 0 -> 1' for number in range(5)] + ['and 2 more']


def test_a_config_is_read_without_running_it():
    text = "model = dict(type='A', sizes=[1, -2], keys={'x': (1, 2)})\nlr = open('nowhere')\n"
    assert read_pretty_text(text) == dict(model=dict(type='A', sizes=[1, -2], keys={'x': [1, 2]}), lr="open('nowhere')")
    with pytest.raises(SyntaxError):
        read_pretty_text('model = dict(')
