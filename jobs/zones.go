package jobs

import (
	"compress/gzip"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// ZoneinfoVersion is the release of the tz database that is part of the program.
// Two nodes with different releases may disagree about when a job fires.
const ZoneinfoVersion = "2026f"

// Zones is a database of time zones. It may be used from many goroutines.
type Zones struct {
	version string
	read    func(name string) ([]byte, error) // TZif, RFC 9636; fs.ErrNotExist for a name without a zone
	missing func(name string) error           // what a user is told about such a name
	loaded  sync.Map                          // name -> *time.Location
}

// embeddedZones serves everybody who does not ask for other zones. What it
// remembers is a pure memo: it follows from the name.
var embeddedZones = &Zones{version: ZoneinfoVersion, read: readEmbedded, missing: unknownZone}

// EmbeddedZones is the database that is part of the program: the same on every
// host, whatever is installed there.
func EmbeddedZones() *Zones { return embeddedZones }

// Where zones can come from, as OpenZones and --zoneinfo name it.
const (
	ZonesEmbedded = "embedded"
	ZonesHost     = "host"
)

// OpenZones is the database of that name: ZonesEmbedded (also "") or ZonesHost.
func OpenZones(source string) (*Zones, error) {
	switch source {
	case "", ZonesEmbedded:
		return EmbeddedZones(), nil
	case ZonesHost:
		return HostZones()
	default:
		return nil, fmt.Errorf("zoneinfo %q: expected %s or %s%s", source, ZonesEmbedded, ZonesHost,
			didYouMean(source, []string{ZonesEmbedded, ZonesHost}))
	}
}

// hostFolders are where systems keep their zones, in the order of package time.
var hostFolders = []string{"/usr/share/zoneinfo", "/usr/share/lib/zoneinfo", "/usr/lib/locale/TZ", "/etc/zoneinfo"}

// HostZones is the database of this host: the folder that $ZONEINFO names, or
// else the first that exists of those where systems keep it. Unlike
// time.LoadLocation it never looks any further, so what it says is what the host
// says. Every call looks anew; a Zones remembers what it has read.
func HostZones() (*Zones, error) { return hostZones(os.Getenv("ZONEINFO"), hostFolders) }

func hostZones(named string, folders []string) (*Zones, error) {
	if named != "" {
		folders = []string{named}
	}
	for _, folder := range folders {
		if info, err := os.Stat(folder); err == nil && info.IsDir() {
			return folderZones(folder), nil
		}
	}
	if named != "" {
		return nil, fmt.Errorf("the zone database of this host: $ZONEINFO names %s, which is no folder", named)
	}
	return nil, fmt.Errorf("this host has no zone database: there is none of %s; install its package tzdata, or use the zones that are embedded",
		strings.Join(folders, ", "))
}

// folderZones is the database that zic compiled into a folder.
func folderZones(folder string) *Zones {
	version := folderVersion(folder)
	described := "of version " + version
	if version == "" {
		version, described = ZonesHost, "of unknown version"
	} else {
		version = ZonesHost + " " + version
	}
	return &Zones{
		version: version,
		read: func(name string) ([]byte, error) {
			data, err := os.ReadFile(filepath.Join(folder, filepath.FromSlash(name)))
			if errors.Is(err, syscall.EISDIR) { // "Europe"
				return nil, fs.ErrNotExist
			}
			return data, err
		},
		missing: func(name string) error {
			if embeddedHas(name) {
				return fmt.Errorf("time zone %q: not in the database of this host (%s, %s), but in the embedded one (%s)",
					name, folder, described, ZoneinfoVersion)
			}
			return unknownZone(name)
		},
	}
}

// release is what versions of the tz database look like, and the beginning of
// those that somebody has changed.
var release = regexp.MustCompile(`^[0-9]{4}[a-z][0-9a-z-]{0,20}$`)

// folderVersion is the release that a folder says it holds, or "". Debian and
// what follows it have it in the first line of tzdata.zi, BSD and macOS in a
// file of its own.
func folderVersion(folder string) string {
	for _, place := range []struct{ file, before string }{{"tzdata.zi", "# version "}, {"+VERSION", ""}} {
		f, err := os.Open(filepath.Join(folder, place.file))
		if err != nil {
			continue
		}
		head := make([]byte, 64)
		n, _ := f.Read(head)
		_ = f.Close() // it was only read
		line, _, _ := strings.Cut(string(head[:n]), "\n")
		if version, ok := strings.CutPrefix(line, place.before); ok && release.MatchString(strings.TrimSpace(version)) {
			return strings.TrimSpace(version)
		}
	}
	return ""
}

// Version is the release of the tz database, such as "2026f"; of a host's
// database "host 2025b", or "host" when it does not say.
func (z *Zones) Version() string { return z.version }

// Load is the time zone of that IANA name. The same name gives the same
// *time.Location. Names that mean the host's own zone ("Local", "localtime",
// "") are errors, because nodes on different hosts would disagree; so are the
// "right/" zones, which count leap seconds. The error for an unknown name
// offers the nearest one.
func (z *Zones) Load(name string) (*time.Location, error) {
	if name == "UTC" {
		return time.UTC, nil
	}
	if known, ok := z.loaded.Load(name); ok {
		return known.(*time.Location), nil
	}
	if err := checkZoneName(name); err != nil {
		return nil, err
	}
	data, err := z.read(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, z.missing(name)
	}
	if err != nil {
		return nil, fmt.Errorf("time zone %q: %w", name, err)
	}
	loc, err := time.LoadLocationFromTZData(name, data)
	if err != nil {
		return nil, fmt.Errorf("time zone %q: what the database has under this name is no zone: %w", name, err)
	}
	tables.Store(loc, newZone(loc))
	known, late := z.loaded.LoadOrStore(name, loc)
	if late {
		tables.Delete(loc)
	}
	return known.(*time.Location), nil
}

// LoadZone is the time zone of that IANA name in the embedded database; see
// [Zones.Load].
func LoadZone(name string) (*time.Location, error) { return embeddedZones.Load(name) }

// tables are those of the locations that a Zones has loaded: *time.Location ->
// *zone. There are as many as names in use.
var tables sync.Map

// zoneOf is the table of a location: the shared one when a Zones loaded it.
func zoneOf(loc *time.Location) *zone {
	if loc == time.UTC {
		return utcZone
	}
	if known, ok := tables.Load(loc); ok {
		return known.(*zone)
	}
	return newZone(loc)
}

// embedded is the database. scripts/zoneinfo.sh builds it and describes its
// form. It is a string, so that it stays where the program is, untouched until
// a zone is asked for.
//
//go:embed zoneinfo.dat
var embedded string

// embeddedIndex splits the database: a line "NAME OFFSET LENGTH" for each zone
// behind a first line with the version, and what the offsets are into.
func embeddedIndex() (index, data string) {
	index, data, _ = strings.Cut(embedded, "\n\n")
	return index, data
}

// embeddedHas reports whether the embedded database has a zone of that name.
func embeddedHas(name string) bool {
	index, _ := embeddedIndex()
	return strings.Contains(index, "\n"+name+" ")
}

// readEmbedded is a zone of the embedded database.
func readEmbedded(name string) ([]byte, error) {
	index, data := embeddedIndex()
	return readZone(index, data, name)
}

// readZone finds a zone in the text of the index, which costs next to nothing
// beside unpacking it.
func readZone(index, data, name string) ([]byte, error) {
	_, rest, found := strings.Cut(index, "\n"+name+" ")
	if !found {
		return nil, fs.ErrNotExist
	}
	line, _, _ := strings.Cut(rest, "\n")
	from, length, _ := strings.Cut(line, " ")
	offset, err := strconv.Atoi(from)
	if err != nil {
		return nil, fmt.Errorf("the embedded database is damaged: %w", err)
	}
	size, err := strconv.Atoi(length)
	if err != nil || offset < 0 || size < 0 || offset > len(data)-size {
		return nil, fmt.Errorf("the embedded database is damaged at %q", line)
	}
	unzip, err := gzip.NewReader(strings.NewReader(data[offset : offset+size]))
	if err != nil {
		return nil, fmt.Errorf("the embedded database is damaged at %q: %w", line, err)
	}
	return io.ReadAll(unzip)
}

// ZoneNames are the names in the embedded database, in the order of the alphabet.
func ZoneNames() []string {
	index, _ := embeddedIndex()
	_, index, _ = strings.Cut(index, "\n")
	names := make([]string, 0, 600)
	for line := range strings.SplitSeq(index, "\n") {
		name, _, _ := strings.Cut(line, " ")
		names = append(names, name)
	}
	return names
}
