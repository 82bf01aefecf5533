"""The demo site: one Django project around the app, configured by the environment."""
