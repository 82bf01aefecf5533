"""The demo site: a Django project for the app, configured by the environment."""
