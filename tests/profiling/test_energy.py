"""Energy, by a tracker of known power and by codecarbon itself."""

import importlib.util
import json
import socket
import sys
from dataclasses import replace
from types import ModuleType, SimpleNamespace

import pytest
from costs import CPU, SIZE, network

from mmseg_kd.profiling import energy as energies
from mmseg_kd.profiling.energy import (
    Energy,
    energy_tracker,
    load_energy,
    measure_energy,
    save_energy,
    training_energy,
    training_seconds,
)
from mmseg_kd.profiling.network_cost import measure_networks


class FakeTracker:
    """A machine of 50 W, and 100 g of CO2 a kWh; its window is twice as long as what it is asked to measure.

    It reads the clock that the measurement reads, so that a test may set both."""

    made = []

    def __init__(self, **arguments):
        self.arguments = arguments
        self._conf = dict(hardware=['RAM()', 'CPU(Cpu Load)'])
        self.made.append(self)

    def start(self):
        self._begin = energies.time.perf_counter()

    def stop(self):
        seconds = 2 * (energies.time.perf_counter() - self._begin)
        kwh = 50 * seconds / 3.6e6
        self.final_emissions_data = SimpleNamespace(
            duration=seconds,
            energy_consumed=kwh,
            emissions=0.1 * kwh,
            cpu_energy=0.6 * kwh,
            gpu_energy=0.0,
            ram_energy=0.4 * kwh,
        )


@pytest.fixture
def codecarbon(monkeypatch):
    """Takes the place of the package, and makes its trackers."""
    package, data = ModuleType('codecarbon'), ModuleType('codecarbon.input')
    monkeypatch.setattr(FakeTracker, 'made', [])
    package.OfflineEmissionsTracker = FakeTracker
    data.DataSource = lambda: SimpleNamespace(get_global_energy_mix_data=lambda: dict(FRA={}, DEU={}))
    monkeypatch.setitem(sys.modules, 'codecarbon', package)
    monkeypatch.setitem(sys.modules, 'codecarbon.input', data)
    return FakeTracker


def write_run(folder, iterations=30, **parts):
    """A work directory whose log has so many seconds an iteration at iterations 10, 20, ..."""
    for stamp, seconds in parts.items():
        data = folder / stamp / 'vis_data'
        data.mkdir(parents=True)
        (data / 'config.py').write_text(f'train_cfg = dict(max_iters={iterations})')
        entries = [dict(iter=10 * i, step=10 * i, time=value, loss=1.0) for i, value in enumerate(seconds, start=1)]
        entries.append({'mIoU': 40.0, 'time': 7.0, 'step': 30})
        (data / 'scalars.json').write_text('\n'.join(map(json.dumps, entries)))
    return folder


def test_energy_of_an_image_is_power_times_its_time(codecarbon, monkeypatch):
    clock = [0.0]
    with monkeypatch.context() as patch:
        patch.setattr(energies, 'time', SimpleNamespace(perf_counter=lambda: clock[0]))
        calls, energy = measure_energy(lambda: clock.append(clock.pop() + 0.25), 1.0, 'FRA')
    assert calls == 4 and energy.seconds == 1.0
    assert energy.watts == pytest.approx(50) and energy.co2 == pytest.approx(0.1 * energy.kwh)
    assert energy.kwh == pytest.approx(50 * energy.seconds / 3.6e6)
    for part in ('CPU 30.0 W + RAM 20.0 W', "estimated from the processor's load", 'RAM: estimated', 'whole machine'):
        assert part in energy.basis
    (student,) = measure_networks([network()], [2], [SIZE], CPU, 0.01, 'FRA')
    assert student.images % 2 == 0 and student.kwh == student.energy.kwh / student.images
    assert student.co2 == pytest.approx(0.1 * student.kwh)


@pytest.mark.parametrize(
    'hardware, words',
    [
        (['CPU(Intel Rapl)', 'RAM()'], ['energy counter (RAPL)']),
        (['CPU(Cpu Load)', 'GPU(NVIDIA A100)'], ['GPU: read from its energy counter', 'nominal or guessed power']),
        (['CPU(Some Chip > 85W [generic])'], ['by codecarbon as CPU(Some Chip > 85W [generic])']),
        ([], ['by codecarbon as unknown']),
    ],
)
def test_the_basis_says_what_was_measured_and_what_was_estimated(hardware, words):
    data = SimpleNamespace(duration=1, energy_consumed=0, emissions=0, cpu_energy=0, gpu_energy=0, ram_energy=0)
    basis = energies.energy_of(data, SimpleNamespace(_conf=dict(hardware=hardware))).basis
    assert all(word in basis for word in words) and ('GPU' in basis) == ('GPU' in str(hardware))


