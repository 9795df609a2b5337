# Yuan et al., "FAKD" (arXiv 2208.14143): one term, of the student's features and its classifier. The weight is ours.
terms = dict(
    loss_fakd=dict(
        student=['prelogits', 'decode_head.conv_seg.weight', 'decode_head.conv_seg.bias'],
        teacher='logits',
        loss=dict(type='FAKDLoss'),
        weight=1.0))
