_base_ = ['../_base_/datasets/cityscapes.py', '../_base_/default_runtime.py']

# For labeling and teaching; it comes with its weights, so that no checkpoint is named beside this file.
model = dict(
    type='HFSegmentor', pretrained='shi-labs/oneformer_cityscapes_swin_large', classes='CityscapesDataset')
