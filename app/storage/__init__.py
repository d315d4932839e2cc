"""Stores: equals behind `app.service.store.Store`."""
