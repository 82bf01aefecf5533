"""Soak test: two workers behind nginx under churn; nothing may grow."""
