umask 027
if [ -z "${TMOUT-}" ]; then
  TMOUT=900
  readonly TMOUT
  export TMOUT
fi