def test_the_tracker_is_offline_and_writes_no_file(codecarbon):
    recorder = object()
    arguments = energy_tracker('DEU', 3, [recorder]).arguments
    assert arguments == dict(
        country_iso_code='DEU',
        measure_power_secs=3,
        api_call_interval=1,
        output_methods=[],
        output_handlers=[recorder],
        electricitymaps_api_token='',
        emissions_endpoint=False,
        allow_multiple_runs=True,
        log_level='error',
    )


def test_an_unknown_country_a_missing_package_and_one_that_gives_up_are_told(codecarbon, monkeypatch):
    with pytest.raises(ValueError, match="three-letter code that codecarbon knows, such as FRA, but is 'France'"):
        measure_networks([network()], [1], [SIZE], CPU, 0.01, 'France')
    monkeypatch.setattr(FakeTracker, 'stop', lambda self: None)
    with pytest.raises(RuntimeError, match='codecarbon could not measure on this machine'):
        measure_energy(lambda: None, 0.01, 'FRA')
    monkeypatch.setitem(sys.modules, 'codecarbon', None)
    with pytest.raises(ImportError) as caught:
        measure_networks([network()], [1], [SIZE], CPU, 0.01, 'FRA')
    assert str(caught.value) == 'energy needs codecarbon: pip install "mmseg-kd[cost]"'


@pytest.mark.skipif(importlib.util.find_spec('codecarbon') is None, reason='codecarbon is not installed')
def test_codecarbon_itself_measures_without_the_network(monkeypatch, tmp_path):
    def refuse(*arguments):
        raise AssertionError('the network was used')

    monkeypatch.setattr(socket.socket, 'connect', refuse)
    monkeypatch.setattr(socket, 'getaddrinfo', refuse)
    monkeypatch.chdir(tmp_path)
    try:
        calls, energy = measure_energy(lambda: sum(range(100_000)), 1.5, 'FRA')
    except RuntimeError as error:
        pytest.skip(str(error))
    assert calls > 1 and energy.kwh > 0 and energy.co2 > 0 and energy.watts > 0 and 'unknown' not in energy.basis
    # France's mix, in kilograms a kWh: far below the world's.
    assert 0.01 < energy.co2 / energy.kwh < 0.2
    assert not list(tmp_path.iterdir())


def test_training_seconds_are_those_of_the_iterations_in_the_log(tmp_path):
    assert training_seconds(write_run(tmp_path / 'a', t1=[0.5, 1.0, 2.0])) == pytest.approx(35.0)
    with pytest.raises(ValueError, match='must be the work directory of a training run'):
        training_seconds(tmp_path)


def test_energy_of_training_is_its_seconds_times_the_most_power_or_what_was_counted(tmp_path):
    run = write_run(tmp_path / 'a', t1=[0.5, 1.0, 2.0])
    measured = [Energy(10, 50 * 10 / 3.6e6, 50 * 10 / 3.6e7, ''), Energy(10, 40 * 10 / 3.6e6, 1.0, '')]
    energy = training_energy(run, measured)
    assert energy.kwh == pytest.approx(35 * 50 / 3.6e6) and energy.co2 == pytest.approx(energy.kwh / 10)
    assert '35 s of training iterations by the log' in energy.basis and '50.0 W' in energy.basis
    counted = Energy(100.0, 0.5, 0.05, 'counted')
    save_energy(run / 'energy.json', counted)
    assert load_energy(run / 'energy.json') == counted
    assert training_energy(run, []) == replace(
        counted, basis='Counted by EnergyHook over 100 s, validation included; counted'
    )
    assert [path.name for path in run.glob('*.json')] == ['energy.json']
    partial = training_energy(write_run(tmp_path / 'b', t1=[0.5, 1.0], iterations=90), measured)
    assert partial.basis.endswith('; but the run is not complete: stopped at iteration 30 of 90')
