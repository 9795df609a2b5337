# Yuan et al., "FAKD" (arXiv 2208.14143): one term, of the student's features and its classifier. A survey (arXiv
# 2309.03659) lists it as channel-wise. Its settings are unknown to us; temperature and weight are those of CWD.
terms = dict(
    loss_fakd=dict(
        student=['prelogits', 'decode_head.conv_seg.weight', 'decode_head.conv_seg.bias'],
        teacher='logits',
        loss=dict(type='ChannelFAKDLoss', temperature=4.0),
        weight=3.0))
