import math
import re

import pytest
from canaries import poison_python
from mmengine.config import Config

from mmseg_kd.io.config_text import read_config_text, read_written_config
from mmseg_kd.io.safe_pickle import UnsafeFileError
from mmseg_kd.io.trust import TRUST


def test_what_mmengine_writes_is_read_as_mmengine_reads_it(tmp_path):
    config = Config(dict(
        model=dict(type='Distiller', terms={'loss.a-b': dict(weight=1.0)}, size=(512, 1024), none=None),
        hooks=[dict(type='A', lr=-1e-4), dict(type='B', keys=['a', ('b', 1)], flags=[True, False])],
        note='it\'s "quoted"\n{{ x }}', empty={}, nothing=[], one=(1,),
    ))  # fmt: skip
    config.dump(str(tmp_path / 'config.py'))
    plain = Config.fromfile(tmp_path / 'config.py', use_predefined_variables=False, use_environment_variables=False)
    assert read_written_config(tmp_path / 'config.py') == plain._cfg_dict.to_dict()


def test_values_that_mmengine_writes_but_cannot_read_are_read(tmp_path):
    config = Config(dict(end=math.inf, kind=int, norm=[dict(type=Config)], bad=[math.nan]))
    config.dump(str(tmp_path / 'config.py'))
    found = read_written_config(tmp_path / 'config.py')
    assert found['end'] == math.inf and found['kind'] == 'int' and math.isnan(found['bad'][0])
    assert found['norm'] == [dict(type='mmengine.config.config.Config')]
    assert read_config_text("a = PosixPath('x/y')", 'c') == dict(a='x/y')


@pytest.mark.parametrize('text, code', [
    ('import os', 'import os'),
    ('from os import *', 'from os import *'),
    ('a = 1\n\nb = lambda x: x', 'lambda x: x'),
    ("a = __import__('os').mkdir('ran')", "__import__('os').mkdir('ran')"),
    ("a = dict(b=[open('x')])", "open('x')"),
    ('a = [x for x in (1,)]', '[x for x in (1,)]'),
    ("a = f'{1}'", "f'{1}'"),
    ('a = 10 ** 10 ** 10', '10 ** 10 ** 10'),
    ('a = b = 1', 'a = b = 1'),
    ('a.b = 1', 'a.b = 1'),
    ('def f(): pass', 'def f'),
    ('with read_base():\n    pass', 'with read_base()'),
    ("_base_ = ['x.py']", '_base_ = '),
    ('print(1)', 'print'),
    ('a = other', 'other'),
    ('a = dict(*b)', '*b'),
    ("a = {**b}", '{**b}'),
    ('a = (1).real.imag', 'imag'),
])  # fmt: skip
def test_code_is_refused_by_name(text, code):
    with pytest.raises(UnsafeFileError, match=rf'c\.py, line \d+: code \(".*{re.escape(code)}.*--trust-files') as error:
        read_config_text(text, 'c.py')
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('text', ['a = (', '(' * 5000, 'a = {[]: 1}', 'a = {{}}'])
def test_text_that_is_no_config_is_one_line(text):
    with pytest.raises(ValueError, match=r'^c\.py is not a config that MMEngine writes: ') as error:
        read_config_text(text, 'c.py')
    assert '\n' not in str(error.value)


def test_a_file_runs_only_if_it_is_trusted(tmp_path, monkeypatch):
    poison_python(tmp_path / 'config.py', tmp_path / 'ran')
    with pytest.raises(UnsafeFileError, match='config.py, line 1: code'):
        read_written_config(tmp_path / 'config.py')
    assert not (tmp_path / 'ran').exists()
    monkeypatch.setenv(TRUST, '1')
    assert read_written_config(tmp_path / 'config.py') == dict(model={}) or (tmp_path / 'ran').exists()
