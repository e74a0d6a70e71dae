# shellcheck shell=bash
# Which mirror the host's own apt uses for the distribution's main archive.

# apt_entries ETC: every enabled source of packages that has the component
# main, as lines "URI SUITE KEYRING" (KEYRING is - when none is named), from
# one-line files and deb822 files.
apt_entries() {
  local f
  for f in "$1/apt/sources.list" "$1"/apt/sources.list.d/*.list; do
    [[ -r $f ]] && awk '
      { sub(/#.*/, "") }
      $1 != "deb" { next }
      {
        keyring = "-"
        if (match($0, /\[[^]]*\]/)) {
          n = split(substr($0, RSTART + 1, RLENGTH - 2), opt, /[ \t]+/)
          for (i = 1; i <= n; i++) if (opt[i] ~ /^signed-by=/) keyring = substr(opt[i], 11)
          $0 = substr($0, 1, RSTART - 1) " " substr($0, RSTART + RLENGTH)
        }
        for (i = 4; i <= NF; i++) if ($i == "main") print $2, $3, keyring
      }' "$f"
  done
  for f in "$1"/apt/sources.list.d/*.sources; do
    [[ -r $f ]] && awk '
      function has(list, word,   n, w, i) {
        n = split(list, w, /[ \t]+/)
        for (i = 1; i <= n; i++) if (w[i] == word) return 1
        return 0
      }
      function flush_stanza(   n, m, u, s, i, j, k) {
        if (has(field["types"], "deb") && has(field["components"], "main") &&
            tolower(field["enabled"]) !~ /^ *(no|false|off|0) *$/) {
          k = field["signed-by"]; gsub(/^ +| .*$/, "", k)
          if (k !~ /^\//) k = "-"
          n = split(field["uris"], u); m = split(field["suites"], s)
          for (i = 1; i <= n; i++) for (j = 1; j <= m; j++) print u[i], s[j], k
        }
        split("", field); name = ""
      }
      /^#/ { next }
      /^[ \t]*$/ { flush_stanza(); next }
      /^[ \t]/ { field[name] = field[name] " " $0; next }
      { name = tolower($0); sub(/:.*/, "", name); sub(/^[^:]*:[ \t]*/, ""); field[name] = $0 }
      END { flush_stanza() }' "$f"
  done
  return 0
}

# first_of_list URI: mirror+file:PATH names a file of mirrors; take its first.
first_of_list() {
  case $1 in
    mirror+file:*) awk '!/^#/ && NF { print $1; exit }' "/${1#mirror+file:*/}" 2>/dev/null || true ;;
    *) echo "$1" ;;
  esac
}

# debian_mirror ETC: the mirror of Debian's main archive, or nothing. Other
# archives (a vendor's, -security, -updates) are told by their suite; among those
# left, Debian's own keys or a path that ends in /debian speak for an entry.
debian_mirror() {
  local uri suite keyring rank codename
  codename=$(sed -n 's/^VERSION_CODENAME="\{0,1\}\([a-z]*\).*/\1/p' "$1/os-release" 2>/dev/null || true)
  apt_entries "$1" | while read -r uri suite keyring; do
    case $suite in
      "${codename:-stable}" | stable | oldstable | testing | unstable | sid) ;;
      *) continue ;;
    esac
    uri=$(first_of_list "$uri")
    uri=${uri%/}
    [[ $uri =~ ^https?:// && $uri != *security* ]] || continue
    rank=2
    [[ $uri != */debian ]] || rank=1
    [[ $keyring != *debian-archive-* ]] || rank=0
    echo "$rank $uri"
  done | sort -s -k1,1n | sed -n '1s/^[0-9] //p'
}
