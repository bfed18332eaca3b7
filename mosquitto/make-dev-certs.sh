#!/bin/sh
# Make certificates for development: an authority, the broker's, and one for each device given. Existing ones are kept.
#
#   mosquitto/make-dev-certs.sh FOLDER [DEVICE...]          a DEVICE is site/area/line/equipment, a gateway site/area/line
#   mosquitto/make-dev-certs.sh FOLDER --revoke DEVICE      then restart the broker
#
# FOLDER/ca.crt crl.pem server.crt server.key, and client.DEVICE.crt client.DEVICE.key with + for / in the name.
# Not for production: the authority's key is in the same folder. DAYS=N sets the validity (default 365).
set -eu
umask 077
if [ $# -lt 1 ]; then
    sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
mkdir -p "$1"
cd "$1"
shift
days=${DAYS:-365}

mkdir -p authority
touch authority/index.txt
[ -s authority/serial ] || openssl rand -hex 8 >authority/serial
[ -s authority/crlnumber ] || echo 01 >authority/crlnumber
cat >authority/openssl.cnf <<CNF
[ca]
default_ca = floor
[floor]
database = authority/index.txt
serial = authority/serial
crlnumber = authority/crlnumber
new_certs_dir = authority
certificate = ca.crt
private_key = authority/ca.key
default_md = sha256
default_crl_days = 3650
policy = any
unique_subject = no
[any]
commonName = supplied
[req]
distinguished_name = name
prompt = no
[name]
CN = floor development authority
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost, DNS:mosquitto, IP:127.0.0.1, IP:::1
[client]
basicConstraints = CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
CNF

key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null; }

issue() { # issue FILE COMMON_NAME EXTENSIONS
    [ -s "$1.crt" ] && return
    key "$1.key"
    # escape the / of a device's name: it separates the parts of a subject
    subject=$(printf %s "$2" | sed 's,/,\\/,g')
    openssl req -new -config authority/openssl.cnf -key "$1.key" -subj "/CN=$subject" -out authority/request.pem
    openssl ca -batch -notext -config authority/openssl.cnf -extensions "$3" -days "$days" \
        -in authority/request.pem -out "$1.crt" 2>/dev/null
}

name() { printf 'client.%s' "$(printf %s "$1" | tr / +)"; }

if [ ! -s ca.crt ]; then
    key authority/ca.key
    openssl req -x509 -config authority/openssl.cnf -extensions authority -key authority/ca.key -days 3650 -out ca.crt
fi

if [ "${1:-}" = --revoke ]; then
    openssl ca -config authority/openssl.cnf -revoke "$(name "$2").crt" 2>/dev/null
else
    issue server mosquitto server
    for device in "$@"; do issue "$(name "$device")" "$device" client; done
fi
openssl ca -config authority/openssl.cnf -gencrl -out crl.pem 2>/dev/null

# As in make-passwords.sh: containers must read the files, the folder keeps other users out; the authority is private.
chmod 644 ./*.crt ./*.key crl.pem
chmod 700 . authority
