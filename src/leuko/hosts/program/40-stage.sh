# --- staging -----------------------------------------------------------------------------------------------

# Records of a tree as `find` sees it, in the manifest's form less the hashes; and inode, size and time of
# its files, by which a file linked from another release is known to be unchanged.
list_tree() { # folder list stats
  (cd "$1" && find . -mindepth 1 \( -type f -printf 'f %m %s %Ts %P\0' -fprintf "$3.found" '%i %s %T@ %P\0' \) \
    -o \( -type d -printf 'd %m %P\0' \) -o \( -type l -printf 'l %P//%l\0' \) -o -printf '? %y %P\0') >"$2.found" &&
    sort -z -o "$2" "$2.found" && sort -z -o "$3" "$3.found"
}

expected_list() { # manifest [records of links]: the list a tree should give
  sed -z 's/^\(f [0-7]* [0-9]* [0-9]*\) [0-9a-f]* /\1 /' "$1" | cat - ${2+"$2"} | sort -z
}


sums() { # of a manifest's files, as sha256sum -z prints them
  sed -z -n 's/^f [0-7]* [0-9]* [0-9]* \([0-9a-f]*\) /\1  /p' "$@"
}

file_paths() { sed -z -n 's/^f [0-7]* [0-9]* [0-9]* [0-9a-f]* //p' "$@"; }

list_paths() { # paths of list records: those of links end at the first "//"
  sed -z -e 's/^f [0-7]* [0-9]* [0-9]* //;t' -e 's/^d [0-7]* //;t' -e 's/^l //;s,//.*,,;t' -e 's/^? . //' "$@"
}

record_paths() { # the same of manifest records
  sed -z -e 's/^f [0-7]* [0-9]* [0-9]* [0-9a-f]* //;t' -e 's/^d [0-7]* //;t' -e 's/^l //;s,//.*,,' "$@"
}

hashes_match() { # folder manifest-records: every file in them has its hash
  sums "$2" >"$work/sums.wanted" && file_paths "$2" >"$work/files.wanted" || return 1
  (cd "$1" && xargs -0 -r sha256sum -z -- <"$work/files.wanted") >"$work/sums.found" 2>/dev/null
  cmp -s "$work/sums.wanted" "$work/sums.found"
}

