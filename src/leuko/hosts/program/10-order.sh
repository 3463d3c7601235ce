# The host's side of Leuko: carries out one order, in POSIX sh with coreutils, findutils, tar, gzip and flock.
#
# It is read from stdin by `sh -c` (see orders.py), then reads its order, also from stdin: lines "name count",
# each followed by `count` lines of value, ended by the line "end". It answers on stdout:
#   W delta <release> | W full   a payload is wanted; the sender answers "P <size> <sha256>" and the bytes
#   A <bytes>                    so many bytes of the payload have arrived
#   F <name> <value>             a fact
#   O <base64>                   the end of what the hooks printed
#   X <token> <order> <result>   the last line; without it nothing is known
# What it keeps is below `.leuko/` in the component's folder. A line "#@ name" marks a step: the tests kill
# the program there.

umask 022
trap '' HUP PIPE
locale_before=${LC_ALL-}
LC_ALL=C
export LC_ALL
PATH=$PATH:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
newline='
'
block=131072
order=unknown token=none kind='' begun='' answered='' capturing='' hook='' facts='' switched_from=''
dated=-100 moment_of='' link_ns=0 hook_time=0 work='' step=start turn_order='' ending=end

# --- reading the order -------------------------------------------------------------------------------------

read_order() {
  variables='' fields=0
  while IFS= read -r line; do
    [ "$line" = end ] && return 0
    name=${line% *} count=${line##* } value=''
    case $name in *[!a-zA-Z0-9_]* | '') return 1 ;; esac
    digits "$count" || return 1
    while [ "$count" -gt 0 ]; do
      IFS= read -r line || return 1
      value=$value$newline$line count=$((count - 1))
    done
    value=${value#"$newline"}
    eval "h_$name=\$value"
    case $name in v_*) variables="$variables ${name#v_}" ;; esac
    fields=$((fields + 1))
    [ "$fields" -lt 4000 ] || return 1
  done
  return 1
}

