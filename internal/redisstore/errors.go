package redisstore

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"regexp"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"
)

// ErrNotFound means that the store has no such run.
var ErrNotFound = errors.New("not found")

// Class says what an error of the store means for the caller.
type Class int

// The classes, from "try again" to "call a human".
const (
	// Unclassified is an error of ours, or one that no rule knows.
	Unclassified Class = iota
	// Transient: the same call may go through in a moment. Whether it was carried
	// out is unknown, which is why only repeatable scripts are tried again.
	Transient
	// Loading: Redis says that it reads its data and serves nobody until it has.
	Loading
	// Degraded: Redis answers and refuses to write (out of memory, disk full, a
	// replica). It takes an operator, or a fail-over.
	Degraded
	// Fatal: the configuration is wrong (password, rights, database).
	Fatal
)

func (c Class) String() string {
	return [...]string{"unclassified", "transient", "loading", "degraded", "fatal"}[c]
}

// Error is an error of Redis with the operation it broke and what to do about it.
type Error struct {
	Op    string
	Class Class
	Hint  string
	Err   error
}

func (e *Error) Error() string {
	if e.Hint == "" {
		return fmt.Sprintf("%s: %v", e.Op, e.Err)
	}
	return fmt.Sprintf("%s: %v: %s", e.Op, e.Err, e.Hint)
}

func (e *Error) Unwrap() error { return e.Err }

// ClassOf returns the class of an error, or Unclassified.
func ClassOf(err error) Class {
	var e *Error
	if errors.As(err, &e) {
		return e.Class
	}
	class, _ := classify(err)
	return class
}

// wrap adds operation, class and hint. nil, redis.Nil and errors already
// wrapped pass unchanged.
func wrap(op string, err error) error {
	if err == nil || errors.Is(err, redis.Nil) {
		return err
	}
	var e *Error
	if errors.As(err, &e) {
		return err
	}
	class, hint := classify(err)
	return &Error{Op: op, Class: class, Hint: hint, Err: err}
}

// replies maps the first word of an error reply to its class. The list is the
// one of Redis' own error codes that a client of ours can meet.
var replies = []struct {
	prefix string
	class  Class
	hint   string
}{
	{"LOADING", Loading, "Redis is loading its data set; carillon goes on by itself"},
	{"MASTERDOWN", Transient, "this replica lost its master; point carillon at the master"},
	// A node that is cut off from the others says it too, while they go on.
	{"CLUSTERDOWN", Transient, "the cluster has no owner for our slot, or this node of it is cut off; see CLUSTER INFO"},
	{"UNBLOCKED", Transient, ""},
	{"TRYAGAIN", Transient, "our slot is on its way to another node of the cluster; carillon goes on when it is there"},
	{"ASK ", Transient, "our slot is on its way to another node of the cluster; carillon goes on when it is there"},
	{"ERR Script attempted to access a non local key", Transient, "our slot is on its way to another node of the cluster; carillon goes on when it is there"},
	{"Script attempted to access a non local key", Transient, "our slot is on its way to another node of the cluster; carillon goes on when it is there"},
	{"MOVED ", Fatal, "this Redis is a node of a cluster, and another one has our keys: redis+cluster://HOST:PORT,HOST:PORT finds it"},
	{"ERR This instance has cluster support disabled", Fatal, "this Redis is not part of a cluster: redis://HOST:PORT/DB"},
	{"FORGOT", Transient, "what it lost is being made good"}, // lua/lib_common.lua
	{"BUSY", Transient, "a script runs for too long in this Redis; SCRIPT KILL or find its owner"},
	{"ERR max number of clients reached", Transient, "raise maxclients of this Redis"},
	{"OOM", Degraded, "Redis reached maxmemory; raise it or free memory (running jobs go on, nothing new is started)"},
	{"MISCONF", Degraded, "Redis cannot write its disk; free space or look at its log"},
	{"NOREPLICAS", Degraded, "too few replicas are in sync (min-replicas-to-write)"},
	{"READONLY", Degraded, "this Redis is a read-only replica; point --redis at the master"},
	{"ERR READONLY", Degraded, "this Redis is a read-only replica; point --redis at the master"},
	{"NOAUTH", Fatal, "this Redis wants a password: redis://:PASSWORD@HOST:PORT/DB"},
	{"WRONGPASS", Fatal, "the password or user in the Redis URL is wrong"},
	{"ERR AUTH", Fatal, "this Redis has no password set; take it out of the URL"},
	{"ERR Client sent AUTH", Fatal, "this Redis has no password set; take it out of the URL"},
	{"NOPERM", Fatal, "the Redis user lacks a right; docs/redis.md names the ones carillon needs"},
	{"WRONGTYPE", Fatal, "something else writes keys in this namespace; choose another --namespace"},
	{"ERR DB index is out of range", Fatal, "the database number in the Redis URL does not exist on this server"},
	{"ERR invalid DB index", Fatal, "the database number in the Redis URL does not exist on this server"},
	{"ERR SELECT is not allowed in cluster mode", Fatal, "a cluster has only database 0"},
	{"ERR wrong number of arguments for 'rpop' command", Fatal, "this server is older than Redis 6.2; `carillon doctor` says its version"},
	{"ERR unknown command", Fatal, "this server is older than Redis 6.2 or is not Redis"},
}

// inScript is how Redis before 7.0 wraps what a command in a script answered.
var inScript = regexp.MustCompile(`(?s)^ERR Error (?:running|compiling) script .*@user_script: ?\d+: -?(.*)$`)

// answered is what Redis answered, without the wrapping.
func answered(err error) string {
	text := err.Error()
	if inner := inScript.FindStringSubmatch(text); inner != nil {
		return inner[1]
	}
	return text
}

func classify(err error) (Class, string) {
	text := answered(err)
	for _, r := range replies {
		if strings.HasPrefix(text, r.prefix) {
			return r.class, r.hint
		}
	}
	var dns *net.DNSError
	var op *net.OpError
	var unverified *tls.CertificateVerificationError
	switch {
	case errors.As(err, &unverified):
		return Fatal, "the certificate of this Redis is not what ca= and server_name= of its URL ask for"
	case errors.As(err, &op) && op.Op == "remote error": // an alert of TLS
		return Fatal, "this Redis does not accept our certificate: cert= and key= of its URL name the one to show"
	case errors.As(err, &op) && op.Net == "unix" && errors.Is(err, fs.ErrNotExist):
		return Transient, "there is no such socket: is Redis running, and is the path right?"
	case errors.As(err, &op) && op.Net == "unix" && errors.Is(err, fs.ErrPermission):
		return Fatal, "this user may not use the socket: see unixsocketperm of Redis"
	case errors.Is(err, syscall.ECONNREFUSED):
		return Transient, "nothing listens there: is Redis running, and is the address right?"
	case errors.As(err, &dns):
		return Transient, "the host name does not resolve"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET),
		errors.Is(err, syscall.EPIPE), errors.Is(err, net.ErrClosed):
		return Transient, "the connection was cut"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, redis.ErrPoolTimeout):
		return Transient, "Redis did not answer in time"
	case errors.As(err, &op):
		return Transient, "the connection failed"
	case strings.HasPrefix(text, "redis: can't parse"):
		return Unclassified, "what answers there does not speak as Redis does: is the address right?"
	}
	return Unclassified, ""
}
