_base_ = './compact_camvid.py'

# The response term without the factor temperature^2 = 16: see `compact_digits_unscaled.py`.
name = 'compact_camvid_unscaled'
options = {'model.terms.loss_response.weight': 0.3 / 16, 'optim_wrapper.type': 'BFloat16OptimWrapper'}
stages = [dict(name='final', candidates=['response', 'both']), dict(name='fixed', candidates=['both_fixed'])]
