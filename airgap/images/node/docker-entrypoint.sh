#!/bin/sh
# A flag, or something that is no program, is for Node; anything else is run as it is.
set -e
case "${1:-}" in
  -*) exec node "$@" ;;
esac
if [ -z "$(command -v "${1:-node}")" ] || { [ -f "$1" ] && [ ! -x "$1" ]; }; then
  exec node "$@"
fi
exec "$@"
