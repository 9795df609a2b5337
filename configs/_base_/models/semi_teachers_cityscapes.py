# The teachers are trained by cross pseudo supervision on the same labels, such as by
# `python tools/train.py configs/semi/cps_r101_cityscapes.py`.
teachers = dict(
    deep=dict(
        config='mmseg_kd::semi/cps_r101_cityscapes.py', checkpoint='work_dirs/cps_r101_cityscapes/iter_44544.pth'),
    wide=dict(
        config='mmseg_kd::semi/cps_wide_cityscapes.py', checkpoint='work_dirs/cps_wide_cityscapes/iter_44544.pth'))
