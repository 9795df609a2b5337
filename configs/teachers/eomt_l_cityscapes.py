_base_ = ['../_base_/datasets/cityscapes_1024x1024.py', '../_base_/default_runtime.py']

# For labeling and teaching; it comes with its weights, so that no checkpoint is named beside this file. It was trained
# on squares of 1024x1024: windows of this size cover other images.
model = dict(type='HFSegmentor', pretrained='tue-mps/cityscapes_semantic_eomt_large_1024', classes='CityscapesDataset')
