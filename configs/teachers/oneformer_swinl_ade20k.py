_base_ = ['../_base_/datasets/ade20k_512.py', '../_base_/default_runtime.py']

# For labeling and teaching; it comes with its weights, so that no checkpoint is named beside this file.
model = dict(type='HFSegmentor', pretrained='shi-labs/oneformer_ade20k_swin_large', classes='ADE20KDataset')
