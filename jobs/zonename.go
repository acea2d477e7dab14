package jobs

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// checkZoneName refuses names that are in no database, or should not be.
func checkZoneName(name string) error {
	switch top, _, _ := strings.Cut(name, "/"); {
	case name == "":
		return errors.New(`time zone "": expected a name such as "Europe/Berlin" or "UTC"`)
	case strings.EqualFold(name, "local"), name == "localtime", name == "posixrules", name == "Factory":
		return fmt.Errorf("time zone %q: every host would read the schedule in its own zone; expected a name such as \"Europe/Berlin\" or \"UTC\"", name)
	case top == "right", top == "posix":
		return fmt.Errorf("time zone %q: expected the name without %q", name, top+"/")
	case !zoneName.MatchString(name):
		return unknownZone(name)
	}
	return nil
}

// zoneName is how names in the zone database look. Anything else is no file to
// go looking for.
var zoneName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,3}$`)

// fixedOffset finds names like "+02:00", "UTC+2" and "GMT-05".
var fixedOffset = regexp.MustCompile(`^(?i:UTC|GMT)?([+-])0?(\d{1,2})(:?00)?$`)

// unknownZone is the error for a name that is no zone, with the best guess at
// what was meant.
func unknownZone(name string) error {
	const expected = `expected a name of the zone database, such as "Europe/Berlin" or "UTC"`
	if len(name) > 64 {
		return fmt.Errorf("time zone of %d bytes: %s", len(name), expected)
	}
	if m := fixedOffset.FindStringSubmatch(name); m != nil {
		sign := map[string]string{"+": "-", "-": "+"}[m[1]]
		return fmt.Errorf("time zone %q: %s; a fixed offset is \"Etc/GMT%s%s\" (its sign is reversed)", name, expected, sign, m[2])
	}
	if guess := guessZone(name); guess != "" {
		return fmt.Errorf("time zone %q: unknown; did you mean %q?", name, guess)
	}
	return fmt.Errorf("time zone %q: unknown; %s", name, expected)
}

// guessZone is the zone that was most likely meant: the same name in other
// letters, the city alone, or a slip of the pen.
func guessZone(name string) string {
	names := ZoneNames()
	plain := func(s string) string {
		return strings.ToLower(strings.NewReplacer(" ", "_", "-", "_").Replace(strings.TrimSpace(s)))
	}
	wanted := plain(name)
	for _, n := range names {
		if plain(n) == wanted {
			return n
		}
	}
	cities := map[string]string{}
	var towns []string
	for _, n := range names {
		if i := strings.LastIndexByte(n, '/'); i >= 0 {
			town := plain(n[i+1:])
			if _, taken := cities[town]; !taken {
				cities[town] = n
				towns = append(towns, town)
			}
		}
	}
	town := wanted[strings.LastIndexByte(wanted, '/')+1:]
	if n, ok := cities[town]; ok {
		return n
	}
	if len(wanted) <= 4 { // an abbreviation, near to everything and meaning nothing
		return ""
	}
	lowered := map[string]string{}
	folded := make([]string, len(names))
	for i, n := range names {
		folded[i] = plain(n)
		lowered[folded[i]] = n
	}
	if n := nearest(wanted, folded, 1+len(wanted)/5); n != "" {
		return lowered[n]
	}
	return cities[nearest(town, towns, len(town)/4)]
}
