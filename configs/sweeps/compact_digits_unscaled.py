_base_ = './compact_digits.py'

# The response term without the factor temperature^2 = 16: whether the published one has it is not known.
name = 'compact_digits_unscaled'
options = {'model.terms.loss_response.weight': 0.3 / 16}
stages = [dict(name='final', candidates=['response', 'both']), dict(name='fixed', candidates=['both_fixed'])]
