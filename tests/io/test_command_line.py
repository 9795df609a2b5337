import argparse

import pytest

from mmseg_kd.io.command_line import add_arguments, as_arguments, check_files, setup_file, terms_file
from mmseg_kd.io.configs import config_file


def parsed(*arguments):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(arguments)


def test_setups_and_terms_are_found_by_name_and_by_path():
    setup = str(config_file('mmseg_kd::_base_/setups/r101_r18_voc12.py'))
    assert setup_file('r101_r18_voc12') == setup_file(setup) == setup
    assert terms_file('cwd') == str(config_file('mmseg_kd::_base_/terms/cwd.py'))
    check_files(parsed('r101_r18_voc12', '--terms', 'cwd'))
    check_files(parsed(setup))


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['nothing.py'], 'no such config: nothing.py'),
        (['r101_r18_voc1'], 'no such config: r101_r18_voc1; did you mean r101_r18_voc12'),
        (['r101_r18_voc12', '--terms', 'cwdd'], 'no such terms: cwdd; did you mean cwd'),
    ],
)
def test_missing_files_are_told_with_the_nearest_name(arguments, message):
    with pytest.raises(FileNotFoundError, match=f'^{message}'):
        check_files(parsed(*arguments))


def test_options_are_nested_values():
    options = parsed('a.py', '--cfg-options', 'lr=0.1', 'sizes=[1,2]').cfg_options
    assert options == dict(lr=0.1, sizes=[1, 2])


@pytest.mark.parametrize(
    'text,value',
    [
        ('0.1', 0.1),
        ('None', None),
        ('"a b"', 'a b'),
        ('my images/train', 'my images/train'),
        ('1,2', [1, 2]),
        ('[(1, 2), a]', [(1, 2), 'a']),
        ("[{'type': 'Resize', 'scale': (4, 2)}]", [dict(type='Resize', scale=(4, 2))]),
        ("{'car': ['car', 'my van']}", dict(car=['car', 'my van'])),
    ],
)
def test_an_option_is_read_as_it_was_meant(text, value):
    assert parsed('a.py', '--cfg-options', f'key={text}').cfg_options == dict(key=value)


@pytest.mark.parametrize(
    'entry,message',
    [
        ('lr', "takes KEY=VALUE, but got 'lr'"),
        ('=1', "takes KEY=VALUE, but got '=1'"),
        ('scale=[1,2', 'the value of scale must be'),
        ('terms=[{type:Resize}]', 'the value of terms must be'),
    ],
)
def test_an_option_that_cannot_be_read_is_named(entry, message, capsys):
    with pytest.raises(SystemExit):
        parsed('a.py', '--cfg-options', entry)
    assert message in capsys.readouterr().err


def test_options_add_up():
    assert parsed('a.py', '--cfg-options', 'a=1', '--cfg-options', 'b=2').cfg_options == dict(a=1, b=2)


@pytest.mark.parametrize(
    'value, text',
    [
        (0.1, '0.1'),
        (5e-6, '5e-06'),
        (3, '3'),
        (2.0, '2.0'),
        (True, 'True'),
        (None, 'None'),
        ('logits', 'logits'),
        (['a', 'b'], '[a,b]'),
        ((0.9, 0.99), '(0.9,0.99)'),
        ([(1, 2), [3]], '[(1,2),[3]]'),
        ([], '[]'),
        ((1,), '(1)'),
        ('with space', 'with space'),
        ('a{b', "'a{b'"),
        (dict(a=1), "{'a': 1}"),
        ([dict(b=1, c=(2, 'd e'))], "[{'b': 1, 'c': (2, 'd e')}]"),
    ],
)
def test_values_reach_the_training_unchanged(value, text):
    assert as_arguments({'a.b': value}) == [f'a.b={text}']
    assert parsed('a.py', '--cfg-options', f'a.b={text}').cfg_options == {'a.b': value}


@pytest.mark.parametrize(
    'value', ['1', 'a,b', ' a', ['a b'], ['a(b'], [dict(b=1), float('nan')], float('inf') - float('inf')]
)
def test_a_value_that_would_be_parsed_as_another_one_is_refused(value):
    with pytest.raises(ValueError, match='a.b must be a value that --cfg-options can pass on'):
        as_arguments({'a.b': value})
