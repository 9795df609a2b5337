_base_ = ['./mgd_code_r18_voc12aug.py', '../_base_/models/mbv2_for_r18.py']

# For MobileNetV2 on VOC the published code has weights of its own (0.0005 for a sum over 21 classes and 2 images, and
# 50), a learning rate of its own (0.014 on four GPUs), and BatchNorm that is not synchronised in the backbone.
model = dict(
    student=dict(_base_.mbv2, backbone=dict(_base_.mbv2.backbone, norm_cfg=dict(type='BN', requires_grad=True))),
    unlabeled_terms=dict(loss_image=dict(weight=0.021), loss_region=dict(weight=50.0)))
optim_wrapper = dict(optimizer=dict(lr=0.0035))
