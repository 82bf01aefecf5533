"""Webhooks: what happens in a Service, as signed POSTs to its ``webhook_url``."""
