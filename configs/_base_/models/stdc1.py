_base_ = 'mmseg::_base_/models/stdc.py'

model = dict(
    backbone=dict(
        backbone_cfg=dict(
            init_cfg=dict(
                type='Pretrained',
                checkpoint='https://mmassets.onedl.ai/mmsegmentation/v0.5/pretrain/stdc/stdc1_20220308-5368626c.pth'))))