room_for() { # bytes what: fails clearly before the disk is full
  free=$(df -B1 --output=avail . 2>/dev/null | tail -n 1)
  free=${free##* }
  digits "$free" || return 0
  [ "$free" -ge $(($1 + 1048576)) ] ||
    finish failed "no space left on $h_host: $2 needs $(($1 / 1048576 + 1)) MB in $h_root, $((free / 1048576)) MB are free"
}

receive() { # what: takes a payload, acknowledging each block; nothing of it is used before its hash is right
  step="receiving $*"
  say "W $*"
  IFS=' ' read -r tag size sum || cut_off "the payload did not come"
  [ "$tag" = P ] && digits "$size" || finish failed "the payload was not announced rightly"
  room_for "$size" "the payload"
  received=0 blocks=0
  : >"$work/payload" || finish failed "no space left on $h_host"
  while [ "$received" -lt "$size" ]; do
    part=$((size - received))
    [ "$part" -le "$block" ] || part=$block
    trouble=$(head -c "$part" 2>&1 >>"$work/payload") || finish failed "the payload could not be written: $trouble"
    received=$((received + part)) blocks=$((blocks + 1))
    [ $((blocks % 64)) -ne 0 ] || whole "$received"
    say "A $received"
    #@ block
  done
  whole "$size"
  found_sum=$(sha256sum <"$work/payload")
  [ "${found_sum%% *}" = "$sum" ] || finish failed "the payload arrived damaged: its SHA-256 is wrong"
  fact bytes "$size"
  #@ received
}

cut_off() { # not recorded as an end: the order, when it is given again, is carried out again
  ending=cut
  finish failed "$1"
}

whole() { # bytes: that many have really arrived
  [ "$(stat -c %s "$work/payload")" -eq "$1" ] || cut_off "the payload was cut off: the connection ended during the copy"
}

unpack() { # [--occurrence] names: out of the payload; with it, reading ends when they were found
  trouble=$(tar -x -z -p --no-same-owner -f "$work/payload" -C "$work" "$@" 2>&1 | tail -c 300)
  [ -z "$trouble" ]
}

unpacked_size() { # bytes of the files in manifest records
  sed -z -n 's/^f [0-7]* \([0-9]*\) .*/\1/p' "$1" | tr '\0' '\n' | { total=0; while read -r each; do total=$((total + each)); done; echo "$total"; }
}

manifest_right() {
  found_sum=$(sha256sum <"$work/manifest")
  [ "${found_sum%% *}" = "$h_digest" ]
}

from_delta() { # base: false when the host's base is not what the delta starts from
  base=$1 of=.leuko/manifests/$1
  receive delta "$base"
  step="unpacking the delta from $base"
  unpack --occurrence added removed || finish_unpacking
  comm -z -23 "$of/manifest" "$work/removed" | sort -z -m - "$work/added" >"$work/manifest" || finish_unpacking
  manifest_right || return 1
  room_for "$(unpacked_size "$work/added")" "what changed"
  cp -al -T "releases/$base" "$work/tree" 2>/dev/null || return 1
  #@ linked-base
  comm -z -23 "$of/manifest" "$work/manifest" | record_paths | cat - "$of/linked" | remove_paths || return 1
  comm -z -13 "$of/manifest" "$work/manifest" >"$work/new"
  if [ -s "$work/new" ]; then unpack tree || finish_unpacking; fi
  rm -f "$work/payload"
  expected_list "$work/manifest" >"$work/list.wanted"
  list_tree "$work/tree" "$work/list" "$work/stats" || return 1
  cmp -s "$work/list.wanted" "$work/list" || tidy || return 1
  # every file is either as it was when the base was verified, or new, and then its hash must be right
  file_paths "$work/new" | sort -z >"$work/new.wanted"
  comm -z -13 "$of/stats" "$work/stats" | sed -z 's/^[0-9]* [0-9]* [0-9.]* //' | sort -z | cmp -s "$work/new.wanted" - || return 1
  hashes_match "$work/tree" "$work/new"
}

tidy() { # what others put into the base (caches, logs) does not belong to the release
  comm -z -13 "$work/list.wanted" "$work/list" | list_paths >"$work/extra"
  fact extra "$(tr -cd '\0' <"$work/extra" | wc -c)"
  remove_paths <"$work/extra" || return 1
  list_tree "$work/tree" "$work/list" "$work/stats" && cmp -s "$work/list.wanted" "$work/list"
}

remove_paths() { (cd "$work/tree" && xargs -0 -r rm -rf --); }

from_full() {
  receive full
  step='unpacking the whole release'
  unpack --occurrence manifest || finish_unpacking
  manifest_right || finish failed "the payload is not release $h_target: its manifest is another"
  room_for "$(unpacked_size "$work/manifest")" "the release"
  unpack tree || finish_unpacking
  rm -f "$work/payload"
  expected_list "$work/manifest" >"$work/list.wanted"
  list_tree "$work/tree" "$work/list" "$work/stats" && cmp -s "$work/list.wanted" "$work/list" && hashes_match "$work/tree" "$work/manifest" ||
    finish failed "the unpacked release is not what its manifest says (disk full, or something else writes in $h_root/releases)"
}

finish_unpacking() { finish failed "the payload could not be unpacked: ${trouble:-no space left?}"; }

link_shared() { # linked folders and files live in shared/ and outlive releases
  : >"$work/links"
  : >"$work/linked"
  [ -n "$h_linked" ] || return 0
  while IFS= read -r each; do # "d path//../shared/path" or "f ..."
    path=${each#? } target=${each#*//}
    path=${path%%//*}
    if [ "${each%% *}" = d ]; then
      mkdir -p "shared/$path" || finish failed "the linked folder shared/$path cannot be made"
    else
      [ -f "shared/$path" ] || finish failed "the linked file $h_root/shared/$path is missing: put it there, or take it out of linked_files"
      cat "shared/$path" >>"$work/shared" || finish failed "the linked file shared/$path cannot be read"
    fi
    [ ! -e "$work/tree/$path" ] && [ ! -L "$work/tree/$path" ] ||
      finish failed "$path is in the release and in linked_dirs or linked_files: it can be only one"
    ln -s "$target" "$work/tree/$path" || finish failed "$path cannot be linked: its folder is not in the release"
    printf 'l %s//%s\0' "$path" "$target" >>"$work/links"
    printf '%s\0' "$path" >>"$work/linked"
  done <<LINKED
$h_linked
LINKED
  [ ! -e "$work/shared" ] || fact linked_files "$(sha256sum <"$work/shared" | cut -c 1-16)"
}

publish() { # all of it is on the disk before it has its name
  step='publishing the release'
  of=.leuko/manifests/$h_target
  mkdir -p "$of" && mv -f "$work/manifest" "$work/stats" "$work/links" "$work/linked" "$of/" || finish failed "no space left on $h_host"
  rm -f "$of/ready"
  chmod 755 "$work/tree"
  #@ before-sync
  sync -f "$work/tree"
  lock_host
  compare_fence epoch
  #@ before-publish
  mv -T "$work/tree" "releases/$h_target" || { unlock_host; finish failed "the release could not be renamed to releases/$h_target"; }
  sync releases "$of"
  unlock_host
  #@ published
}

present() { # 0: the release is there and whole. Fails the order when it must not be touched.
  of=.leuko/manifests/$h_target
  [ -e "releases/$h_target" ] || [ -L "releases/$h_target" ] || return 1
  [ -e "$of/manifest" ] || finish failed "releases/$h_target is there, but Leuko did not put it there: move it away"
  found_sum=$(sha256sum <"$of/manifest")
  [ "${found_sum%% *}" = "$h_digest" ] || finish failed "releases/$h_target is there with another manifest: it was built from something else"
  expected_list "$of/manifest" "$of/links" >"$work/list.wanted"
  list_tree "releases/$h_target" "$work/list" "$work/stats" && [ -s "$of/stats" ] &&
    comm -z -23 "$work/list.wanted" "$work/list" | cmp -s - /dev/null && comm -z -23 "$of/stats" "$work/stats" | cmp -s - /dev/null && return 0
  look_at_current
  [ "$current" != "$h_target" ] || finish failed "releases/$h_target is current and was changed by others: \`leuko hosts --verify\` says where"
  mv -T "releases/$h_target" "$work/damaged"
  return 1
}

order_stage() {
  begin .leuko/turn.stage
  case $h_target in *[!A-Za-z0-9._-]* | '' | .*) finish failed "'$h_target' is no release name" ;; esac
  aim "$h_target"
  hook_folder=$h_root
  work=$h_root/releases/$h_target.tmp.$order
  rm -rf "$work"
  mkdir "$work" || { work=''; finish failed "no space left on $h_host, or no right to write in $h_root/releases"; }
  if present; then
    fact copied nothing
  else
    must before_stage "$h_hook_before_stage"
    copied=full
    for base in $h_deltas; do
      ready "$base" || continue
      if from_delta "$base"; then copied=delta; else
        fact fallback "$base"
        chmod -R u+w "$work/tree" 2>/dev/null
        rm -rf "$work/tree"
      fi
      break
    done
    [ "$copied" = delta ] || from_full
    #@ verified
    fact copied "$copied"
    link_shared
    publish
  fi
  aim "$h_target"
  [ -z "$h_hook_reload" ] || printf '%s\n' "$h_hook_reload" >"$of/reload" 2>/dev/null || : # for .leuko/rollback
  if [ ! -e "$of/ready" ]; then
    must after_stage "$h_hook_after_stage"
    : >"$of/ready" || finish failed "no space left on $h_host"
  fi
  write_rollback
  finish done "release $h_target is on the host"
}

# --- without a controller ----------------------------------------------------------------------------------

write_rollback() { # `.leuko/rollback` goes back to the base of the last order that named one
  [ -n "$h_base" ] && [ "$h_base" != "$h_target" ] || return 0
  printf '%s\n' "$h_base" >.leuko/base.new && mv -f -T .leuko/base.new .leuko/base || return 0
  printf '%s\n' "$h_hook_reload" >.leuko/base.reload
  : >.leuko/base.environment
  for name in APPLICATION ENVIRONMENT HOST ROLE; do
    lower=$(printf %s "$name" | tr '[:upper:]' '[:lower:]')
    eval "printf 'LEUKO_%s=%s\n' \"\$name\" \"\$h_$lower\"" >>.leuko/base.environment
  done
  for name in $variables; do
    eval "value=\$h_v_$name"
    case $value in *"$newline"*) ;; *) printf '%s=%s\n' "$name" "$value" >>.leuko/base.environment ;; esac
  done
  [ -e .leuko/rollback ] && return 0
  printf '%s\n' "$rollback_script" >.leuko/rollback.new && chmod 755 .leuko/rollback.new && mv -f -T .leuko/rollback.new .leuko/rollback
}

