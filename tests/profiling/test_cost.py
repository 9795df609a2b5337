import copy
import csv
import importlib.util
import json
import socket
import sys
from dataclasses import replace
from types import ModuleType, SimpleNamespace

import pytest
import torch
from mmengine.config import ConfigDict
from mmseg.registry import MODELS
from torch import nn

from mmseg_kd.profiling import cost as costs
from mmseg_kd.profiling.cost import (
    Energy,
    Network,
    NetworkCost,
    break_even,
    cost_csv,
    cost_report,
    energy_tracker,
    load_energy,
    load_networks,
    measure_energy,
    measure_latency,
    measure_networks,
    peak_memory,
    save_energy,
    training_energy,
    training_seconds,
)
from mmseg_kd.testing.toys import toy_runner, toy_segmentor

CPU = torch.device('cpu')
SIZE = (32, 48)


class FakeTracker:
    """A machine of 50 W, and 100 g of CO2 a kWh; its window is twice as long as what it is asked to measure.

    It reads the clock that the measurement reads, so that a test may set both."""

    made = []

    def __init__(self, **arguments):
        self.arguments = arguments
        self._conf = dict(hardware=['RAM()', 'CPU(Cpu Load)'])
        self.made.append(self)

    def start(self):
        self._begin = costs.time.perf_counter()

    def stop(self):
        seconds = 2 * (costs.time.perf_counter() - self._begin)
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


def distiller(**teacher):
    teacher = {'model': toy_segmentor(8), **teacher}
    return ConfigDict(model=dict(type='Distiller', student=toy_segmentor(4), teacher=teacher))


def network(name='student', channels=4):
    return Network(name, [MODELS.build(toy_segmentor(channels))], [1], 'random')


def result(name, joules, parameters=1_000_000):
    """Costs of a network that needs so much energy for one image."""
    energy = Energy(10.0, joules * 100 / 3.6e6, joules * 100 / 3.6e7, 'a guess')
    return NetworkCost(
        name,
        'random',
        parameters,
        {SIZE: 2_000_000_000},
        {(1, SIZE): 0.05, (4, SIZE): 0.1},
        {(1, SIZE): 30_000_000, (4, SIZE): 40_000_000},
        100,
        energy,
    )


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


class Allocates(nn.Module):
    """Holds 4, 8, 4, 12 and 8 megabytes, one after the other."""

    def forward(self):
        a = torch.zeros(1000, 1000)
        b = a + 1
        del a
        return torch.cat([b, b])


def test_peak_memory_on_a_cpu_is_what_was_held_at_once():
    model = Allocates()
    model()
    assert peak_memory(model, CPU) == 12_000_000
    assert peak_memory(lambda: None, CPU) == 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_peak_memory_on_a_gpu_is_what_was_held_at_once_beyond_what_was_there():
    there = torch.zeros(1000, device='cuda')
    peak = peak_memory(lambda: torch.zeros(1000, 1000, device='cuda'), there.device)
    assert peak == pytest.approx(4_000_000, rel=0.01)


def test_latency_is_the_median_after_a_warm_up_and_networks_take_turns(monkeypatch):
    calls, clock = [], [0.0]
    durations = dict(slow=iter([9, 9, 9, 5, 1, 2, 3, 4]), quick=iter([9, 9, 9, 1, 1, 1, 1, 70]))

    def run(name):
        calls.append(name)
        clock[0] += next(durations[name])

    monkeypatch.setattr(costs, 'time', SimpleNamespace(perf_counter=lambda: clock[0]))
    found = measure_latency(dict(slow=lambda: run('slow'), quick=lambda: run('quick')), seconds=1)
    assert found == dict(slow=3, quick=1)
    assert calls[:6] == ['slow'] * 3 + ['quick'] * 3 and calls[6:] == ['slow', 'quick'] * 5


def test_latency_is_measured_for_the_seconds_but_not_less_than_5_nor_more_than_200_times(monkeypatch):
    monkeypatch.setattr(costs, 'WARM_UP', 0)
    clock = [0.0]
    monkeypatch.setattr(costs, 'time', SimpleNamespace(perf_counter=lambda: clock[-1]))
    measure_latency(dict(a=lambda: clock.append(clock[-1] + 0.25)), seconds=4)
    assert len(clock) - 1 == 16
    clock[1:] = []
    measure_latency(dict(a=lambda: clock.append(clock[-1] + 9)), seconds=4)
    assert len(clock) - 1 == 5
    clock[1:] = []
    measure_latency(dict(a=lambda: clock.append(clock[-1])), seconds=4)
    assert len(clock) - 1 == 200


