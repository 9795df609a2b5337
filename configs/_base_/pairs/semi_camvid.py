# What cross pseudo supervision on the same labels leaves behind, such as that of
# `python tools/train.py configs/semi/cps_r34half_camvid.py --amp`.
# They run in bfloat16, which takes half the time on CPUs that have it.
teachers = dict(
    deep=dict(
        config='mmseg_kd::semi/cps_r34half_camvid.py',
        checkpoint='work_dirs/cps_r34half_camvid/iter_1000.pth',
        dtype='bfloat16'),
    wide=dict(
        config='mmseg_kd::semi/cps_r18half_camvid.py',
        checkpoint='work_dirs/cps_r18half_camvid/iter_1000.pth',
        dtype='bfloat16'))
