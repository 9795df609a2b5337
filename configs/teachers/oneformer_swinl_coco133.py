_base_ = ['../_base_/datasets/coco133.py', '../_base_/default_runtime.py']

# For labeling and teaching; it comes with its weights, so that no checkpoint is named beside this file. It sees images
# as it was trained to: the short side 800, the long one at most 1333.
model = dict(
    type='HFSegmentor', pretrained='shi-labs/oneformer_coco_swin_large', classes='CocoPanopticSemDataset')
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(1333, 800), keep_ratio=True),
    dict(type='LoadPanopticSemAnnotations'),
    dict(type='PackSegInputs'),
]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
