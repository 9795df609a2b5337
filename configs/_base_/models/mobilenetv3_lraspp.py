_base_ = 'mmseg::_base_/models/lraspp_m-v3-d8.py'

# This head averages windows of 49x49 at stride 8, so images must be 385x385 at least.
model = dict(pretrained='open-mmlab://contrib/mobilenet_v3_large')
