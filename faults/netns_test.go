package faults

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// island is a network of its own for one node, with one cable to ours. A partition is
// the cable pulled: packets vanish, and nobody is told.
type island struct {
	namespace string
	ours      string // the end of the cable on our side
	address   string // of that end, as the island sees us
}

// newIsland makes one. Its error is why this machine can't have any.
func newIsland(t testing.TB) (*island, error) {
	if os.Getuid() != 0 {
		return nil, errors.New("network namespaces take root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return nil, errors.New("there is no ip here (Debian: iproute2)")
	}
	id := fmt.Sprint(os.Getpid() % 10_000)
	// 198.18.0.0/15 is for tests of networks (RFC 2544), nobody's own.
	net := fmt.Sprintf("198.18.%d.", os.Getpid()%256)
	i := &island{namespace: "carillon-storm-" + id, ours: "cs" + id + "a", address: net + "1"}
	theirs := "cs" + id + "b"
	if err := ip("netns", "add", i.namespace); err != nil {
		return nil, err
	}
	t.Cleanup(func() { assert.NoError(t, ip("netns", "del", i.namespace)) }) // the cable goes with it
	for _, args := range [][]string{
		{"link", "add", i.ours, "type", "veth", "peer", "name", theirs, "netns", i.namespace},
		{"addr", "add", net + "1/30", "dev", i.ours},
		{"link", "set", i.ours, "up"},
		{"-n", i.namespace, "addr", "add", net + "2/30", "dev", theirs},
		{"-n", i.namespace, "link", "set", theirs, "up"},
		{"-n", i.namespace, "link", "set", "lo", "up"},
	} {
		if err := ip(args...); err != nil {
			return nil, err
		}
	}
	return i, nil
}

func ip(args ...string) error {
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %s", strings.Join(args, " "), strings.TrimSpace(string(out)))
	}
	return nil
}

// within is the beginning of a command that runs on the island.
func (i *island) within() []string { return []string{"ip", "netns", "exec", i.namespace} }

func anIsland(s *storm) string {
	if s.noIsland == nil {
		return ""
	}
	return s.noIsland.Error()
}

// partition pulls the cable of the node on the island.
func partition(s *storm) error {
	while := s.between(0.4*s.lease.Seconds(), 2.5*s.lease.Seconds())
	s.note("%s for %v", s.islander.name, while)
	if err := ip("link", "set", s.island.ours, "down"); err != nil {
		return err
	}
	s.pass(while)
	return ip("link", "set", s.island.ours, "up")
}
