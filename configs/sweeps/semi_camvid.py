# A small network five ways with an eighth of the labels of CamVid, for the seeds alone: nothing is searched. The
# teachers come first: `python tools/train.py configs/semi/cps_r34half_camvid.py --amp`, and `cps_r18half_camvid.py`.
name = 'semi_camvid'
budget = dict(kind='iterations', value=600)
seeds = [0, 1]
options = {'optim_wrapper.type': 'BFloat16OptimWrapper'}  # like --amp on a CPU: two thirds of the time
candidates = {way: f'mmseg_kd::semi/{way}_r18quarter_camvid.py' for way in ('sup', 'mt', 'cps', 'kd', 'mgd')}
stages = [dict(name='final', candidates=['sup', 'mt', 'cps', 'kd', 'mgd'])]
