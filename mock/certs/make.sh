#!/usr/bin/env bash
# Makes every certificate and key of this folder anew, with OpenSSL 3. The tests need only what it leaves here, not OpenSSL.
#
# Valid ones end in a hundred years. The keys of the authorities are thrown away, so that nothing else can be signed with them.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

began=20200101000000Z
ends=21200101000000Z
password=kafka-mock

cat > openssl.cnf <<'END'
[ca]
default_ca = authority
[authority]
database = index.txt
serial = serial
new_certs_dir = .
default_md = sha256
policy = any
unique_subject = no
copy_extensions = none
[any]
commonName = supplied
organizationName = optional
[req]
distinguished_name = none
prompt = no
[none]
[root]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost, IP:127.0.0.1, IP:::1
[server_of_another_name]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:kafka.example.com
[client]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
END
: > index.txt
echo 1000 > serial

# Makes a key: NAME [rsa].
key() {
  if [[ ${2-} == rsa ]]; then openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$1.key"
  else openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key"; fi
}

# Signs a certificate: NAME SUBJECT EXTENSIONS ISSUER [BEGAN ENDS]. ISSUER is "self" for an authority of its own.
sign() {
  local by=(-cert "$4.pem" -keyfile "$4.key")
  [[ $4 == self ]] && by=(-selfsign -keyfile "$1.key")
  openssl req -new -key "$1.key" -subj "$2" -config openssl.cnf -out "$1.csr"
  openssl ca -batch -notext -config openssl.cnf -extensions "$3" "${by[@]}" \
    -startdate "${5-$began}" -enddate "${6-$ends}" -in "$1.csr" -out "$1.pem" 2>> log || { cat log; exit 1; }
}

key ca; sign ca '/O=kafka-mock/CN=kafka-mock test CA' root self
key other-ca; sign other-ca '/O=kafka-mock/CN=kafka-mock other CA' root self
key intermediate; sign intermediate '/O=kafka-mock/CN=kafka-mock intermediate CA' root ca

key server; sign server /CN=localhost server ca
key server-second; sign server-second /CN=localhost server ca "$began" 21100101000000Z
key server-rsa rsa; sign server-rsa /CN=localhost server ca
key server-expired; sign server-expired /CN=localhost server ca 20190101000000Z 20200101000000Z
key server-not-yet-valid; sign server-not-yet-valid /CN=localhost server ca 21190101000000Z
key server-wrong-name; sign server-wrong-name /CN=kafka.example.com server_of_another_name ca
key server-other-ca; sign server-other-ca /CN=localhost server other-ca
key server-chain; sign server-chain /CN=localhost server intermediate
cp server-chain.pem server-without-intermediate.pem
cat intermediate.pem >> server-chain.pem

key client; sign client /CN=client client ca
key client-second; sign client-second /CN=client client ca "$began" 21100101000000Z
key client-rsa rsa; sign client-rsa /CN=client client ca
key client-expired; sign client-expired /CN=client client ca 20190101000000Z 20200101000000Z
key client-other-ca; sign client-other-ca /CN=stranger client other-ca
key client-chain; sign client-chain /CN=client client intermediate
cat intermediate.pem >> client-chain.pem

# The keys of `client` and `client-rsa` in every other form in which users have them. The password of all: kafka-mock.
openssl pkcs8 -topk8 -in client.key -out client-encrypted.key -v2 aes-256-cbc -v2prf hmacWithSHA256 -passout "pass:$password"
openssl pkcs8 -topk8 -in client.key -out client-scrypt.key -scrypt -passout "pass:$password"
openssl pkcs8 -topk8 -in client.key -out client-3des.key -v1 PBE-SHA1-3DES -passout "pass:$password"
openssl ec -in client.key -out client-sec1.key 2>> log
openssl ec -in client.key -out client-old-encrypted.key -aes256 -passout "pass:$password" 2>> log
openssl pkcs8 -topk8 -in client-rsa.key -out client-rsa-encrypted.key -v2 aes-256-cbc -v2prf hmacWithSHA256 -passout "pass:$password"
openssl rsa -in client-rsa.key -traditional -out client-rsa-pkcs1.key 2>> log

# The same in Java's stores. keytool writes PKCS#12 and JKS as Java's users have them, today's and those from before Java 8u301.
p12() { openssl pkcs12 -export -out "$1.p12" -name client -passout "pass:$password" "${@:2}"; }
p12 client -in client.pem -inkey client.key
p12 client-old -legacy -in client.pem -inkey client.key
p12 client-chain -in client-chain.pem -inkey client-chain.key -certfile ca.pem
p12 ca-openssl -nokeys -in ca.pem
# For tests that try thousands of damaged ones: without a checksum, and quick to decrypt.
p12 client-quick -iter 1 -nomac -in client.pem -inkey client.key
p12 client-old-quick -iter 1 -nomac -legacy -in client.pem -inkey client.key
if command -v keytool > /dev/null; then
  import() { keytool -importkeystore -noprompt -srckeystore client.p12 -srcstorepass "$password" -deststorepass "$password" "$@" 2>> log; }
  trust() { keytool -importcert -noprompt -alias ca -file ca.pem -storepass "$password" "$@" 2>> log; }
  import -destkeystore client.jks -deststoretype JKS
  import -destkeystore client-two-passwords.jks -deststoretype JKS -srcalias client -destkeypass kafka-mock-key
  import -destkeystore client-java.p12 -deststoretype PKCS12
  import -destkeystore client-java-old.p12 -deststoretype PKCS12 -J-Dkeystore.pkcs12.legacy
  trust -keystore ca.jks -storetype JKS
  trust -keystore ca.p12 -storetype PKCS12
  trust -keystore ca-old.p12 -storetype PKCS12 -J-Dkeystore.pkcs12.legacy
  trust -keystore ca.jceks -storetype JCEKS
else
  echo "keytool is not here: the stores that it makes stay as they are, with the keys of before" >&2
fi

rm -f ca.key other-ca.key intermediate.key intermediate.pem server-without-intermediate.key ./1*.pem
cp ./*.pem ./*.key "$here"
for store in ./*.p12 ./*.jks ./*.jceks; do [[ -e $store ]] && cp "$store" "$here"; done
