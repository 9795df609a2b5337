# EfficientNet-Lite0 five ways with an eighth of the labels of CamVid. Nothing is searched. The teachers come first:
# `python tools/train.py configs/semi/sup_lite2_camvid.py --amp`, and `sup_lite1_camvid.py`.
name = 'semi_camvid'
budget = dict(kind='iterations', value=1200)
seeds = [1]
options = {'optim_wrapper.type': 'BFloat16OptimWrapper'}  # like --amp on a CPU: two thirds of the time
candidates = {way: f'mmseg_kd::semi/{way}_lite0_camvid.py' for way in ('sup', 'mt', 'cps', 'kd', 'mgd')}
stages = [dict(name='final', candidates=['sup', 'mt', 'cps', 'kd', 'mgd'])]