def test_a_network_is_run_on_images_of_the_size_to_its_label_maps():
    module = MODELS.build(toy_segmentor(4))
    seen = []
    forward = module.forward
    module.forward = lambda inputs, mode: seen.append((inputs.shape, inputs.dtype, mode, forward(inputs, mode=mode)))
    Network('a', [module], [1], 'random').runner(3, SIZE, CPU)()
    ((shape, dtype, mode, answers),) = seen
    assert (shape, dtype, mode) == ((3, 3, *SIZE), torch.float32, 'predict') and not module.training
    assert [answer.pred_sem_seg.shape for answer in answers] == [SIZE] * 3


def test_an_ensemble_costs_what_its_members_cost_each_at_its_scale_and_dtype():
    members = [dict(model=toy_segmentor(4)), dict(model=toy_segmentor(4), scale=2, dtype='bfloat16')]
    config = distiller()
    config.model.teacher = dict(both=members, one=members[0])
    student, both, one = load_networks(config)
    assert [n.name for n in (student, both, one)] == ['student', 'teacher both', 'teacher one']
    assert one.cost(SIZE) == student.cost(SIZE)
    assert both.cost(SIZE)[0] == 2 * one.cost(SIZE)[0]
    assert both.cost(SIZE)[1] == one.cost(SIZE)[1] + one.cost((64, 96))[1]
    assert both.bytes() == 2 * one.bytes()  # autocast keeps weights in float32
    both.runner(1, SIZE, CPU)()


def test_student_teacher_and_plain_segmentors_are_loaded(tmp_path):
    toy_runner(toy_segmentor(4), tmp_path, max_iters=1).train()
    checkpoint = str(tmp_path / 'iter_1.pth')
    config = distiller(model=toy_segmentor(4), checkpoint=checkpoint)
    assert [(n.name, n.weights) for n in load_networks(config)] == [('student', 'random'), ('teacher', 'trained')]
    missing = distiller(checkpoint='auto')
    found = load_networks(missing, checkpoint)
    assert [(n.name, n.weights) for n in found] == [('student', 'trained'), ('teacher', 'random')]
    assert missing.model.teacher.checkpoint == 'auto' and found[0].training_size == (32, 32)
    plain = ConfigDict(model=toy_segmentor(4), data_preprocessor=toy_segmentor(4, size=64).data_preprocessor)
    plain.model.pop('data_preprocessor')
    (alone,) = load_networks(plain)
    assert alone.name == 'network' and alone.training_size == (64, 64)


def test_everything_but_energy_is_measured_by_batch_and_size():
    told, networks = [], [network(), network('teacher', 16)]
    found = measure_networks(networks, [1, 2], [SIZE, (16, 16)], CPU, 0.01, report=told.append)
    student, teacher = found
    assert list(student.latency) == [(1, SIZE), (2, SIZE), (1, (16, 16)), (2, (16, 16))] == list(student.memory)
    assert student.flops.keys() == {SIZE, (16, 16)} and student.flops[SIZE] > 4 * student.flops[16, 16]
    assert student.parameters < teacher.parameters and student.energy is None and len(told) == 6
    weights = sum(p.numel() * 4 for p in MODELS.build(toy_segmentor(16)).parameters())
    for key in student.latency:
        assert 0 < student.latency[key] and student.memory[key] < teacher.memory[key] and teacher.memory[key] > weights
    assert student.memory[2, SIZE] > student.memory[1, SIZE] > student.memory[1, (16, 16)]


@pytest.mark.parametrize(
    'batches, sizes, seconds', [([0], [SIZE], 1), ([], [SIZE], 1), ([1], [(32, 0)], 1), ([1], [SIZE], 0)]
)
def test_impossible_measurements_are_refused(batches, sizes, seconds):
    with pytest.raises(ValueError, match='batches and sizes must be >= 1, and seconds > 0'):
        measure_networks([network()], batches, sizes, CPU, seconds)


