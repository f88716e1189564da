"""The shipped estimator: SSR-Net's staged ages behind the first stages of a face recognition network.

labels -> faces -> features -> train -> convert, each a command; `training/run` calls them in this order.
"""
