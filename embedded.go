package carillon

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"carillon/internal/embedded"
)

// serveEmbedded decides where Redis is. Without an address it starts the
// in-memory server, unless somebody serves there already.
func (n *Node) serveEmbedded() (*embedded.Server, string, error) {
	if n.opts.Redis != "" {
		return nil, n.opts.Redis, nil
	}
	url := "redis://" + n.opts.Embedded + "/0"
	server, err := embedded.Listen(n.opts.Embedded)
	if errors.Is(err, embedded.ErrInUse) {
		return nil, url, nil
	}
	if err != nil {
		return nil, "", err
	}
	return server, "redis://" + server.Addr() + "/0", nil
}

// joinEmbedded makes sure that the nodes on one embedded server have one
// schedule: two projects on a laptop would otherwise run each other's jobs.
func (n *Node) joinEmbedded(ctx context.Context) error {
	path := "a schedule in memory"
	if n.opts.File != "" {
		var err error
		if path, err = filepath.Abs(n.opts.File); err != nil {
			return fmt.Errorf("find the schedule file: %w", err)
		}
		if real, err := filepath.EvalSymlinks(path); err == nil {
			path = real
		}
	}
	owner, err := n.store.EmbeddedOwner(ctx, path)
	if err != nil {
		return err
	}
	if owner != path {
		return fmt.Errorf("the embedded server on %s belongs to %s, not to %s: use --embedded 127.0.0.1:PORT for a second one, or --redis", n.opts.Embedded, owner, path)
	}
	return nil
}
