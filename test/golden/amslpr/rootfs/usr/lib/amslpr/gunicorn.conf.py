"""How gunicorn runs the application: one process, since AMSLPR keeps state in memory; threads for slow requests."""

# Started in the read-only release, so that no module can be put in the way in a folder that the application writes.
chdir = '/opt/amslpr/current'
bind = 'unix:/run/amslpr/app.sock'
umask = 0o007
workers = 1
worker_class = 'gthread'
threads = 8
timeout = 120
graceful_timeout = 20
worker_tmp_dir = '/dev/shm'
limit_request_line = 4094
limit_request_fields = 60
limit_request_field_size = 8190
accesslog = None
errorlog = '-'
