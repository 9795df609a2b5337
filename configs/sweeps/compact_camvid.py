# The compact network on CamVid: alone, in three published ways, and with a fixed target. Nothing is searched.
# Results: docs/benchmarks/compact.md. The first line puts the teacher's weights, which come with the repository, where
# the configs expect them:
#
#     mkdir -p work_dirs/lite2_camvid; cp docs/benchmarks/teachers/lite2_camvid.pth work_dirs/lite2_camvid/iter_2000.pth
#     python tools/sweep.py configs/sweeps/compact_camvid.py
name = 'compact_camvid'
budget = dict(kind='iterations', value=2400)
seeds = [1]
cache = dict(views=8, features='int8')
options = {'optim_wrapper.type': 'BFloat16OptimWrapper'}  # like --amp on a CPU
_ways = ['feature', 'response', 'both']
_tuned = ['feature_tuned', 'both_tuned']
candidates = {
    way: dict(config=f'mmseg_kd::compact/{way}_camvid.py', options={'model.teacher.dtype': 'bfloat16'})
    for way in _ways + _tuned
}
candidates['none'] = dict(config='mmseg_kd::compact/none_camvid.py')
stages = [dict(name='final', candidates=['none', *_ways]), dict(name='tuned', candidates=_tuned)]
