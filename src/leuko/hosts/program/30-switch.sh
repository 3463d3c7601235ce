# --- current -----------------------------------------------------------------------------------------------

look_at_current() { # $current_kind: none, release, link, folder, file; $current: the release or target
  current=''
  if [ -L current ]; then
    current=$(readlink current)
    current_kind=link
    case $current in
    releases/*/* | "$h_root"/releases/*/*) ;;
    releases/* | "$h_root"/releases/*)
      [ -e ".leuko/manifests/${current##*/}/manifest" ] && current=${current##*/} current_kind=release ;;
    esac
  elif [ -d current ]; then current_kind=folder
  elif [ -e current ]; then current_kind=file
  else current_kind=none
  fi
}

own_current() { # never overwrites what is not Leuko's
  look_at_current
  case $current_kind in
  none) ;;
  release) switched_from=$current ;;
  link) refuse "current is a link to $current, which is no release of Leuko's: \`leuko adopt $h_host\` makes it the first base" ;;
  folder) refuse "current is a real folder: \`leuko adopt $h_host\` makes it the first base" ;;
  *) refuse "current is a file: move it away" ;;
  esac
}

aim() { # release: what hooks are told, and where they run
  to=$1 revision='' hook_folder=$h_root/releases/$1
  { read -r revision <"$hook_folder/REVISION"; } 2>/dev/null || :
}

ready() { # release $1 is on this host, whole
  [ -d "releases/$1" ] && [ -e ".leuko/manifests/$1/ready" ]
}

link() { # release: compares the fence and renames under one lock
  step="switching the link to $1"
  #@ before-link
  lock_host
  compare_fence sequence
  own_current
  [ -z "$switched_from" ] || [ "$switched_from" != "$1" ] || { unlock_host; return 0; }
  before=$(date +%s%N)
  [ ! -L "current.new.$order" ] || rm -f "current.new.$order"
  ln -s "releases/$1" "current.new.$order" 2>/dev/null || {
    rm -f .leuko/spare
    ln -s "releases/$1" "current.new.$order" || { unlock_host; finish failed "the link cannot be made: $(ln -s x "current.new.$order" 2>&1)"; }
  }
  #@ link-made
  mv -f -T "current.new.$order" current || { unlock_host; finish failed "the link cannot be renamed"; }
  after=$(date +%s%N)
  link_ns=$((after - before))
  #@ linked
  journal link "$order" "from=$switched_from to=$1" || :
  sync . .leuko/journal
  unlock_host
}

# --- orders ------------------------------------------------------------------------------------------------

order_switch() {
  begin .leuko/turn
  own_current
  ready "$h_target" || finish failed "release $h_target is not on this host, or was not staged to its end"
  aim "$h_target"
  must drain "$h_hook_drain"
  must before_switch "$h_hook_before_switch"
  write_rollback
  previous=$switched_from
  link "$to"
  switched_from=$previous
  must reload "$h_hook_reload"
  healthy
  must after_switch "$h_hook_after_switch"
  must undrain "$h_hook_undrain"
  #@ hooks-done
  fact current "$to"
  fact previous "$previous"
  finish done "runs $to"
}

order_restore() {
  begin .leuko/turn
  own_current
  ready "$h_base" || finish failed "the base $h_base is not on this host, or was not staged to its end"
  aim "$h_base"
  may before_restore "$h_hook_before_restore"
  may drain "$h_hook_drain"
  previous=$switched_from
  link "$to"
  switched_from=$previous
  must reload "$h_hook_reload"
  healthy
  may after_restore "$h_hook_after_restore"
  must undrain "$h_hook_undrain"
  #@ restored
  fact current "$to"
  fact previous "$previous"
  finish done "restored to $to"
}

order_stop() {
  begin .leuko/turn
  own_current
  to=$switched_from revision='' hook_folder=$h_root
  [ -z "$to" ] || aim "$to"
  [ -d "$hook_folder" ] || hook_folder=$h_root
  must stop "$h_hook_stop"
  lock_host
  compare_fence sequence
  own_current
  if [ "$current_kind" = release ]; then
    rm -f current
    journal link "$order" "from=$switched_from to=" || :
    sync . .leuko/journal
  fi
  unlock_host
  finish done "stopped"
}
