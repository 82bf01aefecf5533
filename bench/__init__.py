"""The benchmark: the product, its servers and its peers, side by side on this machine.

``make bench`` runs everything; ``python -m bench --help`` lists the parts.
"""
