_base_ = 'mmseg::_base_/models/segformer_mit-b0.py'

# timm's EfficientViT-B1 (of MIT) at strides 4, 8, 16 and 32, with the head of SegFormer. timm downloads its ImageNet
# weights when the network is built.
model = dict(
    backbone=dict(
        _delete_=True,
        type='TIMMBackbone',
        model_name='efficientvit_b1.r224_in1k',
        pretrained=True,
        features_only=True,
        out_indices=(0, 1, 2, 3)),
    decode_head=dict(in_channels=[32, 64, 128, 256], channels=128))
