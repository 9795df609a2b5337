_base_ = './compact_camvid.py'

# The response term with the factor temperature^2 = 16: see `compact_digits_scaled.py`.
name = 'compact_camvid_scaled'
options = {'model.terms.loss_response.weight': 0.3, 'optim_wrapper.type': 'BFloat16OptimWrapper'}
stages = [dict(name='final', candidates=['response', 'both']), dict(name='tuned', candidates=['both_tuned'])]
