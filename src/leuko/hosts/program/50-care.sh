# --- looking after a host ----------------------------------------------------------------------------------

order_probe() { # changes nothing, needs no fence, works on a host that was never set up
  fact protocol 1
  fact user "$(id -un)"
  fact shell "${SHELL:-unknown}"
  fact clock "$(date +%s)"
  missing=''
  for tool in flock setsid timeout tar gzip sha256sum find xargs sort comm cmp stat sync base64 mkfifo readlink stdbuf; do
    command -v "$tool" >/dev/null 2>&1 || missing=$missing,$tool
  done
  fact missing "${missing#,}"
  at=$h_root
  while [ ! -d "$at" ]; do at=$(dirname "$at"); done
  free=$(df -B1 --output=avail "$at" 2>/dev/null | tail -n 1)
  fact free "${free##* }"
  fact set_up "$([ -e "$h_root/.leuko/epoch" ] && echo 1 || echo 0)"
  writable=0
  if [ -d "$h_root" ]; then
    [ -w "$h_root" ] && { [ ! -d "$h_root/.leuko" ] || [ -w "$h_root/.leuko" ]; } && { [ ! -d "$h_root/releases" ] || [ -w "$h_root/releases" ]; } && writable=1
  else
    [ -w "$at" ] && writable=1
  fi
  fact writable "$writable"
  if cd "$h_root" 2>/dev/null; then probe_root; else fact current_kind none; fi
  finish done "$h_host answers"
}

