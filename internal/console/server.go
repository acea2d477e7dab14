package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Config of a Server. All of it is required.
type Config struct {
	Listen string // host:port; a host that is no loopback address is shown to the network
	Meter  *Meter
	State  func(ctx context.Context) State // asked for at each scrape
	// Health says what is wrong with the node, or nil; Ready also why it takes no
	// part.
	Health, Ready func() error
	Logger        *slog.Logger
}

// Server answers for one node until Run ends.
type Server struct {
	cfg      Config
	listener net.Listener
	loopback bool
}

// New binds the address. It answers nobody before Run.
func New(cfg Config) (*Server, error) {
	host, port, err := net.SplitHostPort(cfg.Listen)
	if err != nil || port == "" {
		return nil, fmt.Errorf("--listen %q: expected HOST:PORT, such as 127.0.0.1:8080", cfg.Listen)
	}
	listener, err := net.Listen("tcp", cfg.Listen)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("--listen %s: something listens there already: give each node of a host a port of its own", cfg.Listen)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("--listen %s: this user may not listen there: give a port above 1023", cfg.Listen)
	case err != nil:
		return nil, fmt.Errorf("--listen %s: %w", cfg.Listen, err)
	}
	s := &Server{cfg: cfg, listener: listener}
	if at, ok := listener.Addr().(*net.TCPAddr); ok {
		s.loopback = at.IP.IsLoopback()
	}
	if !s.loopback {
		cfg.Logger.Warn("--listen shows the health and the metrics of this node to whoever can reach the address: there is no password", "listen", cfg.Listen, "host", host)
	}
	return s, nil
}

// Addr is where it listens.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Close lets go of the address of a Server that is not run.
func (s *Server) Close() error { return s.listener.Close() }

const stopFor = time.Second // for requests under way

// Run answers until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	server := &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(s.cfg.Logger.Handler(), slog.LevelDebug), // of what clients do wrong
	}
	stopped := make(chan struct{})
	defer func() { <-stopped }()
	done, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer close(stopped)
		<-done.Done()
		limit, end := context.WithTimeout(context.WithoutCancel(ctx), stopFor)
		defer end()
		if server.Shutdown(limit) != nil {
			_ = server.Close()
		}
	}()
	if err := server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("--listen %s: %w", s.cfg.Listen, err)
	}
	return nil
}

// handler is the whole interface.
func (s *Server) handler() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(s.cfg.Meter, &collector{state: s.cfg.State})
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second}))
	mux.HandleFunc("/healthz", answer(s.cfg.Health))
	mux.HandleFunc("/readyz", answer(s.cfg.Ready))
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "carillon\n\n/healthz\n/readyz\n/metrics\n")
	})
	return s.guard(mux)
}

// answer is 200 and "ok", or 503 and a sentence.
func answer(ask func() error) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if err := ask(); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = fmt.Fprintln(w, strings.ToValidUTF8(err.Error(), "?"))
			return
		}
		_, _ = io.WriteString(w, "ok\n")
	}
}

// guard keeps out what no monitor does.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "text/plain; charset=utf-8")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		switch {
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			h.Set("Allow", "GET, HEAD")
			http.Error(w, "only GET and HEAD: nothing can be changed here", http.StatusMethodNotAllowed)
		case s.loopback && !localHost(r.Host):
			// A page from elsewhere had its own name point here (DNS rebinding).
			http.Error(w, "this address answers to localhost and to IP addresses: it listens for this host alone", http.StatusMisdirectedRequest)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// localHost reports whether the Host of a request is one that only this host uses:
// "localhost" or an address, with or without a port.
func localHost(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	if strings.EqualFold(name, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(name)
	return err == nil && addr.IsLoopback()
}
