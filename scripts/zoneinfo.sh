#!/bin/sh
# Builds jobs/zoneinfo.dat, the database of time zones that is part of the binary:
#
#   sh scripts/zoneinfo.sh 2026f                                 # downloads the release from IANA
#   sh scripts/zoneinfo.sh 2026f tzdata2026f.tar.gz              # the release, already here
#   sh scripts/zoneinfo.sh 2026f /usr/share/zoneinfo/tzdata.zi   # as an operating system ships it
#
# Then set ZoneinfoVersion in jobs/zones.go; a test holds the two together. OUT=FILE
# writes elsewhere. The same release, zic and gzip make the same bytes; others may make
# others, which say the same.
#
# The file begins with text: a line with the version, a line "NAME OFFSET LENGTH" for each
# zone in the order of their names, an empty line. Behind it lie the compiled zones (TZif,
# RFC 9636), each by itself through gzip, and once however many names it has. Offsets count
# from there.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/common.sh
. "$root/scripts/common.sh"

[ $# = 1 ] || [ $# = 2 ] || die "expected VERSION, such as 2026f, and perhaps the file to build from"
version=$1
have zic || die "missing here: zic. To install: $(install_line libc-bin)"
out=${OUT:-$root/jobs/zoneinfo.dat}
case $out in /*) ;; *) out=$PWD/$out ;; esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
from=${2:-}
if [ -z "$from" ]; then
	from=$work/tzdata.tar.gz
	curl -fsSL -o "$from" "https://data.iana.org/time-zones/releases/tzdata$version.tar.gz" ||
		die "cannot download the release $version: give its file as the second argument"
fi

# The source, in the compact form that zic reads. The release makes it with its own
# Makefile. The options are those of Debian, Ubuntu and Go: the zones that differ before
# 1970 only keep their history.
case $from in
*.zi) cp "$from" "$work/tzdata.zi" ;;
*)
	have make || die "missing here: make. To install: $(install_line make)"
	mkdir "$work/source"
	tar -xzf "$from" -C "$work/source"
	make -s -C "$work/source" PACKRATDATA=backzone PACKRATLIST=zone.tab tzdata.zi
	mv "$work/source/tzdata.zi" "$work/tzdata.zi"
	;;
esac
found=$(sed -n '1s/^# version //p' "$work/tzdata.zi")
[ "$found" = "$version" ] || die "$from is version ${found:-unknown}, not $version"

# Fat: with every change up to 2037 written down. Slim files are half as long, but those of
# the zic of glibc 2.36 leave something out where the rule for the future begins: package
# time, which follows the standard to the letter, puts America/Ojinaga an hour off for a
# week of 2022. Programs in C do not notice.
zic -b fat -d "$work/zones" "$work/tzdata.zi"
cd "$work/zones"
rm Factory # the zone of a machine that nobody has set up

# The names of System V are links since 2024b. Debian keeps them as zones of their own,
# which differ in the past only: WET from Lisbon until 1996, the others not for so long.
while read -r target name; do
	cp -f "$target" "$work/link"
	mv -f "$work/link" "$name"
done <<END
America/Chicago CST6CDT
America/Denver MST7MDT
America/Los_Angeles PST8PDT
America/New_York EST5EDT
America/Panama EST
America/Phoenix MST
Europe/Athens EET
Europe/Brussels CET
Europe/Brussels MET
Europe/Lisbon WET
Pacific/Honolulu HST
END

find . -type f | sed 's|^\./||' | LC_ALL=C sort >"$work/names"
xargs gzip -9nf <"$work/names" # f, for they are linked to each other
sed 's/$/.gz/' "$work/names" | xargs cksum | awk -v index_="$work/index" -v parts="$work/parts" -v twins="$work/twins" '
	{ key = $1 " " $2 }
	key in offset { print first[key], $3 >twins }
	!(key in offset) { offset[key] = end + 0; first[key] = $3; end += $2; print $3 >parts }
	{ sub(/\.gz$/, "", $3); print $3, offset[key], $2 >index_ }'
while read -r one other; do
	cmp -s "$one" "$other" || die "$one and $other have the same checksum and are not the same"
done <"$work/twins"
{
	say "tz database $version, by $(zic --version)"
	cat "$work/index"
	say
	xargs cat <"$work/parts"
} >"$work/zoneinfo.dat"
cp "$work/zoneinfo.dat" "$out"
say "$out: version $version, $(wc -l <"$work/index" | tr -d ' ') names, $(wc -c <"$out" | tr -d ' ') bytes"
