"""What networks cost, beside hand counts."""

import pytest
import torch
from costs import CPU, SIZE, network
from mmengine.config import ConfigDict
from mmseg.registry import MODELS

from mmseg_kd.profiling.network_cost import Network, load_networks, measure_networks
from mmseg_kd.testing.toys import toy_runner, toy_segmentor


def distiller(**teacher):
    teacher = {'model': toy_segmentor(8), **teacher}
    return ConfigDict(model=dict(type='Distiller', student=toy_segmentor(4), teacher=teacher))


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
    assert student.macs.keys() == {SIZE, (16, 16)} and student.macs[SIZE] > 4 * student.macs[16, 16]
    assert student.parameters < teacher.parameters and student.energy is None and len(told) == 6
    weights = sum(p.numel() * 4 for p in MODELS.build(toy_segmentor(16)).parameters())
    for key in student.latency:
        assert 0 < student.latency[key] and student.memory[key] < teacher.memory[key] and teacher.memory[key] > weights
    assert student.memory[2, SIZE] > student.memory[1, SIZE] > student.memory[1, (16, 16)]


@pytest.mark.parametrize(
    'batches, sizes, seconds', [([0], [SIZE], 1), ([], [SIZE], 1), ([1], [(32, 0)], 1), ([1], [SIZE], 0)]
)
def test_impossible_measurements_are_refused(batches, sizes, seconds):
    with pytest.raises(ValueError, match='batches and sizes must be >= 1, and seconds must be > 0'):
        measure_networks([network()], batches, sizes, CPU, seconds)
