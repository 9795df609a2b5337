_base_ = './compact_digits.py'

# The response term with the factor temperature^2 = 16 that is common elsewhere; the paper does not write it.
name = 'compact_digits_scaled'
options = {'model.terms.loss_response.weight': 0.3}
stages = [dict(name='final', candidates=['response', 'both']), dict(name='tuned', candidates=['both_tuned'])]
