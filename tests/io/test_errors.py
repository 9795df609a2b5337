import re
from pathlib import Path

import pytest
import torch
from mmseg.registry import HOOKS

from mmseg_kd.distillers import DelayedWeight
from mmseg_kd.io.configs import config_file
from mmseg_kd.io.errors import ConfigError, is_mistake, report, sentence, wants_debug

ROOT = Path(__file__).resolve().parents[2]


def test_expected_errors_are_one_line():
    assert sentence(ValueError('must be > 0,\n  but is -1')) == 'must be > 0, but is -1'


def test_unexpected_errors_name_their_place():
    try:
        {}['model']
    except KeyError as error:
        assert sentence(error).startswith("KeyError: 'model' (") and 'test_errors.py, line 21)' in sentence(error)
    assert sentence(ValueError('')) == 'ValueError: '


def test_too_little_memory_names_the_settings():
    text = sentence(torch.cuda.OutOfMemoryError('CUDA out of memory'))
    assert text.startswith('the GPU is out of memory; lower train_dataloader.batch_size') and 'CUDA' in text


def test_weights_that_no_hub_gives_name_the_setting():
    errors = pytest.importorskip('huggingface_hub.errors')
    text = sentence(errors.LocalEntryNotFoundError('cannot find the requested files'))
    assert text.startswith('weights must come from the Hugging Face Hub') and 'model.backbone.pretrained' in text
    assert is_mistake(errors.LocalEntryNotFoundError('cannot find the requested files'))


def caught(function, *arguments):
    try:
        function(*arguments)
    except Exception as error:
        return error


def test_a_mistake_is_one_line_and_status_2(capsys, monkeypatch):
    monkeypatch.delenv('RANK', raising=False)
    error = caught(DelayedWeight, -1.0)  # lacks an argument
    assert report(ConfigError('model.a must be > 0, but is -1\nmodel.b must be > 0, but is -2')) == 2
    assert report(caught(HOOKS.build, dict(type='EnergyHook', wrong=1))) == 2
    assert report(caught(config_file, 'nowhere.py')) == 2
    assert is_mistake(error) is False
    first, second, third, fourth = capsys.readouterr().err.splitlines()
    assert (first, second) == ('error: model.a must be > 0, but is -1', 'error: model.b must be > 0, but is -2')
    assert third.startswith("error: TypeError: EnergyHook.__init__() got an unexpected keyword argument 'wrong'")
    assert fourth == 'error: no such config: nowhere.py'


def test_a_traceback_is_shown_on_request(capsys, monkeypatch):
    assert report(caught(config_file, 'nowhere.py'), debug=True) == 2
    assert 'Traceback' in capsys.readouterr().err
    assert wants_debug(['a.py', '--debug']) and not wants_debug(['a.py'])
    monkeypatch.setenv('MMSEG_KD_DEBUG', '1')
    assert wants_debug([])


def test_an_unexpected_error_says_how_to_report_it(capsys):
    assert report(caught(lambda: torch.zeros(2) @ torch.zeros(3))) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith('Traceback') and any(line.startswith('RuntimeError: ') for line in lines)
    assert lines[-3].startswith('This error was not expected. Please report it')
    assert f'torch {torch.__version__}' in lines[-1] and 'mmsegmentation' in lines[-1]


def test_a_mistake_is_said_once_on_each_machine(capsys, monkeypatch):
    monkeypatch.setenv('RANK', '3')
    monkeypatch.setenv('LOCAL_RANK', '1')
    assert report(ConfigError('model.a must be > 0')) == 2 and capsys.readouterr().err == ''
    monkeypatch.setenv('LOCAL_RANK', '0')
    assert report(ConfigError('model.a must be > 0')) == 2
    assert capsys.readouterr().err == 'error: rank 3: model.a must be > 0\n'


def test_every_tool_runs_within_the_wrapper():
    tools = [*(ROOT / 'tools').glob('*.py'), ROOT / 'examples' / 'demo.py']
    assert len(tools) > 10
    for tool in tools:
        text = tool.read_text(encoding='utf-8')
        assert re.search(r"\nif __name__ == '__main__':\n    run_tool\(main(, .+)?\)\n$", text), tool
        own = re.search(r'add_(training_)?arguments\(', text)
        assert "'--debug'" in text or own or tool.name == 'torchrun.py', tool
        assert 'SystemExit(str(' not in text, tool
