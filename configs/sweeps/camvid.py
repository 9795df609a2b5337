# DDRNet-23-slim at half width on CamVid at 480x360, from scratch: alone, with published weights, and with 30 % of the
# gradient. Nothing is searched. Results: docs/benchmarks/camvid.md. The first line puts the teacher's weights, which
# come with the repository, where the configs expect them:
#
#     mkdir -p work_dirs/lite2_camvid; cp docs/benchmarks/teachers/lite2_camvid.pth work_dirs/lite2_camvid/iter_2000.pth
#     python tools/sweep.py configs/sweeps/camvid.py
name = 'camvid'
budget = dict(kind='iterations', value=2400)
seeds = [0]
cache = dict(views=20)
options = {'optim_wrapper.type': 'BFloat16OptimWrapper'}  # like --amp on a CPU
_setup = 'mmseg_kd::_base_/setups/lite2_ddrnet_23_slim_half_camvid.py'
# The teacher in bfloat16 takes half the time on CPUs that support it.
_fast = {'model.teacher.dtype': 'bfloat16'}
candidates = dict(
    alone='mmseg_kd::camvid/ddrnet_23_slim_half_camvid.py',
    pi=dict(config=_setup, terms='pi', options=_fast),
    pi_tuned=dict(config=_setup, terms='pi_tuned', options=_fast),
    cwd=dict(config=_setup, terms='cwd', options=_fast),
    cwd_tuned=dict(config=_setup, terms='cwd_tuned', options=_fast),
    dist_tuned=dict(config=_setup, terms='dist_tuned', options=_fast))
stages = [
    dict(name='one_seed', candidates=list(candidates), seeds=[0]),
    dict(name='more_seeds', candidates=['alone', 'cwd_tuned'], seeds=[1, 2]),
]
