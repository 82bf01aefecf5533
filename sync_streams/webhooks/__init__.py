"""Webhooks: events of a Service, sent as signed POSTs to its ``webhook_url``."""
