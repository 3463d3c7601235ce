# --- main --------------------------------------------------------------------------------------------------

order=$2
uptime_cs
started=$now
h_deadline=60 h_root=/ h_secrets='' h_host=''
trap on_exit EXIT
trap on_term TERM INT
read_order || {
  answered=1
  exit 0 # the order did not arrive whole: it was never given
}
token=$h_token kind=$h_kind to=$h_target revision='' current='' current_kind=none ordered=epoch hook_folder=$h_root
cd / || exit 1
case $kind in switch | restore | stop | prune) ordered=sequence ;; esac
case $kind in
probe | stage | switch | restore | stop | prune | verify | adopt | kill) "order_$kind" ;;
*) finish failed "this program knows no order '$kind'" ;;
esac
