_base_ = [
    '../_base_/models/deeplabv3plus_r18quarter_scratch.py', '../_base_/datasets/semi_camvid.py',
    '../_base_/schedules/adamw_1000.py', '../_base_/default_runtime.py', '../_base_/terms/semi_cps_camvid.py'
]

# A teacher that is deeper than the student, and twice as wide except for the head.
_base_.model.backbone.update(depth=34, stem_channels=32, base_channels=32, multi_grid=(2, 4, 8))
_base_.model.decode_head.update(in_channels=256, c1_in_channels=32, num_classes=11)
_base_.model.data_preprocessor.size = _base_.crop_size
model = dict(
    _delete_=True,
    type=_base_.distiller,
    student=_base_.model,
    unlabeled_terms=_base_.unlabeled_terms,
    mix=_base_.mix)
custom_hooks = [*_base_.custom_hooks, *_base_.semi_hooks]