# shellcheck disable=SC2016 # this is another program's text
rollback_script='#!/bin/sh
# Switches this host back to its base release and reloads the application. Needs no controller.
# Leuko, when it comes back, sees that `current` was changed and holds its push.
set -u
cd "$(dirname "$0")/.." || exit 1
base=$(cat .leuko/base) || exit 1
[ -d "releases/$base" ] && [ -e ".leuko/manifests/$base/ready" ] || { echo "the base $base is not on this host" >&2; exit 1; }
[ -L current ] || [ ! -e current ] || { echo "current is not a link: not touched" >&2; exit 1; }
exec 9>>.leuko/lock
flock -w 10 9 || { echo "an order holds .leuko/lock" >&2; exit 1; }
was=$(readlink current)
rm -f current.rollback && ln -s "releases/$base" current.rollback && mv -f -T current.rollback current || exit 1
echo "$(date -u +%Y-%m-%dT%H:%M:%SZ) link by-hand from=${was##*/} to=$base" >>.leuko/journal
exec 9>&-
LEUKO_RELEASE=$base LEUKO_PREVIOUS=${was##*/} LEUKO_ROOT=$PWD LEUKO_MOMENT=reload LEUKO_ORDER=restore
read -r LEUKO_REVISION <"releases/$base/REVISION"
export LEUKO_RELEASE LEUKO_PREVIOUS LEUKO_ROOT LEUKO_MOMENT LEUKO_ORDER LEUKO_REVISION
while IFS= read -r line; do export "$line"; done <.leuko/base.environment
reload=$(cat ".leuko/manifests/$base/reload" 2>/dev/null || cat .leuko/base.reload)
echo "current is $base"
[ -n "$reload" ] || exit 0
cd "releases/$base" && exec sh -c "$reload" </dev/null'
