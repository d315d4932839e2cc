"""Stores: equals behind `app.service.store_protocol.Store`."""
