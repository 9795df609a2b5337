_base_ = './semi_mgd.py'

# 15 % of the gradient for each of the levels of images and regions. With pretrained networks on CamVid, their published
# weights begin at 0.005 % and 78 %.
share = dict(_delete_=True, type='GradientShare', share=0.15)
unlabeled_terms = dict(loss_image=dict(weight=share), loss_region=dict(weight=share))
