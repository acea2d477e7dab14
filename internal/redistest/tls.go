package redistest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// CA is a certificate authority for one test. Its files lie in a temporary folder.
type CA struct {
	File string // its certificate, in PEM form

	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewCA makes one.
func NewCA(t testing.TB) *CA {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: serial(t), Subject: pkix.Name{CommonName: "a CA for a test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	ca := &CA{dir: t.TempDir(), cert: cert, key: key}
	ca.File = filepath.Join(ca.dir, "ca.pem")
	writePEM(t, ca.File, "CERTIFICATE", der)
	return ca
}

// Issue writes a certificate of this name, good for a server and for a client, and
// its key. addresses are what a server may be dialled by.
func (ca *CA) Issue(t testing.TB, name string, addresses ...net.IP) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial(t), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, IPAddresses: addresses,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, ca.cert, &key.PublicKey, ca.key)
	must(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	certFile, keyFile = filepath.Join(ca.dir, name+".pem"), filepath.Join(ca.dir, name+".key")
	writePEM(t, certFile, "CERTIFICATE", der)
	writePEM(t, keyFile, "PRIVATE KEY", secret)
	return certFile, keyFile
}

// StartTLS starts a redis-server whose certificate is good for the name redis.test
// alone, and which wants one of the same CA from its clients. It returns the
// address of its TLS port.
func StartTLS(t testing.TB, ca *CA, args ...string) (addr string, s *Server) {
	t.Helper()
	bin := binary(t)
	cert, key := ca.Issue(t, "redis.test")
	for range 4 { // somebody else may take the port
		addr, err := freeAddr()
		must(t, err)
		_, port, _ := net.SplitHostPort(addr)
		s, err := start(bin, t.TempDir(), append([]string{"--tls-port", port, "--tls-cert-file", cert, "--tls-key-file", key,
			"--tls-ca-cert-file", ca.File, "--tls-auth-clients", "yes"}, args...))
		if errors.Is(err, errExited) {
			if strings.Contains(err.Error(), "Bad directive") || strings.Contains(err.Error(), "TLS support") { // 6.2 and 7.0
				noTLS(t, bin)
			}
			continue
		}
		must(t, err)
		t.Cleanup(s.Kill)
		return addr, s
	}
	t.Fatal("redistest: redis-server with TLS ends at once")
	return "", nil
}

// noTLS ends a test on a redis-server that was built without TLS, as one from a bare
// `make` is. In CI it fails.
func noTLS(t testing.TB, bin string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("redistest: %s was built without TLS (make BUILD_TLS=yes)", bin)
	}
	t.Skipf("redistest: %s was built without TLS (make BUILD_TLS=yes)", bin)
}

func serial(t testing.TB) *big.Int {
	t.Helper()
	n, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	must(t, err)
	return n
}

func writePEM(t testing.TB, file, kind string, der []byte) {
	t.Helper()
	must(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("redistest: %v", err)
	}
}
