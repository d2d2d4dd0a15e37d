"""Fixtures for all tests here."""

from standin import install

__all__ = ['install']
