"""Copies of backups, sent to a server of the operator over SFTP."""
