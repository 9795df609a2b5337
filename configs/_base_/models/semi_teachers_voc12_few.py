# The teachers are trained by cross pseudo supervision on the same labels, such as by
# `python tools/train.py configs/semi/cps_r101_voc12_few.py`.
teachers = dict(
    deep=dict(
        config='mmseg_kd::semi/cps_r101_voc12_few.py', checkpoint='work_dirs/cps_r101_voc12_few/iter_39680.pth'),
    wide=dict(
        config='mmseg_kd::semi/cps_wide_voc12_few.py', checkpoint='work_dirs/cps_wide_voc12_few/iter_39680.pth'))
