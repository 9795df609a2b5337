_base_ = './cirkd.py'

# In the published code, the memory of each class has pixels of any class.
terms = dict(loss_memory=dict(loss=dict(type='StrayCIRKDMemoryLoss')))
