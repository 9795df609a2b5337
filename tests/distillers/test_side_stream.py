from contextlib import contextmanager

import pytest
import torch

from mmseg_kd.distillers import Distiller
from mmseg_kd.distillers.side_stream import SideStream, beside
from mmseg_kd.testing.toys import toy_batch, toy_segmentor

GPU = torch.device('cuda', 0)


class Order:
    """A stand-in for ``torch.cuda`` that knows which work each stream has certainly finished before its next."""

    def __init__(self):
        self.done = {'training': set()}
        self.current, self.stream_count = 'training', 0

    def Stream(self, device):
        self.stream_count += 1
        self.done[f'side {self.stream_count}'] = set()
        return Handle(self, f'side {self.stream_count}')

    def current_stream(self, device):
        return Handle(self, self.current)

    @contextmanager
    def stream(self, handle):
        before, self.current = self.current, handle.name
        try:
            yield
        finally:
            self.current = before

    def launch(self, work):
        """Launch work, and return what certainly ends before it."""
        before = set(self.done[self.current])
        self.done[self.current].add(work)
        return before


class Handle:
    def __init__(self, order, name):
        self.order, self.name = order, name

    def wait_stream(self, other):
        self.order.done[self.name] |= self.order.done[other.name]


def test_work_waits_for_the_training_and_the_training_for_it():
    order = Order()
    stream = SideStream(order)
    order.launch('images')
    assert stream.run(lambda: order.launch('teacher'), GPU) == {'images'}
    assert order.launch('student') == {'images', 'teacher'}
    # The next work may use the memory of the first again, so it must wait for whoever read that.
    assert stream.run(lambda: order.launch('next'), GPU) == {'images', 'teacher', 'student'}
    assert order.stream_count == 1 and order.current == 'training'


def test_work_runs_beside_the_block_and_ends_before_what_follows():
    order = Order()
    streams = [SideStream(order), SideStream(order)]
    order.launch('images')
    with beside(streams):
        assert streams[0].run(lambda: order.launch('one'), GPU) == {'images'}
        assert streams[1].run(lambda: order.launch('other'), GPU) == {'images'}
        assert order.launch('student') == {'images'}
    assert order.launch('terms') == {'images', 'one', 'other', 'student'}
    streams[0].run(lambda: order.launch('again'), GPU)
    assert 'again' in order.launch('behind')  # outside of the block, at once


def test_a_failure_leaves_nothing_unjoined():
    order = Order()
    stream = SideStream(order)

    def fails():
        order.launch('half')
        raise RuntimeError('no memory')

    with pytest.raises(RuntimeError, match='no memory'), beside([stream]):
        stream.run(fails, GPU)
    assert 'half' in order.done['training'] and stream.joins_at_once
    assert stream.run(lambda: order.launch('next'), GPU) >= {'half'}


def test_other_devices_have_no_streams():
    order = Order()
    assert SideStream(order).run(lambda: order.launch('work'), torch.device('cpu')) == set()
    assert order.stream_count == 0 and order.done['training'] == {'work'}


def test_the_teacher_of_a_distiller_runs_beside_the_student_and_before_the_terms():
    order, before = Order(), {}
    torch.manual_seed(0)
    model = Distiller(
        toy_segmentor(auxiliary=False),
        dict(model=toy_segmentor(auxiliary=False), own_stream=True),
        dict(loss_pi=dict(student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss'))),
    )
    teacher = model.teachers['']
    teacher.module  # built before the seeds
    batch = model.data_preprocessor(toy_batch(), training=True)

    def loss():
        torch.manual_seed(0)  # dropout
        return model.loss(**batch)['loss_pi']

    expected = loss()

    def launched(name, function):
        def call(*args, **kwargs):
            before[name] = order.launch(name)
            return function(*args, **kwargs)

        return call

    class OnGPU(SideStream):
        def run(self, work, device):
            return super().run(work, GPU)

    teacher.stream = OnGPU(order)
    teacher._read = launched('teacher', teacher._read)
    model.student.forward = launched('student', model.student.forward)
    model.terms['loss_pi'].loss.forward = launched('term', model.terms['loss_pi'].loss.forward)
    order.launch('images')
    found = loss()
    assert before == dict(teacher={'images'}, student={'images'}, term={'images', 'teacher', 'student'})
    assert torch.equal(found, expected)
    # Whoever reads the teacher elsewhere gets values that are there.
    model._read_teachers(torch.zeros(1, 3, 32, 32), ['logits'])
    assert 'teacher' in order.launch('reader')
