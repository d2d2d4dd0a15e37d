"""Releases of the application on a device: `amslpr-device app list | update ARCHIVE | rollback`."""
