"""Mail by the operator's relay: TLS always, a spool on the encrypted partition, and no program of others."""
