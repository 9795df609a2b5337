_base_ = ['../_base_/setups/semi_lite0_camvid.py', '../_base_/terms/semi_mgd.py']

weighted = dict(type='PseudoLabelLoss', class_weight=_base_.class_weight)
_base_.terms.loss_deep.loss = weighted
_base_.terms.loss_wide.loss = weighted
_base_.unlabeled_terms.loss_unlabeled_deep.loss = weighted
_base_.unlabeled_terms.loss_unlabeled_wide.loss = weighted
# 15 % of the gradient for each of the levels of images and regions: their published weights begin at 0.005 % and 78 %.
share = dict(type='GradientShare', share=0.15)
_base_.unlabeled_terms.loss_image.weight = share
_base_.unlabeled_terms.loss_region.weight = share
model = dict(
    type=_base_.distiller, terms=_base_.terms, unlabeled_terms=_base_.unlabeled_terms, mix=_base_.mix)
custom_hooks = [*_base_.custom_hooks, *_base_.semi_hooks]
