# The compact network four ways on CamVid, for the seeds alone: nothing is searched, the settings are those published.
# The teacher comes first: `python tools/train.py configs/camvid/r18_camvid.py`.
name = 'compact_camvid'
budget = dict(kind='iterations', value=400)
seeds = [0, 1]
options = {'optim_wrapper.type': 'BFloat16OptimWrapper'}  # what --amp is on a CPU: two thirds of the time
_ways = ['none', 'feature', 'response', 'both']
_tuned = ['feature_tuned', 'both_tuned']
candidates = {way: f'mmseg_kd::compact/{way}_camvid.py' for way in _ways + _tuned}
stages = [dict(name='final', candidates=_ways), dict(name='tuned', candidates=_tuned)]
