_base_ = './cirkd.py'

# The published code remembers pixels of any class under the name of each.
terms = dict(loss_memory=dict(loss=dict(type='StrayCIRKDMemoryLoss')))