digits() { # true for a whole number that `[` and $(( )) can hold
  case $1 in '' | *[!0-9]*) return 1 ;; esac
  [ ${#1} -le 18 ]
}

# --- time, without starting a program ----------------------------------------------------------------------

uptime_cs() { # hundredths of a second since boot, in $now
  read -r now _ </proc/uptime
  now=${now%.*}${now#*.}
}

remaining() { # whole seconds left of the order's deadline, in $left; at least 1
  uptime_cs
  left=$((h_deadline - (now - started) / 100))
  [ "$left" -ge 1 ] || left=1
}

# --- answering ---------------------------------------------------------------------------------------------

say() { printf '%s\n' "$*" 2>/dev/null || :; }
fact() { facts="$facts $1=$2"; }

one_line() { # the text in $1 on one line, at most 400 characters, in $text
  text=''
  set -f
  for word in $1; do
    text="$text${text:+ }$word"
    [ ${#text} -lt 400 ] || break
  done
  set +f
}

tell_facts() { # "name=value name=value"
  set -f
  for each in $1; do say "F ${each%%=*} ${each#*=}"; done
  set +f
}

tell_output() {
  [ -s "$h_root/.leuko/output/$order" ] || return 0
  if [ -s "$h_root/.leuko/output/$order@tail" ]; then
    say "O $(tail -c 16384 "$h_root/.leuko/output/$order@tail" | base64 -w 0)"
  else
    say "O $(tail -c 16384 "$h_root/.leuko/output/$order" | base64 -w 0)"
  fi
}

finish() { # result reason: records it, answers, ends
  trap '' TERM INT
  result=$1
  one_line "$2"
  reason=$text
  end_capture
  [ -z "$work" ] || { chmod -R u+w "$work" 2>/dev/null; rm -rf "$work" "$work".*; }
  uptime_cs
  seconds=$(printf '%d.%02d' $(((now - started) / 100)) $(((now - started) % 100)))
  fact seconds "$seconds"
  fact link_ns "$link_ns"
  fact hook_seconds "$(printf '%d.%02d' $((hook_time / 100)) $((hook_time % 100)))"
  [ -z "$begun" ] || record_end
  say "F reason $reason"
  tell_facts "$facts"
  tell_output
  answered=1
  say "X $token $order $result"
  exit 0
}

record_end() {
  lock_host
  if [ -e ".leuko/run/$order@killed" ]; then
    read -r reason <".leuko/run/$order@killed"
    result=failed # whoever killed this order writes its end
  else
    journal "$ending" "$order" "result=$result$facts -- $reason" || fact unrecorded 1
  fi
  unlock_host
  rm -f ".leuko/run/$order@group" ".leuko/run/$order@hook" ".leuko/run/$order@secrets" \
    ".leuko/run/$order@runs" ".leuko/run/$order@flushed" ".leuko/run/$order@fifo"
}

on_exit() { # reached without `finish` only when the shell itself gave up (a redirection that failed, say)
  [ -n "$answered" ] || {
    answered=1
    [ -z "$work" ] || rm -rf "$work"
    say "F reason the host's program gave up at: $step"
    say "X $token $order failed"
  }
}

on_term() {
  trap '' TERM INT
  remaining
  [ -z "$hook" ] || kill_group "$hook"
  if [ -e ".leuko/run/$order@killed" ]; then
    IFS= read -r why <".leuko/run/$order@killed"
    finish failed "$why"
  elif [ "$left" -le 1 ]; then
    finish timed-out "was not done after $h_deadline s, at: $step"
  fi
  finish failed "was told to stop, at: $step"
}

# --- the journal and the fence -----------------------------------------------------------------------------

journal() { # event order text: one line, appended
  uptime_cs
  # the last line's time serves for what comes within half a second of it
  [ $((now - dated)) -lt 50 ] || dated=$now moment_of=$(date -u +%Y-%m-%dT%H:%M:%SZ)
  { printf '%s %s %s %s\n' "$moment_of" "$1" "$2" "$3" >>.leuko/journal; } 2>/dev/null && return 0
  rm -f .leuko/spare # kept for this: a full disk must not stop a rollback
  { printf '\n%s %s %s %s\n' "$moment_of" "$1" "$2" "$3" >>.leuko/journal; } 2>/dev/null
}

lock_host() {
  exec 9>>.leuko/lock
  flock -w 10 9 || { exec 9>&-; begun='' finish failed "the lock .leuko/lock was held by another for over 10 s"; }
}

unlock_host() { exec 9>&-; }

recorded() { # the recorded end of order $1, in $found
  found=''
  for file in .leuko/journal.1 .leuko/journal; do
    [ -e "$file" ] || continue
    text=$(grep -a -F -e " end $1 " "$file") || continue
    while IFS= read -r line; do # a reason may quote anything: only the line's own head counts
      case ${line#* } in "end $1 "*) found=$line ;; esac
    done <<LINES
$text
LINES
  done
  [ -n "$found" ]
}

replay() { # answers from the journal
  found=${found#* end "$order" result=}
  result=${found%% *} reason=${found#* -- } found=${found#* }
  say "F replayed 1"
  say "F reason $reason"
  tell_facts "${found%% -- *}"
  tell_output
  answered=1
  say "X $token $order $result"
  exit 0
}

read_fence() {
  fence_installation='' fence_epoch=0 fence_sequence=0
  [ -e .leuko/epoch ] || {
    [ ! -s .leuko/journal ] || [ "$kind" = adopt ] || refuse "its fence (.leuko/epoch) is missing although it was set up: \`leuko adopt $h_host\` sets it anew"
    return 0
  }
  read -r fence_installation fence_epoch fence_sequence _ <.leuko/epoch || :
  digits "$fence_epoch" && digits "$fence_sequence" || {
    [ "$kind" = adopt ] || refuse "its fence (.leuko/epoch) is damaged: \`leuko adopt $h_host\` sets it anew"
    fence_installation='' fence_epoch=0 fence_sequence=0
  }
}

refuse() { # nothing was changed
  trap '' TERM INT
  [ -n "$begun" ] || { one_line "$1"; reason=$text; unlock_host; say "F reason $reason"; answered=1; say "X $token $order refused"; exit 0; }
  unlock_host
  finish refused "$1"
}

compare_fence() { # refuses an order older than the last obeyed; $1 = sequence compares the sequence too
  read_fence
  [ "$kind" != adopt ] || return 0
  [ -z "$fence_installation" ] || [ "$fence_installation" = "$h_installation" ] ||
    refuse "this host belongs to the installation $fence_installation, not to $h_installation: \`leuko adopt $h_host\` takes it over"
  [ "$h_epoch" -ge "$fence_epoch" ] ||
    refuse "a newer controller (epoch $fence_epoch) commands this host; this order is of epoch $h_epoch"
  [ "$1" != sequence ] || [ "$h_epoch" -gt "$fence_epoch" ] || [ "$h_sequence" -ge "$fence_sequence" ] ||
    refuse "order $h_sequence came after order $fence_sequence of the same controller"
}

raise_fence() {
  new_sequence=$h_sequence
  if [ "$kind" != adopt ] && [ "$h_epoch" -eq "$fence_epoch" ]; then
    [ "$ordered" = sequence ] && [ "$h_sequence" -gt "$fence_sequence" ] || new_sequence=$fence_sequence
    [ "$new_sequence" != "$fence_sequence" ] || [ -z "$fence_installation" ] || return 0
  elif [ "$ordered" != sequence ]; then
    new_sequence=0
  fi
  write_fence || { rm -f .leuko/spare; write_fence; } || finish failed "the fence cannot be written: no space left, or no right to write in $h_root/.leuko"
}

write_fence() {
  { printf '%s %s %s\n' "$h_installation" "$h_epoch" "$new_sequence" >.leuko/epoch.new; } 2>/dev/null &&
    sync .leuko/epoch.new && mv -f -T .leuko/epoch.new .leuko/epoch
}

# --- other orders' processes -------------------------------------------------------------------------------

born() { # start time of process $1 since boot, in $birth; false when there is none
  birth=''
  { IFS= read -r stat_line <"/proc/$1/stat"; } 2>/dev/null || return 1
  stat_line=${stat_line##*) }
  set -f
  # shellcheck disable=SC2086 # split on purpose
  set -- $stat_line
  set +f
  [ "$1" != Z ] || return 1
  birth=${20}
}

alive() { # order $1 is being carried out now; its process group in $group
  group='' group_birth=''
  { read -r group group_birth group_boot <".leuko/run/$1@group"; } 2>/dev/null || return 1
  digits "$group" || return 1
  read -r boot </proc/sys/kernel/random/boot_id
  [ "$boot" = "$group_boot" ] && born "$group" && [ "$birth" = "$group_birth" ]
}

kill_group() { # TERM, then KILL
  kill -s TERM -- "-$1" 2>/dev/null || kill -s TERM "$1" 2>/dev/null || return 0
  tries=0
  while kill -s 0 -- "-$1" 2>/dev/null && [ "$tries" -lt 40 ]; do
    sleep 0.05
    tries=$((tries + 1))
  done
  kill -s KILL -- "-$1" 2>/dev/null || :
}

kill_order() { # order reason: ends its processes and writes its end; the host is locked
  alive "$1" || return 1
  victim=$group victim_hook=''
  { read -r victim_hook <".leuko/run/$1@hook"; } 2>/dev/null || :
  printf '%s\n' "$2" >".leuko/run/$1@killed"
  if digits "$victim_hook"; then kill_group "$victim_hook"; fi
  kill_group "$victim"
  recorded "$1" || journal end "$1" "result=failed killed=1 -- $2" || :
  rm -f ".leuko/run/$1"@*
}

kill_older() { # of a newer epoch: nothing that an older controller began goes on
  for file in .leuko/run/*@group; do
    [ -e "$file" ] || continue
    other=${file#.leuko/run/}
    kill_order "${other%@group}" "killed by order $order of a newer controller (epoch $h_epoch)" || :
  done
}

forget_dead() { # orders that were killed leave files, secrets among them
  for file in .leuko/run/*@group; do
    [ -e "$file" ] || continue
    other=${file#.leuko/run/}
    other=${other%@group}
    ! alive "$other" || continue
    [ ! -e ".leuko/run/$other@secrets" ] || rm -f ".leuko/output/$other" ".leuko/output/$other"@*
    rm -rf ".leuko/run/$other"@*
  done
}

# --- admission ---------------------------------------------------------------------------------------------

set_up() {
  cd "$h_root" 2>/dev/null || mkdir -p "$h_root" 2>/dev/null && cd "$h_root" ||
    { begun=''; refuse "the folder $h_root cannot be made or entered by $(id -un)"; }
  [ -d .leuko/manifests ] && [ -d .leuko/run ] && [ -d .leuko/output ] && [ -d releases ] && [ -d shared ] && [ -e .leuko/spare ] ||
    { mkdir -p .leuko/manifests .leuko/run .leuko/output releases shared && [ -e .leuko/spare ] || head -c 65536 /dev/zero >.leuko/spare; } 2>/dev/null || :
  [ -d .leuko/run ] && [ -w .leuko ] || refuse "$(id -un) may not write in $h_root/.leuko"
}

begin() { # turn file: takes the turn, compares the fence, writes the journal's first line
  set_up
  exec 7>>"$1"
  waited=''
  while :; do
    step='taking the lock'
    lock_host
    if recorded "$order"; then unlock_host; replay; fi
    compare_fence "$ordered"
    [ "$h_epoch" -eq "$fence_epoch" ] || [ -z "$fence_installation" ] || kill_older
    raise_fence
    flock -n 7 && break
    case $kind in restore | stop)
      { read -r turn_order <"$1.order"; } 2>/dev/null && [ "$turn_order" != "$order" ] &&
        kill_order "$turn_order" "killed by order $order ($kind), which is newer" && flock -w 5 7 && break ;;
    esac
    unlock_host
    [ -z "$waited" ] || finish failed "its turn did not come: another order is being carried out"
    waited=1
    step='waiting for another order'
    remaining
    flock -w "$left" 7 || finish timed-out "another order was being carried out for over $left s"
  done
  forget_dead
  born "$PPID" || birth=0
  read -r boot </proc/sys/kernel/random/boot_id
  printf '%s %s %s\n' "$PPID" "$birth" "$boot" >".leuko/run/$order@group"
  printf '%s\n' "$order" >"$1.order"
  begun=1
  journal begin "$order" "kind=$kind installation=$h_installation epoch=$h_epoch sequence=$h_sequence target=$h_target base=$h_base" ||
    [ "$kind" = restore ] || [ "$kind" = stop ] || { begun=''; finish failed "the journal cannot be written: no space left on the host"; }
  unlock_host
  #@ begun
}