probe_root() {
  look_at_current
  fact current_kind "$current_kind"
  one_line "$current"
  say "F current $text"
  present=''
  for each in releases/*; do
    ready "${each##*/}" && present=$present,${each##*/}
  done
  fact releases "${present#,}"
  { read -r fence_installation fence_epoch fence_sequence _ <.leuko/epoch; } 2>/dev/null &&
    fact installation "$fence_installation" && fact epoch "$fence_epoch" && fact sequence "$fence_sequence"
  if [ -n "$h_running" ]; then
    where=.
    [ ! -d current/. ] || where=current/.
    runs=$(cd "$where" && LEUKO_ROOT=$h_root timeout -k 1 10 /bin/sh -c "$h_running" </dev/null 2>/dev/null | head -c 200)
    one_line "$runs"
    say "F runs $text"
  fi
  under_way=''
  for file in .leuko/run/*@group; do
    [ -e "$file" ] || continue
    other=${file#.leuko/run/}
    alive "${other%@group}" && under_way=$under_way,${other%@group}
  done
  fact under_way "${under_way#,}"
  [ -z "$h_ask" ] || probe_order
}

probe_order() { # what became of order $h_ask: waits a while for one that is being carried out
  tries=0
  while alive "$h_ask" && ! recorded "$h_ask" && [ "$tries" -lt "$h_ask_tries" ]; do
    sleep 0.1
    tries=$((tries + 1))
  done
  if recorded "$h_ask"; then
    order=$h_ask
    replay
  elif alive "$h_ask"; then fact asked running
  elif grep -a -q -F -e " begin $h_ask " .leuko/journal 2>/dev/null; then fact asked interrupted
  else fact asked unknown
  fi
}

order_kill() { # the order $h_victim, from another channel
  set_up
  lock_host
  compare_fence epoch
  if recorded "$h_victim"; then unlock_host; finish done "order $h_victim had ended already"; fi
  kill_order "$h_victim" "killed: $h_why" || { unlock_host; finish done "order $h_victim is not being carried out"; }
  unlock_host
  finish done "order $h_victim was killed"
}

order_verify() { # every file hashed anew, nothing more and nothing less than the manifest
  set_up
  look_at_current
  release=${h_target:-$current}
  of=.leuko/manifests/$release
  [ -n "$release" ] && ready "$release" || finish failed "release '$release' is not on this host"
  work=$h_root/.leuko/run/$order@verify
  rm -rf "$work"
  mkdir "$work" || { work=''; finish failed "no space left on $h_host"; }
  expected_list "$of/manifest" "$of/links" >"$work/list.wanted" || finish failed "no space left on $h_host"
  list_tree "releases/$release" "$work/list" "$work/stats" || finish failed "releases/$release cannot be read"
  hashes_match "releases/$release" "$of/manifest" || :
  comm -z -23 "$work/list.wanted" "$work/list" | list_paths >"$work/different"
  comm -z -13 "$work/list.wanted" "$work/list" | list_paths >"$work/unexpected"
  sort -z -o "$work/sums.wanted" "$work/sums.wanted"
  sort -z -o "$work/sums.found" "$work/sums.found"
  comm -z -23 "$work/sums.wanted" "$work/sums.found" | cut -z -c 67- >>"$work/different"
  sort -z -u -o "$work/different" "$work/different"
  sort -z -o "$work/unexpected" "$work/unexpected"
  # a changed file is listed both as it should be and as it is: it is changed, not extra
  comm -z -13 "$work/different" "$work/unexpected" >"$work/extra"
  different=$(tr -cd '\0' <"$work/different" | wc -c) extra=$(tr -cd '\0' <"$work/extra" | wc -c)
  fact verified "$release"
  fact different "$different"
  fact extra "$extra"
  [ "$different$extra" = 00 ] && finish done "release $release is what its manifest says"
  names=$(cat "$work/different" "$work/extra" | head -z -n 3 | tr '\n\0' ' \n')
  finish failed "release $release was changed on $h_host: $different files missing or different, $extra too many: $names"
}

order_prune() { # what is kept, current, base, or used by a process stays
  begin .leuko/turn
  look_at_current
  used=$(readlink /proc/[0-9]*/cwd /proc/[0-9]*/root /proc/[0-9]*/exe 2>/dev/null | sort -u)
  recorded_base=''
  { read -r recorded_base <.leuko/base; } 2>/dev/null || :
  home=$(pwd -P) removed=''
  lock_host
  compare_fence sequence
  for each in releases/*; do
    name=${each##*/}
    [ -d "$each" ] && [ ! -L "$each" ] && [ -e ".leuko/manifests/$name/manifest" ] || continue
    case " $h_keep $current $h_base $h_target $recorded_base " in *" $name "*) continue ;; esac
    case "$newline$used$newline" in *"$newline$home/releases/$name"[/"$newline"]*) fact in_use "$name"; continue ;; esac
    case "$newline$used" in *"$newline$home/releases/$name (deleted)"*) ;; esac
    mv -T "$each" "releases/.gone.$name.$order" && removed=$removed,$name
    rm -rf ".leuko/manifests/$name"
  done
  if [ -s .leuko/journal ] && [ "$(stat -c %s .leuko/journal)" -gt 8388608 ]; then mv -f -T .leuko/journal .leuko/journal.1; fi
  unlock_host
  #@ pruned
  sweep
  fact removed "${removed#,}"
  finish done "kept what is needed"
}

