# What `tools/distill.py` takes by default, and what it could take, on the scenes of handwritten digits: CWD on the
# logits with 30 % or half of the gradient, and with a feature term that has another 15 %. Teacher and student
# differ in width only. Nothing is searched. The data and the teacher are those of `make demo`. Results:
# docs/choose_a_method.md.
name = 'default_digits'
budget = dict(kind='iterations', value=800)
seeds = [1, 2, 3]

_logits = dict(
    student='logits',
    teacher='logits',
    loss=dict(type='CWDLoss', temperature=4.0),
    weight=dict(type='GradientShare', share=0.3))
_features = dict(student='prelogits', teacher='prelogits', weight=dict(type='GradientShare', share=0.15))
_terms = dict(
    cwd=dict(loss_cwd=_logits),
    cwd_half=dict(loss_cwd=dict(_logits, weight=dict(type='GradientShare', share=0.5))),
    cwd_and_hint=dict(loss_cwd=_logits, loss_hint=dict(_features, loss=dict(type='HintLoss'))),
    cwd_and_cwd=dict(loss_cwd=_logits, loss_feature=dict(_features, loss=dict(type='CWDLoss', temperature=4.0))),
    cwd_and_at=dict(loss_cwd=_logits, loss_at=dict(_features, loss=dict(type='AttentionTransferLoss'))),
    cwd_and_ifvd=dict(loss_cwd=_logits, loss_ifv=dict(_features, loss=dict(type='IFVDLoss'))),
    cwd_and_pair=dict(loss_cwd=_logits, loss_pair=dict(_features, loss=dict(type='PairWiseKDLoss'))))
candidates = dict(baseline='mmseg_kd::demo/student.py')
for _name, _method in _terms.items():
    candidates[_name] = dict(
        config='mmseg_kd::demo/distilled.py', options={'model.terms': dict(_delete_=True, **_method)})
stages = [dict(name='final', candidates=list(candidates))]
