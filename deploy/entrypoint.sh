#!/bin/sh
# Hand the broker's passwords from secret files to the settings, which take them from the environment.
set -eu
secrets=${SECRETS_FOLDER:-/run/secrets}
if [ -r "$secrets/password.bridge" ]; then
    FLOOR_BROKER__PASSWORD=$(cat "$secrets/password.bridge")
    export FLOOR_BROKER__PASSWORD
fi
if [ -r "$secrets/password.front" ]; then
    FLOOR_BROKER__FRONT_PASSWORD=$(cat "$secrets/password.front")
    export FLOOR_BROKER__FRONT_PASSWORD
fi
exec "$@"
