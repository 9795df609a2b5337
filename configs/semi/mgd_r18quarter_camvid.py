_base_ = ['../_base_/setups/semi_r18quarter_camvid.py', '../_base_/terms/semi_mgd.py']

# The published weight of 100 for the region level is for pretrained networks; from scratch it outweighs other terms.
# The image level has the weight of the published code.
_base_.unlabeled_terms.loss_image.weight = 0.084
_base_.unlabeled_terms.loss_region.weight = 1.0
model = dict(
    type=_base_.distiller, terms=_base_.terms, unlabeled_terms=_base_.unlabeled_terms, mix=_base_.mix)
custom_hooks = [*_base_.custom_hooks, *_base_.semi_hooks]
