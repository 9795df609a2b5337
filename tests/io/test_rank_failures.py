"""Two ranks in one process, which share a store as processes do; tests/tools/test_torchrun.py starts real ones."""

import pytest
import torch.distributed as dist

from mmseg_kd.io import rank_failures
from mmseg_kd.io.errors import ConfigError, report
from mmseg_kd.io.rank_failures import after_another, is_lost

GONE = RuntimeError('[gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:10632')


@pytest.fixture
def become(monkeypatch):
    """A function that makes this process a rank of two."""
    store = dist.HashStore()
    monkeypatch.setattr(dist, 'is_initialized', lambda: True)
    monkeypatch.setattr(dist, 'get_world_size', lambda: 2)
    monkeypatch.setattr(dist.distributed_c10d, '_get_default_store', lambda: store)
    return lambda rank: monkeypatch.setattr(dist, 'get_rank', lambda: rank)


def test_the_others_name_the_first_and_its_error(become):
    become(1)
    assert after_another(ValueError('no image 7'), 'no image 7') is None
    become(0)
    assert after_another(GONE, str(GONE)) == 'rank 0 stops, since rank 1 failed: no image 7'
    assert after_another(KeyError('a'), "KeyError: 'a'") == (
        "rank 0 stops, since rank 1 failed: no image 7; here: KeyError: 'a'"
    )
    assert after_another(ValueError('no image 7'), 'no image 7') == (
        'rank 0 stops, since rank 1 failed in the same way'
    )
    become(1)
    assert after_another(ValueError('no image 7'), 'no image 7') is None


def test_a_process_that_was_killed_is_not_mistaken_for_an_error_here(become):
    become(1)
    line = after_another(GONE, str(GONE))
    assert line.startswith('rank 1 lost the connection to another process, which left no') and str(GONE) in line
    become(0)
    assert after_another(GONE, str(GONE)) == (
        'rank 0 stops, since rank 1 failed: lost the connection to another process'
    )


def test_without_the_store_it_is_rank_0_that_is_gone(become, monkeypatch):
    def gone():
        raise RuntimeError('Connection reset by peer')

    monkeypatch.setattr(dist.distributed_c10d, '_get_default_store', gone)
    become(1)
    assert after_another(GONE, str(GONE)).startswith('rank 1 stops, since rank 0 failed: the store')


def test_a_single_process_is_alone(monkeypatch):
    assert after_another(ValueError('a'), 'a') is None
    monkeypatch.setattr(dist, 'is_initialized', lambda: True)
    monkeypatch.setattr(dist, 'get_world_size', lambda: 1)
    monkeypatch.setattr(rank_failures, '_first_failure', lambda *_: pytest.fail('asked'))
    assert after_another(ValueError('a'), 'a') is None


def test_the_first_shows_its_error_and_the_others_one_line(become, monkeypatch, capsys):
    monkeypatch.setenv('RANK', '1')
    become(1)
    assert report(ConfigError('model.a must be > 0')) == 2
    assert capsys.readouterr().err == 'error: rank 1: model.a must be > 0\n'
    become(0)
    assert report(GONE) == 3
    assert capsys.readouterr().err == 'error: rank 0 stops, since rank 1 failed: model.a must be > 0\n'


@pytest.mark.parametrize(
    'text', ['Connection reset by peer', 'ncclRemoteError: A call failed possibly due to a network']
)
def test_what_the_backends_say_of_a_lost_process(text):
    assert is_lost(RuntimeError(text)) and not is_lost(ValueError(text))
    assert not is_lost(RuntimeError('NCCL error: ncclInvalidUsage: Duplicate GPU detected'))
