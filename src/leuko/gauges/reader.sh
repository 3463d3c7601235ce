# Leuko's reader: one long-lived program on each host that prints the host's gauges, tick after tick.
#
#   sh -c "$(cat reader.sh)" leuko-reader TICK DELAY ROOT CAP GAUGE...
#
# TICK, DELAY: centiseconds; ROOT: the component's folder; CAP: bytes of one log read in one tick.
# A GAUGE is four words:  host FIGURE PIDFILE -  |  count FILE MATCH -  |  ratio FILE MATCH OF
#                         level FILE MATCH VALUE          (- or an empty word where there is nothing)
# After them, also of four words:  pass FILE PROGRAM GAUGES   an awk program that answers for these gauges of the
# file at once. What no program answers for, and all where awk does not take it, grep and sed are asked. And
#   lines GAUGES MOST WIDTH   the first MOST matching lines of these gauges are sent along, WIDTH bytes of each.
#
# It prints, for each tick:
#   R <index> <gauge> <value> <denominator> <flag>     one line a gauge; `-` is none, a value of `-` is absence
#   L <index> <gauge> <line>                           a line of its log
#   E <index> <span>                                   end of tick; span: ticks since the sample before
# The index counts ticks of this reader's own monotonic clock; ticks that it missed leave a hole in it.
# It ends by itself when nobody reads its output.

LC_ALL=C
PATH=$PATH:/usr/local/bin:/usr/bin:/bin
export LC_ALL PATH
tick=$1 delay=$2 root=$3 cap=$4
shift 4
T=$(printf '\001')
M=$(printf '\002')

text=
printf 'x\n' | grep -a -c x >/dev/null 2>&1 && text=-a

