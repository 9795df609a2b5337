import argparse

import pytest

from mmseg_kd.io.command_line import add_arguments, check_files, setup_file, terms_file
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