def test_energy_of_an_image_is_power_times_its_time(codecarbon, monkeypatch):
    clock = [0.0]
    with monkeypatch.context() as patch:
        patch.setattr(costs, 'time', SimpleNamespace(perf_counter=lambda: clock[0]))
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
        (['CPU(Cpu Load)', 'GPU(NVIDIA A100)'], ['GPU: read from its energy counter', 'or a guess of it']),
        (['CPU(Some Chip > 85W [generic])'], ['by codecarbon as CPU(Some Chip > 85W [generic])']),
        ([], ['by codecarbon as unknown']),
    ],
)
def test_the_basis_says_what_was_measured_and_what_was_estimated(hardware, words):
    data = SimpleNamespace(duration=1, energy_consumed=0, emissions=0, cpu_energy=0, gpu_energy=0, ram_energy=0)
    basis = costs.energy_of(data, SimpleNamespace(_conf=dict(hardware=hardware))).basis
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
    assert '35 s of training iterations by its log' in energy.basis and '50.0 W' in energy.basis
    counted = Energy(100.0, 0.5, 0.05, 'counted')
    save_energy(run / 'energy.json', counted)
    assert load_energy(run / 'energy.json') == counted
    assert training_energy(run, []) == replace(
        counted, basis='Counted by EnergyHook over 100 s, validation included; counted'
    )
    assert [path.name for path in run.glob('*.json')] == ['energy.json']
    partial = training_energy(write_run(tmp_path / 'b', t1=[0.5, 1.0], iterations=90), measured)
    assert partial.basis.endswith('; but the run is not complete: stopped at iteration 30 of 90')


def test_break_even_is_the_first_image_at_which_the_saving_covers_the_training():
    assert break_even(10.0, 3.0, 1.0) == 5
    assert break_even(10.1, 3.0, 1.0) == 6
    assert break_even(10.0, 1.0, 1.0) is None and break_even(10.0, 1.0, 2.0) is None


def test_the_report_compares_energy_and_tells_the_break_even():
    training = Energy(100.0, 1999 / 3.6e6, 0.001, 'counted')
    text = cost_report('a pair', [result('student', 1.0), result('teacher', 3.0, 4_000_000)], 'CPU x', training)
    rows = [[cell.strip() for cell in line.split('|')[1:-1]] for line in text.splitlines() if line.startswith('| ')]
    assert rows[0] == [
        '',
        'parameters, M',
        'multiply-adds at 32x48, G',
        '10000 inferences, Wh',
        '10000 inferences, g CO2',
        'power, W',
    ]
    assert rows[2] == ['student', '1.000', '2.000', '2.778', '0.2778', '10.0']
    assert rows[3] == ['teacher', '4.000', '2.000', '8.333', '0.8333', '30.0']
    assert rows[6] == ['student', '32x48', '1', '50.00', '20.00', '30.0'] and rows[7] == ['teacher', *rows[6][1:]]
    assert rows[8] == ['student', '32x48', '4', '100.00', '40.00', '40.0']
    assert 'Break-even with the teacher: 1000 images. The student saves 2 J an image' in text
    assert 'extrapolated from a window of 10.0 s and 100 images (student), 10.0 s and 100 images (teacher)' in text
    assert '- student: a guess.' in text and 'Training of the student: 0.5553 Wh, 1 g CO2. counted.' in text


def test_a_student_that_needs_more_never_pays_back():
    training = Energy(1.0, 1.0, 1.0, 'counted')
    results = [result('student', 3.0), result('teacher', 1.0)]
    assert 'never. The student needs 2 J more an image' in cost_report('a', results, 'CPU', training)
    rows = list(csv.DictReader(cost_csv(results, training).splitlines()))
    assert [row['value'] for row in rows if row['quantity'] == 'break-even with the teacher'] == ['never']


def test_without_energy_the_report_has_the_rest():
    alone = copy.deepcopy(result('network', 1.0))
    alone.energy = None
    text = cost_report('a', [alone], 'GPU x')
    assert 'Wh' not in text and 'Break-even' not in text and 'latency, ms' in text


def test_csv_has_one_line_a_number():
    results = [result('student', 1.0), result('teacher', 3.0)]
    rows = list(csv.DictReader(cost_csv(results, Energy(1.0, 3 / 3.6e6, 1.0, '')).splitlines()))
    found = {(row['network'], row['quantity'], row['batch']): float(row['value']) for row in rows}
    assert found['student', 'latency', '4'] == 0.1 and found['student', 'throughput', '4'] == 40
    assert found['teacher', 'energy of 10000 inferences', '1'] == pytest.approx(30000 / 3.6e6, rel=1e-5)
    assert found['student', 'break-even with the teacher', ''] == 2 and len(found) == len(rows)
