"""The journal, sent on to a central log server over TLS."""
