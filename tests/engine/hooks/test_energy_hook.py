import json
import sys
from types import ModuleType, SimpleNamespace

import pytest

from mmseg_kd.profiling.energy import load_energy
from mmseg_kd.testing.toys import toy_runner, toy_segmentor


class FakeTracker:
    """Counts 1 kWh, 100 g of CO2 and 10 s a measurement; one at its start and one at its end."""

    def __init__(self, output_handlers, **arguments):
        self._recorders = output_handlers
        self._counted = 0
        self._conf = dict(hardware=['CPU(Intel Rapl)'])

    def start(self):
        self._measure('live_out')

    def stop(self):
        self._measure('out')

    def _measure(self, method):
        self._counted += 1
        kwh = 1.0 * self._counted
        data = SimpleNamespace(
            duration=10 * kwh, energy_consumed=kwh, emissions=0.1 * kwh, cpu_energy=kwh, gpu_energy=0, ram_energy=0
        )
        for recorder in self._recorders:
            getattr(recorder, method)(data, data)


@pytest.fixture(autouse=True)
def codecarbon(monkeypatch):
    package, data = ModuleType('codecarbon'), ModuleType('codecarbon.input')
    package.OfflineEmissionsTracker = FakeTracker
    data.DataSource = lambda: SimpleNamespace(get_global_energy_mix_data=lambda: dict(FRA={}))
    monkeypatch.setitem(sys.modules, 'codecarbon', package)
    monkeypatch.setitem(sys.modules, 'codecarbon.input', data)


def train(work_dir, iters=1, **settings):
    hooks = [dict(type='EnergyHook', country='FRA')]
    toy_runner(toy_segmentor(4), work_dir, max_iters=iters, custom_hooks=hooks, **settings).train()


def counted(work_dir):
    energy = load_energy(work_dir / 'energy.json')
    return energy.seconds, energy.kwh, round(energy.co2, 6)


def test_what_training_drew_is_in_the_work_directory(tmp_path):
    train(tmp_path)
    assert counted(tmp_path) == (20.0, 2.0, 0.2)
    assert 'energy counter (RAPL)' in json.loads((tmp_path / 'energy.json').read_text())['basis']
    assert [path.name for path in tmp_path.glob('*.json')] == ['energy.json']


def test_a_resumed_run_adds_up_and_a_new_one_begins_at_zero(tmp_path):
    train(tmp_path)
    train(tmp_path, iters=2, resume=True, load_from=str(tmp_path / 'iter_1.pth'))
    assert counted(tmp_path) == (40.0, 4.0, 0.4)
    train(tmp_path)
    assert counted(tmp_path) == (20.0, 2.0, 0.2)


def test_a_killed_run_leaves_its_last_measurement_and_the_next_goes_on_from_there(tmp_path, monkeypatch):
    train(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(FakeTracker, 'stop', lambda self: None)
        train(tmp_path, iters=2, resume=True, load_from=str(tmp_path / 'iter_1.pth'))
    assert counted(tmp_path) == (30.0, 3.0, 0.3)
    train(tmp_path, iters=3, resume=True, load_from=str(tmp_path / 'iter_2.pth'))
    assert counted(tmp_path) == (50.0, 5.0, 0.5)


def test_only_the_main_process_counts(tmp_path, monkeypatch):
    monkeypatch.setattr('mmseg_kd.engine.hooks.energy_hook.is_main_process', lambda: False)
    train(tmp_path)
    assert not (tmp_path / 'energy.json').exists()


def test_a_missing_package_ends_the_run_before_it_begins(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'codecarbon', None)
    with pytest.raises(ImportError, match=r'energy needs codecarbon: pip install "mmseg-kd\[cost\]"'):
        train(tmp_path)
