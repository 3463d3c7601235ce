"""How a fault is planted on a host and taken out again: argv values, nothing more.

The program on the host ends by itself: when its marker is gone, when its time is over, or when it may not
write. So nothing stays behind, whatever becomes of the controller; what it wrote says that it was a drill.
"""

from __future__ import annotations

FIND = r"""
line=$4
[ -n "$line" ] || line=$(tail -n 5000 -- "$1" 2>/dev/null | grep -E -e "$2" | tail -n 1)
[ -n "$line" ] || line=$2
for one in "$line $3" "$line"; do
  if printf '%s\n' "$one" | grep -Eq -e "$2"; then printf '%s\n' "$one"; exit 0; fi
done
exit 3
"""
PLANT = r"""
marker=$1 file=$2 line=$3 rate=$4 left=$5
mkdir -p -- "${marker%/*}" && : > "$marker" || exit 3
trap 'rm -f -- "$marker"' EXIT
trap 'exit 0' HUP INT TERM PIPE
[ -w "$file" ] || exit 4
echo planted
while [ "$left" -gt 0 ] && [ -e "$marker" ]; do
  n=0
  while [ "$n" -lt "$rate" ]; do printf '%s\n' "$line"; n=$((n + 1)); done >> "$file" || exit 4
  sleep 1
  left=$((left - 1))
done
"""
UPROOT = r"""
rm -f -- "$1"
[ ! -e "$1" ] && echo clean
"""


def find(file: str, match: str, name: str, line: str = "") -> tuple[str, ...]:
    """Prints a line that the gauge counts: the one given, else the log's newest, with the drill's name."""
    return ("sh", "-c", FIND, "leuko-drill", file, match, name, line)


def plant(marker: str, file: str, line: str, rate: int, seconds: int) -> tuple[str, ...]:
    """Appends so many lines a second until the marker is gone, and no longer than `seconds`."""
    return ("sh", "-c", PLANT, "leuko-drill", marker, file, line, str(rate), str(seconds))


def look(marker: str) -> tuple[str, ...]:
    """Prints `planted` while it goes on."""
    return ("sh", "-c", '[ -e "$1" ] && echo planted', "leuko-drill", marker)


def uproot(marker: str) -> tuple[str, ...]:
    """Ends the planting within a second; prints `clean` when that is sure."""
    return ("sh", "-c", UPROOT, "leuko-drill", marker)
