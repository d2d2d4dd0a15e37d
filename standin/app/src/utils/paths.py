"""Where things are: beside the code, as AMSLPR has it. Sessions and uploads are relative to the working directory."""

from pathlib import Path

HOME = Path(__file__).parents[2]
CONFIG = HOME / 'config.json'
USERS = HOME / 'config' / 'users.json'
KEY = HOME / 'config' / 'crypto.key'
DATABASE = HOME / 'data' / 'amslpr.db'
BACKUPS = HOME / 'backups'
