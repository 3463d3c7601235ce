# --- hooks -------------------------------------------------------------------------------------------------

# Keeps the first megabyte and the last 64 KiB, and goes on reading for a daemon that holds its stdout.
capper='umask 077
{ stdbuf -o0 head -c 1048576 || head -c 1048576; } >"$1" 2>/dev/null
while head -c 8388608 | tail -c 65536 >"$1@next" && [ -s "$1@next" ]; do
  [ ! -e "$1@tail" ] || { cat "$1@tail" "$1@next" | tail -c 65536 >"$1@both" && mv -f "$1@both" "$1@next"; }
  mv -f "$1@next" "$1@tail"
done
rm -f "$1@next"
: >"$2"'

begin_capture() {
  [ -z "$capturing" ] || return 0
  rm -f ".leuko/output/$order" ".leuko/output/$order"@*
  mkfifo -m 600 ".leuko/run/$order@fifo"
  (setsid sh -c "$capper" leuko-output "$PWD/.leuko/output/$order" "$PWD/.leuko/run/$order@flushed" \
    <".leuko/run/$order@fifo" >/dev/null 2>&1 7>&- 9>&- &)
  exec 5>".leuko/run/$order@fifo"
  capturing=1
  [ -z "$h_secrets" ] || (umask 077 && printf '%s\n' "$h_secrets" >".leuko/run/$order@secrets")
}

end_capture() { # a daemon may hold the pipe: what came until now is enough
  [ -n "$capturing" ] || return 0
  exec 5>&-
  capturing='' tries=0
  while [ ! -e ".leuko/run/$order@flushed" ] && [ "$tries" -lt 25 ]; do
    sleep 0.01
    tries=$((tries + 1))
  done
  rm -f ".leuko/run/$order@secrets"
  [ -z "$h_masks" ] || mask_output
}

mask_output() { # what is kept names no secret; a daemon that holds the old file writes into nothing
  (umask 077 && printf '%s\n' "$h_masks" >".leuko/run/$order@masks")
  for each in ".leuko/output/$order" ".leuko/output/$order@tail"; do
    [ -e "$each" ] || continue
    (umask 077 && sed -f ".leuko/run/$order@masks" "$each" >"$each@masked") && mv -f "$each@masked" "$each" || rm -f "$each" "$each@masked"
  done
  rm -f ".leuko/run/$order@masks"
}

run() { # moment command seconds folder [file for stdout]: 0 when it ended well; else $code and $sentence
  moment=$1 code=0
  [ -n "$2" ] || return 0
  step=$moment
  begin_capture
  remaining
  limit=$3
  [ "$limit" -le "$left" ] || limit=$left
  hook_began=$now
  (
    trap - HUP PIPE TERM INT
    [ -z "${5-}" ] || exec 5>"$5"
    exec </dev/null >&5 5>&- 7>&- 9>&-
    LEUKO_ORDER=$kind LEUKO_MOMENT=$moment LEUKO_ROOT=$h_root LEUKO_APPLICATION=$h_application
    LEUKO_ENVIRONMENT=$h_environment LEUKO_HOST=$h_host LEUKO_ROLE=$h_role LEUKO_RELEASE=$to
    LEUKO_REVISION=$revision LEUKO_PREVIOUS=$switched_from LEUKO_PUSH=$h_push LEUKO_ATTEMPT=$h_attempt
    LEUKO_SECRETS=''
    [ -z "$h_secrets" ] || LEUKO_SECRETS=$h_root/.leuko/run/$order@secrets
    export LEUKO_ORDER LEUKO_MOMENT LEUKO_ROOT LEUKO_APPLICATION LEUKO_ENVIRONMENT LEUKO_HOST LEUKO_ROLE \
      LEUKO_RELEASE LEUKO_REVISION LEUKO_PREVIOUS LEUKO_PUSH LEUKO_ATTEMPT LEUKO_SECRETS
    cd "$4" || exit 126
    if [ -n "$locale_before" ]; then LC_ALL=$locale_before; else unset LC_ALL; fi
    for name in $variables; do eval "$name=\$h_v_$name; export $name"; done
    exec timeout -k 2 "$limit" /bin/sh -c "$2"
  ) 2>&5 &
  hook=$!
  printf '%s\n' "$hook" >".leuko/run/$order@hook"
  wait "$hook" && code=0 || code=$?
  rm -f ".leuko/run/$order@hook"
  uptime_cs
  hook_took=$((now - hook_began)) hook_time=$((hook_time + now - hook_began))
  [ "$code" -ne 0 ] || { hook=''; return 0; }
  kill_group "$hook"
  hook=''
  took=$(printf '%d.%02d' $((hook_took / 100)) $((hook_took % 100)))
  if [ "$hook_took" -ge $((limit * 100)) ] && { [ "$code" -eq 124 ] || [ "$code" -eq 137 ]; }; then
    sentence="$moment did not end within $limit s and was killed" code=timeout
  elif [ "$code" -gt 128 ]; then
    sentence="$moment was killed by signal $((code - 128)) after $took s"
  else
    sentence="$moment failed with exit code $code after $took s"
  fi
  return 1
}

must() { # moment command: a hook whose failing fails the order
  run "$1" "$2" "$h_hook_timeout" "$hook_folder" && return 0
  fact moment "$1"
  fact code "$code"
  [ "$code" != timeout ] || finish timed-out "$sentence"
  finish failed "$sentence"
}

may() { # moment command: a hook whose failing is told, for nothing may stop a restore
  run "$1" "$2" "$h_hook_timeout" "$hook_folder" || fact "warning_$1" "$code"
}

healthy() { # asks until the host serves and runs the target
  [ -n "$h_health$h_running" ] || return 0
  try=1
  until run health "$h_health" "$h_health_timeout" "$hook_folder" && runs_target; do
    [ "$try" -lt "$h_health_tries" ] || break
    remaining
    [ "$left" -gt 1 ] || break
    try=$((try + 1))
    sleep "$h_health_pause" &
    wait "$!"
  done
  [ -n "$code" ] && [ "$code" = 0 ] && { fact health_tries "$try"; return 0; }
  fact moment "$moment"
  fact code "$code"
  finish failed "$sentence, after $try tries"
}

runs_target() {
  [ -n "$h_running" ] || return 0
  run running "$h_running" "$h_health_timeout" "$hook_folder" ".leuko/run/$order@runs" || return 1
  runs=''
  read -r runs _ <".leuko/run/$order@runs" || :
  runs=${runs##*/}
  [ "$runs" = "$to" ] || [ "$runs" = "$revision" ] && [ -n "$runs" ] && { fact runs "$runs"; return 0; }
  case $revision in "$runs"*) [ ${#runs} -ge 7 ] && { fact runs "$runs"; return 0; } ;; esac
  one_line "$runs"
  code=mismatch sentence="the processes run '$text', not $to"
  return 1
}
