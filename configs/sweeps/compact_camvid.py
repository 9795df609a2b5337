# The compact network in four ways on CamVid, over seeds, with the published settings.
# Train the teacher first: `python tools/train.py configs/camvid/r18_camvid.py`.
name = 'compact_camvid'
budget = dict(kind='iterations', value=400)
seeds = [0, 1]
options = {'optim_wrapper.type': 'BFloat16OptimWrapper'}  # like --amp on a CPU: two thirds of the time
_ways = ['none', 'feature', 'response', 'both']
_tuned = ['feature_tuned', 'both_tuned']
candidates = {way: f'mmseg_kd::compact/{way}_camvid.py' for way in _ways + _tuned}
stages = [dict(name='final', candidates=_ways), dict(name='tuned', candidates=_tuned)]
