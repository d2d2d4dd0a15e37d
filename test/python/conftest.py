"""Fixtures for all tests here."""

from installed_site import install

__all__ = ['install']
