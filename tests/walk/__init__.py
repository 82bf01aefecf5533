"""docs/deployment.md, pasted on a machine that systemd runs.

``python -m tests.walk`` begins with an empty Debian and the packages that the page
names; ``python -m tests.walk here`` with a copy of this machine, after the packages.
"""
