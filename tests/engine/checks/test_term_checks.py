"""Terms against the student's own losses, the optimizer and the length of training."""

from stock_trainings import ITERATIONS, config

from mmseg_kd.engine.checks import check_terms, training_loop

HO = dict(student='logits', teacher='logits', loss=dict(type='HolisticKDLoss'))
PI = dict(HO, loss=dict(type='PixelWiseKDLoss'))
ADAM = dict(type='Adam', lr=4e-4)


def found(term, **more):
    settings = config(ITERATIONS, model=dict(type='Distiller', terms=dict(loss_x=term)), **more)
    problems = check_terms(settings, training_loop(settings))
    return problems.refusals, problems.warnings


def test_an_auxiliary_module_needs_an_optimizer():
    plain = dict(optimizer=dict(type='SGD', lr=0.1))
    (text,), warnings = found(HO, optim_wrapper=plain)
    assert text.startswith('model.terms.loss_x.loss (HolisticKDLoss) has an auxiliary module, but optim_wrapper has no')
    assert warnings == []
    critic = dict(plain, constructor='DistillOptimWrapperConstructor', critic=dict(optimizer=ADAM))
    assert found(HO, optim_wrapper=critic) == found(PI, optim_wrapper=plain) == ([], [])


def test_a_schedule_must_begin_before_the_end():
    late = dict(type='DelayedWeight', weight=2.0, begin=1000)
    assert found(dict(PI, weight=late))[0] == [
        'model.terms.loss_x.weight (DelayedWeight) is 0 in all of training: begin is 1000, but train_cfg.max_iters is '
        '1000; let it begin earlier, or remove the term'
    ]
    assert found(dict(PI, weight=dict(late, begin=999))) == ([], [])
    (text,) = found(dict(PI, weight=dict(type='CutoffWeight', weight=2.0, end=1000)))[1]
    assert '(CutoffWeight) is 2 in all of training: end is 1000' in text


def test_shares_of_the_gradient_are_checked_through_their_schedules():
    def share(**schedule):
        return dict(PI, weight=dict(type='GradientShare', share=schedule))

    assert found(dict(PI, weight=dict(type='GradientShare', share=0.3))) == ([], [])
    (text,) = found(share(type='DelayedWeight', weight=0.3, begin=1000))[0]
    assert text.startswith('model.terms.loss_x.weight.share (DelayedWeight) is 0 in all of training: begin is 1000')
    terms = dict(loss_x=share(type='PhaseWeight', weight=0.6, end=0.5), loss_y=share(type='PhaseWeight', weight=0.6))
    settings = config(ITERATIONS, model=dict(type='Distiller', terms=terms))
    (text,) = check_terms(settings, training_loop(settings)).refusals
    assert 'loss_x.weight.share + model.terms.loss_y.weight.share must be below 1' in text and 'is 1.2' in text
    settings.model.terms.loss_y.weight.share.begin = 0.6
    assert check_terms(settings, training_loop(settings)).refusals == []


def test_pseudo_labels_have_the_weights_of_the_students_classes():
    """On CamVid, multi-granularity distillation without them had lost two rare classes after half of the training."""
    weighted = dict(type='CrossEntropyLoss', class_weight=[1.0, 3.0])

    def warnings(student_loss, teacher=True, **loss):
        student = dict(type='EncoderDecoder', decode_head=dict(loss_decode=student_loss))
        term = dict(PI, loss=dict(type='PseudoLabelLoss', **loss))
        model = dict(type='SemiSupervisedDistiller', student=student, unlabeled_terms=dict(loss_u=term))
        settings = config(ITERATIONS, model=dict(model, teacher=dict(config='teacher.py')) if teacher else model)
        return check_terms(settings, training_loop(settings)).warnings

    (text,) = warnings(weighted)
    assert text.startswith('model.unlabeled_terms.loss_u.loss (PseudoLabelLoss) has no class_weight, but')
    assert 'but model.student.decode_head.loss_decode.class_weight is set' in text
    assert warnings(weighted, class_weight=[1.0, 3.0]) == warnings(dict(type='CrossEntropyLoss')) == []
    assert 'loss_decode[1].class_weight is set' in warnings([dict(type='DiceLoss'), weighted])[0]
    assert warnings(dict(weighted, class_weight=None)) == warnings(weighted, teacher=False) == []
