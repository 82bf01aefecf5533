"""docs/deployment.md, pasted into a machine that runs systemd.

``python -m tests.walk`` begins with an empty Debian and the packages that the page
names; ``python -m tests.walk here`` with a copy of this machine, after the packages.
"""
