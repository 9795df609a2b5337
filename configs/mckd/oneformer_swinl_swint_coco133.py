_base_ = [
    '../_base_/pairs/soft_labels_swint.py', '../_base_/datasets/mckd_coco133.py', '../_base_/schedules/adamw_20e.py'
]
model = dict(student=dict(data_preprocessor=dict(size=_base_.crop_size), decode_head=dict(num_classes=133)))
train_cfg = dict(
    _delete_=True,
    type='MCKDLoop',
    num_stages=1,
    teacher=dict(config='mmseg_kd::teachers/oneformer_swinl_coco133.py'),
    train=_base_.train_cfg,
    # Of 133: what is left is spread evenly. At most 21 GB of soft labels; 133 would be 44 GB.
    top_k=64)
