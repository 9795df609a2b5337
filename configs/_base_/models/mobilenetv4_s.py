_base_ = 'mmseg::_base_/models/segformer_mit-b0.py'

# timm's MobileNetV4-conv-small at strides 4, 8, 16 and 32, with the head of SegFormer. timm downloads its ImageNet
# weights when the network is built.
model = dict(
    backbone=dict(
        _delete_=True,
        type='TIMMBackbone',
        model_name='mobilenetv4_conv_small.e2400_r224_in1k',
        pretrained=True,
        features_only=True,
        out_indices=(1, 2, 3, 4)),
    decode_head=dict(in_channels=[32, 64, 96, 960], channels=128))
