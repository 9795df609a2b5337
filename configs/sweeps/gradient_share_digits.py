# Published weights against 30 % of the gradient, all through the training or falling to 0 in its second half, on the
# scenes of handwritten digits. Nothing is searched. The data and the teacher are those of `make demo`.
name = 'gradient_share_digits'
budget = dict(kind='iterations', value=800)
seeds = [1, 2, 3]

_features, _levels = 'prelogits', ['backbone[1]', 'prelogits', 'logits']
_terms = dict(
    cwd=dict(student='logits', teacher='logits', loss=dict(type='CWDLoss', temperature=4.0), weight=3.0),
    pi=dict(student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss', temperature=4.0), weight=0.1),
    at=dict(student=_features, teacher=_features, loss=dict(type='AttentionTransferLoss'), weight=1e4),
    psd=dict(student=_levels, teacher=_levels, loss=dict(type='DSDPixelSimilarityLoss'), weight=1e3))
_share = dict(type='GradientShare', share=0.3)
_falling = dict(type='GradientShare', share=dict(type='PhaseWeight', weight=0.3, fall=0.5))
candidates = dict(baseline='mmseg_kd::demo/student.py')
for _name, _term in _terms.items():
    for _kind, _weight in dict(published=_term['weight'], share=_share, falling=_falling).items():
        candidates[f'{_name}_{_kind}'] = dict(
            config='mmseg_kd::demo/distilled.py',
            options={'model.terms': dict(_delete_=True, **{f'loss_{_name}': dict(_term, weight=_weight)})})
stages = [dict(name='final', candidates=list(candidates))]