absolute() {
    case $1 in
        /*) path=$1 ;;
        *) path=$root/$1 ;;
    esac
}

# The file's number, a new one for a file not named before.
number_of_file() {
    j=1
    while [ "$j" -le "$files" ]; do
        eval "known=\$file$j"
        [ "$known" = "$1" ] && return
        j=$((j + 1))
    done
    files=$j
    eval "file$j=\$1 ino$j= off$j=0 skip$j=0 seen$j=0 program$j="
}

number_of_tree() {
    j=1
    while [ "$j" -le "$trees" ]; do
        eval "known=\$pidfile$j"
        [ "$known" = "$1" ] && return
        j=$((j + 1))
    done
    trees=$j
    eval "pidfile$j=\$1 oldpid$j= oldstart$j= oldcpu$j= "
}

valid() {
    printf '' | grep -E -e "$1" >/dev/null 2>&1
    [ $? -le 1 ]
}

program_of_value() {
    script="s${T}${M}${T}${T}g;s${T}$1${T}${M}\\1${M}${T};t found
d
:found
s${T}^[^${M}]*${M}${T}${T};s${T}${M}.*\$${T}${T};p"
}

# Takes a program where awk is here, counts bytes rightly, and can read it: two lines, one of them unfinished.
take_program() {
    absolute "$1"
    number_of_file "$path"
    case $(printf 'a\000b\nc' | awk "$2" 2>/dev/null) in
        '1 4 '*)
            eval "program$j=\$2 asked$j=\$3"
            for i in $3; do eval "quick$((i + 1))=1"; done
            ;;
    esac
}

gauges=0 files=0 trees=0 most=0 width=0
while [ $# -ge 4 ]; do
    if [ "$1" = lines ]; then
        for i in $2; do eval "told$((i + 1))=1"; done
        most=$3 width=$4
        shift 4
        continue
    fi
    if [ "$1" = pass ]; then
        take_program "$2" "$3" "$4"
        shift 4
        continue
    fi
    gauges=$((gauges + 1))
    i=$gauges
    eval "kind$i=\$1 match$i=\$3 more$i=\$4 bad$i= quick$i=0 told$i=0"
    case $1 in
        host)
            eval "match$i=\$2"
            if [ -n "$3" ] && [ "$3" != - ]; then
                absolute "$3"
                number_of_tree "$path"
                eval "from$i=$j"
            else
                eval "from$i=0"
            fi
            ;;
        *)
            absolute "$2"
            number_of_file "$path"
            eval "from$i=$j"
            valid "$3" || eval "bad$i=pattern"
            case $1 in
                ratio)
                    [ -z "$4" ] || valid "$4" || eval "bad$i=pattern"
                    ;;
                level)
                    program_of_value "$4"
                    printf '' | sed -n -E "$script" >/dev/null 2>&1 || eval "bad$i=pattern"
                    ;;
            esac
            ;;
    esac
    shift 4
done

uptime_now() {
    read -r up _ </proc/uptime
    hundredths=${up#*.}
    now=$((${up%.*} * 100 + ${hundredths#0}))
}

page=$(getconf PAGESIZE 2>/dev/null) || page=4096
hertz=$(getconf CLK_TCK 2>/dev/null) || hertz=100

# --- logs --------------------------------------------------------------------------------------------

# Prints what came into the file since the last tick: the end of the file it was before, then its own.
chunk() {
    [ "$rest" -eq 0 ] || tail -c "+$((rest_from + 1))" -- "$rest_file" 2>/dev/null | head -c "$rest"
    [ "$bytes" -eq 0 ] || tail -c "+$((from + 1))" -- "$file" 2>/dev/null | head -c "$bytes"
}

# The same to the file's very end, which may have moved since its size was asked for.
chunk_to_end() {
    if [ "$over" -eq 0 ] && [ "$rest" -eq 0 ]; then
        tail -c "+$((from + 1))" -- "$file" 2>/dev/null
    else
        chunk
    fi
    printf .
}

# Asks for inode and size of all files with one process. Sets found1, found2 ...; empty: it is not there.
look_at_files() {
    set --
    j=1
    while [ "$j" -le "$files" ]; do
        eval "path=\$file$j found$j="
        { [ -f "$path" ] && [ -r "$path" ] && set -- "$@" "$path" && eval "found$j=there"; } || :
        j=$((j + 1))
    done
    [ $# -gt 0 ] || return 0
    there=$#
    # shellcheck disable=SC2046 # numbers are wanted
    set -- $(stat -L -c '%i %s' -- "$@" 2>/dev/null)
    [ $# -eq $((2 * there)) ] || set -- # one went away meanwhile: each is asked for itself
    j=1
    while [ "$j" -le "$files" ]; do
        eval "known=\$found$j path=\$file$j"
        if [ -n "$known" ] && [ $# -ge 2 ]; then
            eval "found$j=\"\$1 \$2\""
            shift 2
        elif [ -n "$known" ]; then
            eval "found$j=\$(stat -L -c '%i %s' -- \"\$path\" 2>/dev/null)"
        fi
        j=$((j + 1))
    done
}

# After a rotation the lines written between two ticks are in a file of another name.
find_rest() {
    for other in "$file".* "$file"-*; do
        [ -f "$other" ] || continue
        # shellcheck disable=SC2046 # two numbers are wanted
        set -- $(stat -L -c '%i %s' -- "$other" 2>/dev/null)
        if [ "${1:-}" = "$ino" ] && [ "$2" -gt "$off" ]; then
            rest_file=$other rest_from=$off rest=$(($2 - off))
            [ "$rest" -le "$cap" ] || rest=$cap flag=burst
            return
        fi
    done
}

# What came since the last tick: file, from, bytes (whole lines only), lines, rest; state ok or a reason.
survey() {
    eval "file=\$file$1 ino=\$ino$1 off=\$off$1 skip=\$skip$1 seen=\$seen$1"
    flag=- state=ok rest=0 bytes=0 lines=0 from=0 passed=0
    number=$1
    eval "found=\$found$1"
    if [ -z "$found" ]; then
        state=missing
        eval "seen$1=1"
        return
    fi
    # shellcheck disable=SC2086 # two numbers are wanted
    set -- $found
    if [ -z "$ino" ] && [ "$seen" -eq 0 ]; then
        state=first off=$2
    elif [ "$1" != "$ino" ]; then
        [ -z "$ino" ] || { flag=rotated && find_rest; }
        off=0 skip=0
    elif [ "$2" -lt "$off" ]; then
        flag=truncated off=0 skip=0
    fi
    ino=$1 size=$2
    [ "$state" = first ] || measure
    eval "ino$number=\$ino off$number=\$off skip$number=\$skip seen$number=1"
}

measure() {
    from=$off bytes=$((size - off))
    over=0
    [ "$bytes" -le "$cap" ] || over=1 bytes=$cap flag=burst
    if [ "$skip" -eq 1 ] && [ "$bytes" -gt 0 ]; then
        part=$(tail -c "+$((from + 1))" -- "$file" 2>/dev/null | head -c "$bytes" | head -n 1 | wc -c)
        from=$((from + part)) bytes=$((bytes - part)) skip=0
    fi
    [ $((bytes + rest)) -gt 0 ] || { off=$((from + bytes)) && return; }
    eval "program=\$program$number"
    if [ -n "$program" ]; then
        read_at_once
    else
        lines=$(($(chunk | wc -l)))
        whole=$(($(chunk | head -n "$lines" | wc -c)))
    fi
    bytes=$((whole - rest))
    [ "$bytes" -ge 0 ] || bytes=0
    off=$((from + bytes))
    [ "$over" -eq 0 ] || off=$size skip=1
}

# Sets lines, whole, and value and denominator of the gauges that the file's program answers for.
read_at_once() {
    # shellcheck disable=SC2046 # words are wanted
    set -- $(chunk_to_end | awk "$program" 2>/dev/null)
    lines=${1:-0} whole=${2:-0}
    [ $# -ge 2 ] && shift 2
    eval "asked=\$asked$number"
    for i in $asked; do
        eval "value$i=\${1:--} denominator$i=\${2:--}"
        [ $# -ge 2 ] && shift 2
    done
    passed=1
}

count() {
    matches=0
    [ $((bytes + rest)) -eq 0 ] || matches=$(chunk | grep $text -E -c -e "$1")
}

log_gauge() {
    denominator=-
    if [ "$state" != ok ]; then
        value=- flag=$state
        return
    fi
    if [ "$quick" -eq 1 ] && [ "$passed" -eq 1 ]; then
        eval "value=\$value$((i - 1)) denominator=\$denominator$((i - 1))"
        return
    fi
    case $kind in
        count)
            count "$match"
            value=$matches
            ;;
        ratio)
            denominator=$lines
            if [ -n "$more" ]; then
                count "$more"
                denominator=$matches
            fi
            count "$match"
            value=$matches
            ;;
        level)
            value=-
            [ "$lines" -gt 0 ] || return
            program_of_value "$more"
            value=$(chunk | grep $text -E -e "$match" | sed -n -E "$script" | awk '
                $1 ~ /^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?$/ { sum += $1; n++ }
                END { if (n) printf "%.9g", sum / n; else printf "-" }')
            ;;
    esac
    [ -n "$value" ] || value=-
}

# The first lines that match, as text: nothing in them may look like a line of ours, or speak to a terminal.
tell_lines() {
    case $value in '' | - | 0) return ;; esac
    said=$(chunk | grep $text -E -e "$match" | head -n "$most" | cut -b "1-$width" |
        tr '\000-\010\013-\037\177' ' ' | sed "s/^/L $index $((i - 1)) /")
    [ -z "$said" ] || out="${out}${said}
"
}

# --- figures of the machine ---------------------------------------------------------------------------

machine() {
    value=- flag=-
    case $1 in
        load)
            read -r value _ </proc/loadavg
            ;;
        cpu)
            read -r _ user nice sys idle wait irq soft steal _ </proc/stat
            busy=$((user + nice + sys + irq + soft + steal))
            total=$((busy + idle + wait))
            if [ -n "$old_total" ] && [ "$total" -gt "$old_total" ] && [ "$busy" -ge "$old_busy" ]; then
                value=$(((busy - old_busy) * 10000 / (total - old_total)))e-2
            else
                flag=reset
            fi
            new_busy=$busy new_total=$total
            ;;
        memory)
            memory_total= memory_free=
            while read -r key amount _; do
                case $key in
                    MemTotal:) memory_total=$amount ;;
                    MemAvailable:) memory_free=$amount && break ;;
                esac
            done </proc/meminfo
            [ -z "$memory_free" ] || value=$(((memory_total - memory_free) * 1024))
            ;;
    esac
}

disk() {
    value=- flag=-
    # shellcheck disable=SC2046 # words are wanted; the last four before the mount point are the numbers
    set -- $(df -P -k -- "$root" 2>/dev/null | while IFS= read -r line; do printf '%s\n' "${line%%%*}"; done | tail -n 1)
    while [ $# -gt 4 ]; do shift; done
    [ $# -eq 4 ] && [ $(($2 + $3)) -gt 0 ] && value=$(($2 * 10000 / ($2 + $3)))e-2
    [ "$value" != - ] || flag=disk
}

# --- figures of a process and its descendants ----------------------------------------------------------

# Sets `stat` to the fields after the name, which may hold anything, newlines and brackets too.
stat_of() {
    all=
    { while IFS= read -r line; do all="$all $line"; done <"$1"; } 2>/dev/null
    stat=${all##*) }
    [ -n "$all" ]
}

find_tree() {
    eval "pidfile=\$pidfile$1 oldpid=\$oldpid$1 oldstart=\$oldstart$1"
    pids= tree=ok cpu= memory= load=
    pid=
    { read -r pid _ <"$pidfile"; } 2>/dev/null
    case $pid in
        '' | *[!0-9]* | ?????????*)
            tree=pidfile
            return
            ;;
    esac
    if ! stat_of "/proc/$pid/stat"; then
        tree=dead
        return
    fi
    # shellcheck disable=SC2086 # fields are wanted
    set -- "$1" $stat
    if [ "$2" = Z ] || [ "$2" = X ]; then
        tree=dead
        return
    fi
    # the same number for another process, in a file nobody wrote anew: the number was reused
    if [ "$pid" = "$oldpid" ] && [ "${21}" != "$oldstart" ] && [ -z "$(find "$pidfile" -newer "/proc/$pid" 2>/dev/null)" ]; then
        tree=dead
        return
    fi
    fresh=1
    [ "$pid" = "$oldpid" ] && [ "${21}" = "$oldstart" ] && fresh=0
    eval "oldpid$1=\$pid oldstart$1=\${21}"
    walk "$pid"
    eval "old=\$oldcpu$1"
    eval "oldcpu$1=\$cpu"
    [ "$fresh" -eq 0 ] || old=
}

walk() {
    queue=$1 cpu=0 memory=0 load=0 seen_pids=0
    while [ -n "$queue" ]; do
        # shellcheck disable=SC2086 # words are wanted
        set -- $queue
        queue=
        for p; do
            seen_pids=$((seen_pids + 1))
            if [ "$seen_pids" -gt 2000 ]; then
                tree=processes
                return
            fi
            one_process "$p"
        done
    done
}

one_process() {
    stat_of "/proc/$1/stat" || return
    pss=
    { while read -r key amount _; do
        [ "$key" != Pss: ] || { pss=$amount && break; }
    done <"/proc/$1/smaps_rollup"; } 2>/dev/null
    if [ -n "$pss" ]; then
        memory=$((memory + pss * 1024))
    else
        resident=0
        { read -r _ resident _ <"/proc/$1/statm"; } 2>/dev/null
        memory=$((memory + resident * page))
    fi
    process=$1
    # shellcheck disable=SC2086 # fields are wanted
    set -- $stat
    cpu=$((cpu + ${12} + ${13} + ${14} + ${15}))
    for task in "/proc/$process/task"/*; do
        kids=
        { read -r kids <"$task/children"; } 2>/dev/null
        [ -z "$kids" ] || queue="$queue $kids"
        stat_of "$task/stat" || continue
        case $stat in
            R* | D*) load=$((load + 1)) ;;
        esac
    done
}

tree_gauge() {
    value=- flag=-
    if [ "$tree" != ok ]; then
        flag=$tree
        return
    fi
    case $1 in
        load) value=$load ;;
        memory) value=$memory ;;
        cpu)
            if [ -n "$old" ] && [ "$cpu" -ge "$old" ] && [ "$now" -gt "$before" ]; then
                value=$(((cpu - old) * 1000000 / (hertz * (now - before))))e-2
            else
                flag=reset
            fi
            ;;
    esac
}

# --- the loop ------------------------------------------------------------------------------------------

sample() {
    out=
    look_at_files
    j=1
    while [ "$j" -le "$files" ]; do
        survey "$j"
        emit log "$j"
        j=$((j + 1))
    done
    j=0
    while [ "$j" -le "$trees" ]; do
        [ "$j" -eq 0 ] || find_tree "$j"
        emit host "$j"
        j=$((j + 1))
    done
    old_busy=$new_busy old_total=$new_total
}

# The gauges of one file or one process tree.
emit() {
    i=1
    file_flag=${flag:--}
    while [ "$i" -le "$gauges" ]; do
        eval "kind=\$kind$i source=\$from$i match=\$match$i more=\$more$i bad=\$bad$i quick=\$quick$i told=\$told$i"
        case $1$kind in
            loghost | hostcount | hostratio | hostlevel) source=none ;;
        esac
        if [ "$source" = "$2" ]; then
            denominator=- flag=$file_flag
            if [ -n "$bad" ]; then
                value=- flag=$bad
            elif [ "$1" = log ]; then
                log_gauge
            elif [ "$match" = disk ]; then
                disk
            elif [ "$2" -eq 0 ]; then
                machine "$match"
            else
                tree_gauge "$match"
            fi
            out="${out}R $index $((i - 1)) $value $denominator $flag
"
            [ "$told" -eq 0 ] || [ "$1" != log ] || [ "$state" != ok ] || [ -n "$bad" ] || tell_lines
        fi
        i=$((i + 1))
    done
}

flag=- new_busy= new_total= old_busy= old_total=
uptime_now
start=$((now + delay)) index=0 last=-1 before=$now
while :; do
    uptime_now
    pause=$((start + index * tick - now))
    if [ "$pause" -gt 0 ]; then
        hundredths=$((pause % 100))
        [ "$hundredths" -ge 10 ] || hundredths=0$hundredths
        sleep "$((pause / 100)).$hundredths"
        uptime_now
    fi
    missed=$(((now - start - index * tick) / tick))
    [ "$missed" -le 0 ] || index=$((index + missed))
    sample
    printf '%sE %s %s\n' "$out" "$index" "$((index - last))" || exit 0
    before=$now last=$index
    index=$((index + 1))
done
