# shellcheck shell=bash
# Certificates and kubeconfigs for a cluster of tests; sourced. Everything lands in the folder PKI, which the caller sets.

# ca: one authority signs servers, clients and the aggregation layer's client: this is a test cluster.
make_ca() {
  mkdir -p "$PKI"
  openssl ecparam -genkey -name prime256v1 -noout -out "$PKI/ca.key"
  openssl req -x509 -new -key "$PKI/ca.key" -subj /CN=testbed-ca -days 3650 -out "$PKI/ca.crt" \
    -addext keyUsage=critical,keyCertSign,cRLSign 2>/dev/null
  # Service account tokens: the API server signs with the key, and checks with the public half.
  openssl ecparam -genkey -name prime256v1 -noout -out "$PKI/sa.key"
  openssl ec -in "$PKI/sa.key" -pubout -out "$PKI/sa.pub" 2>/dev/null
}

# make_cert NAME SUBJECT [SUBJECT-ALT-NAMES]: NAME.crt and NAME.key, good for a server and a client.
make_cert() {
  local name=$1 subject=$2 sans=${3:-}
  openssl ecparam -genkey -name prime256v1 -noout -out "$PKI/$name.key"
  openssl req -new -key "$PKI/$name.key" -subj "$subject" -out "$PKI/$name.csr"
  {
    echo "extendedKeyUsage=serverAuth,clientAuth"
    echo "keyUsage=critical,digitalSignature,keyEncipherment"
    [ -z "$sans" ] || echo "subjectAltName=$sans"
  } >"$PKI/$name.ext"
  openssl x509 -req -in "$PKI/$name.csr" -CA "$PKI/ca.crt" -CAkey "$PKI/ca.key" -CAcreateserial -days 3650 \
    -extfile "$PKI/$name.ext" -out "$PKI/$name.crt" 2>/dev/null
  rm -f "$PKI/$name.csr" "$PKI/$name.ext"
}

# make_kubeconfig NAME SERVER OUT: a kubeconfig with everything inside, so that it can be copied anywhere.
make_kubeconfig() {
  local name=$1 server=$2 out=$3
  cat >"$out" <<YAML
apiVersion: v1
kind: Config
clusters:
- name: testbed
  cluster:
    server: $server
    certificate-authority-data: $(base64 -w0 "$PKI/ca.crt")
users:
- name: $name
  user:
    client-certificate-data: $(base64 -w0 "$PKI/$name.crt")
    client-key-data: $(base64 -w0 "$PKI/$name.key")
contexts:
- name: testbed
  context: {cluster: testbed, user: $name}
current-context: testbed
YAML
  chmod 600 "$out"
}
