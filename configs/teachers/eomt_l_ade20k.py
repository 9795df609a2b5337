_base_ = ['../_base_/datasets/ade20k_512.py', '../_base_/default_runtime.py']

# For labeling and teaching; it comes with its weights, so that no checkpoint is named beside this file. It was trained
# on squares of 512x512: windows of this size cover other images.
model = dict(type='HFSegmentor', pretrained='tue-mps/ade20k_semantic_eomt_large_512', classes='ADE20KDataset')
