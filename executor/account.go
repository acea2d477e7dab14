package executor

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// account is the user a command runs as.
type account struct {
	user *user.User
	ids  *syscall.Credential
}

// accountOf looks up a user by name or number. It is nil when that is who the
// node runs as anyway. Anyone else needs root.
func accountOf(name string) (*account, *startError) {
	u, err := user.Lookup(name)
	if err != nil {
		if u, err = user.LookupId(name); err != nil {
			return nil, &startError{text: fmt.Sprintf("user %q does not exist on this node: create it, or mend the job's user", name)}
		}
	}
	uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
	gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
	if uidErr != nil || gidErr != nil {
		return nil, &startError{text: fmt.Sprintf("user %q has no numeric ids (%s, %s): mend this node's user database", name, u.Uid, u.Gid)}
	}
	if os.Geteuid() == int(uid) {
		return nil, nil
	}
	if os.Geteuid() != 0 {
		return nil, &startError{text: fmt.Sprintf("user %q: this node does not run as root, so it cannot run a command as somebody else: start it as root, or remove the job's user", name)}
	}
	groups, err := u.GroupIds()
	if err != nil {
		return nil, &startError{text: fmt.Sprintf("user %q: its groups cannot be read: %s", name, err)}
	}
	ids := &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	for _, g := range groups {
		if n, err := strconv.ParseUint(g, 10, 32); err == nil {
			ids.Groups = append(ids.Groups, uint32(n))
		}
	}
	return &account{user: u, ids: ids}, nil
}
