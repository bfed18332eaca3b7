#!/bin/sh
# Make the broker's password files, a file with each user's password, and the token key. Existing ones are kept.
#
#   mosquitto/make-passwords.sh FOLDER [DEVICE...]      a DEVICE is site/area/line/equipment, a gateway site/area/line
#
# FOLDER/passwd.services, FOLDER/passwd.devices   hashes, for Mosquitto
# FOLDER/password.USER                            the password itself, with + for / in a device's name
# FOLDER/token.secret                             an HS256 key for the bridge, where no identity provider issues tokens
set -eu
umask 077
if [ $# -lt 1 ]; then
    sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
command -v mosquitto_passwd >/dev/null || { echo "mosquitto_passwd not found: install the package mosquitto" >&2; exit 1; }
folder=$1
shift
mkdir -p "$folder"

add() { # add PASSWD_FILE USER
    file=$folder/password.$(printf %s "$2" | tr / +)
    [ -s "$file" ] || head -c 24 /dev/urandom | base64 | tr +/ -_ | tr -d '\n' >"$file"
    printf '%s:%s\n' "$2" "$(cat "$file")" >>"$1.new"
}

finish() { # finish PASSWD_FILE: hash its plain-text passwords (not on a command line, where ps would show them)
    mosquitto_passwd -U "$1.new"
    # Write into the same file, not over its name: a container has mounted the file itself, and its SIGHUP reads that
    # again. If this is interrupted, the file is empty or cut short and PASSWD_FILE.new is left over: a broker that
    # reads it rejects the users that are missing, and the next run of this script writes it whole.
    cat "$1.new" >"$1" || { echo "$1 is not complete: run this script again" >&2; exit 1; }
    sync "$1"
    rm "$1.new"
}

[ -s "$folder/token.secret" ] || head -c 48 /dev/urandom | base64 | tr -d '\n' >"$folder/token.secret"
rm -f "$folder"/passwd.*.new
for user in bridge front simulator; do add "$folder/passwd.services" "$user"; done
finish "$folder/passwd.services"

add "$folder/passwd.devices" mqtt_consumer
add "$folder/passwd.devices" _canary # of the bridge's probe: it reports as a device with this name does
for device in "$@"; do
    case $device in *[!A-Za-z0-9._/-]* | /* | */) echo "not a device name: $device" >&2; exit 2 ;; esac
done
# keep the devices of earlier runs
for known in "$folder"/password.*+*; do
    [ -e "$known" ] || continue
    set -- "$@" "$(basename "$known" | sed 's/^password\.//' | tr + /)"
done
for device in $(printf '%s\n' "$@" | sort -u); do add "$folder/passwd.devices" "$device"; done
finish "$folder/passwd.devices"

# Containers run as other users, so the files must be readable; the folder keeps other users of this host out.
chmod 700 "$folder"
chmod 644 "$folder"/passwd.* "$folder"/password.* "$folder/token.secret"