sweep() { # what dead orders left
  for each in releases/.gone.* releases/*.tmp.* current.new.*; do
    [ -e "$each" ] || [ -L "$each" ] || continue
    owner=${each##*.tmp.}
    [ "$owner" != "$each" ] && alive "$owner" && continue
    rm -rf "$each"
  done
  # shellcheck disable=SC2012 # the names are order ids
  ls -t .leuko/output | tail -n +60 | while IFS= read -r each; do rm -f ".leuko/output/$each"; done
}

order_adopt() { # makes what runs now the first base, and this installation the host's master
  begin .leuko/turn
  look_at_current
  fact was "$current_kind"
  work=$h_root/releases/adopted.tmp.$order
  rm -rf "$work" "current.new.$order"
  case $current_kind in
  none)
    { read -r name <.leuko/base; } 2>/dev/null || name=''
    if [ -d current.before-leuko ] && ready "$name"; then # an adoption died between its two renames
      ln -s "releases/$name" "current.new.$order" && mv -f -T "current.new.$order" current || finish failed "the link cannot be made"
      finish_adopt "$name"
    fi
    finish done "the host is ours; nothing runs on it yet" ;;
  release) fact release "$current"; finish done "the host is ours; it runs $current" ;;
  file) finish failed "current is a file, not a release: move it away" ;;
  esac
  source=$(readlink -f current) && [ -d "$source" ] || finish failed "current leads nowhere: $current"
  mkdir "$work" || { work=''; finish failed "no space left on $h_host"; }
  room_for "$(du -s -B1 "$source" | cut -f 1)" "a copy of what runs"
  step='copying what runs'
  trouble=$(cp -a --reflink=auto -T "$source" "$work/tree" 2>&1 | head -c 300)
  [ -z "$trouble" ] || finish failed "what runs could not be copied: $trouble"
  manifest_of_tree
  #@ adopted-copy
  found_sum=$(timeless_digest "$work/manifest")
  short=$(printf %.8s "$found_sum")
  name=$(adopted_revision)-$short
  : >"$work/links"
  : >"$work/linked"
  of=.leuko/manifests/$name
  if ! ready "$name"; then
    mkdir -p "$of" && mv -f "$work/manifest" "$work/stats" "$work/links" "$work/linked" "$of/" || finish failed "no space left on $h_host"
    sync -f "$work/tree"
    rm -rf "releases/$name"
    mv -T "$work/tree" "releases/$name" && : >"$of/ready" || finish failed "releases/$name could not be made"
  fi
  printf '%s\n' "$name" >.leuko/base
  lock_host
  ln -s "releases/$name" "current.new.$order" || finish failed "the link cannot be made"
  if [ "$current_kind" = folder ]; then
    [ ! -e current.before-leuko ] || { rm -f "current.new.$order"; finish failed "current.before-leuko is in the way: move it away"; }
    mv -T current current.before-leuko || finish failed "current could not be moved aside"
    #@ moved-aside
  fi
  mv -f -T "current.new.$order" current || finish failed "the link could not be renamed"
  journal link "$order" "from=${current:-folder} to=$name" || :
  sync . .leuko/journal
  unlock_host
  finish_adopt "releases/$name"
}

finish_adopt() {
  fact release "${1##*/}"
  fact digest "$(timeless_digest ".leuko/manifests/${1##*/}/manifest")"
  finish done "what ran is now the release ${1##*/}"
}

timeless_digest() { # hosts that others deployed to have the same files with other times
  sed -z 's/^\(f [0-7]* [0-9]*\) [0-9]* /\1 0 /' <"$1" | sha256sum | cut -c 1-64
}

adopted_revision() { # from REVISION, where Capistrano and others write it
  revision=''
  { read -r revision <"$work/tree/REVISION"; } 2>/dev/null || :
  case $revision in *[!0-9a-f]* | '') echo adopted ;; *) printf '%.12s\n' "$revision" ;; esac
}

manifest_of_tree() {
  step='hashing what runs'
  (cd "$work/tree" && find . -type f -printf '%P\0' | sort -z >"$work/files" && xargs -0 -r sha256sum -z -- <"$work/files" >"$work/sums" &&
    xargs -0 -r stat --printf 'f %a %s %Y\0' -- <"$work/files" >"$work/modes" &&
    paste -z -d ' ' "$work/modes" "$work/sums" | sed -z 's/^\(f [0-7]* [0-9]* [0-9]* [0-9a-f]*\)  /\1 /' >"$work/records" &&
    find . -mindepth 1 \( -type d -printf 'd %m %P\0' \) -o \( -type l -printf 'l %P//%l\0' \) >>"$work/records") &&
    sort -z "$work/records" >"$work/manifest" && list_tree "$work/tree" "$work/list" "$work/stats" ||
    finish failed "what runs could not be hashed"
}
