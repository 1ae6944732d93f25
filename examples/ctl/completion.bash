# Completion of graph-policy-ctl for bash, without further packages: options,
# commands, words, and from the API the names of zones and the ids of states.
#
# shellcheck shell=bash disable=SC2207

_graph_policy_ctl() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev command='' place=0 i
    local -a words options=()

    COMPREPLY=()

    # COMP_WORDS breaks words at "=" and ":", which addresses have
    read -ra words <<<"${COMP_LINE:0:COMP_POINT}"
    [[ ${COMP_LINE:0:COMP_POINT} != *[[:space:]] ]] || words+=('')

    prev=${words[-2]}
    if [[ ${words[-1]} == --*=* ]]; then
        prev=${words[-1]%%=*}
        cur=${words[-1]#*=}
    fi

    # the command, which argument of it this is, and options that say whom to ask
    for ((i = 1; i < ${#words[@]} - 1; i++)); do
        case ${words[i]} in
            --url=* | --zone=* | --netrc=* | --cacert=* | --cert=* | --key=*)
                options+=("${words[i]}") ;;
            -u | --url | -z | --zone | --netrc | --cacert | --cert | --key)
                options+=("${words[i]}" "${words[i + 1]}")
                i=$((i + 1)) ;;
            -U | --user | -s | --scope | -c | --category | --hold | -i | --interval)
                i=$((i + 1)) ;;
            -*) ;;
            *)
                if [ -z "$command" ]; then
                    command=${words[i]}
                else
                    place=$((place + 1))
                fi ;;
        esac
    done

    case $prev in
        -z | --zone)
            COMPREPLY=($(compgen -W "$(_graph_policy_ctl_ask \
                zones .name "${options[@]}")" -- "$cur"))
            return ;;
        -s | --scope)
            COMPREPLY=($(compgen -W \
                'credential account phone conversation' -- "$cur"))
            return ;;
        -c | --category)
            COMPREPLY=($(compgen -W 'fatal temporary context-limited' -- "$cur"))
            return ;;
        --netrc | --cacert | --cert | --key)
            COMPREPLY=($(compgen -f -- "$cur"))
            return ;;
        -u | --url | -U | --user | --hold | -i | --interval)
            return ;;
    esac

    if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W '--url --zone --user --netrc --cacert --cert
            --key --scope --category --hold --template --all --interval
            --exit-status --yes --json --help --version' -- "$cur"))
        return
    fi

    case $command:$place in
        :0) COMPREPLY=($(compgen -W 'zones list show pause freeze clear explain
                lookup watch' -- "$cur")) ;;
        show:0 | clear:* | watch:*)
            COMPREPLY=($(compgen -W \
                "$(_graph_policy_ctl_ask list .id "${options[@]}")" -- "$cur")) ;;
        pause:0 | freeze:0)
            COMPREPLY=($(compgen -W 'credential account phone' -- "$cur")) ;;
        pause:2 | freeze:2)
            COMPREPLY=($(compgen -W 'token-invalid account-restricted billing
                phone-disconnected other' -- "$cur")) ;;
        explain:0) COMPREPLY=($(compgen -f -- "$cur")) ;;
    esac
}

# Asks for no password, and waits for five seconds at most. Names with other
# characters than these would have to be quoted, and are left out.
_graph_policy_ctl_ask() { # a command, a member of its answers, options
    local command=$1 member=$2
    shift 2

    timeout 5 graph-policy-ctl "$@" --json "$command" </dev/null 2>/dev/null \
        | jq -r "$member" | grep -E '^[A-Za-z0-9_.-]+$' | head -n 1000
}

complete -F _graph_policy_ctl graph-policy-ctl
