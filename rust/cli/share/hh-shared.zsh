#compdef hh-shared

autoload -U is-at-least

_hh-shared() {
    typeset -A opt_args
    typeset -a _arguments_options
    local ret=1

    if is-at-least 5.2; then
        _arguments_options=(-s -S -C)
    else
        _arguments_options=(-s -C)
    fi

    local context curcontext="$curcontext" state line
    _arguments "${_arguments_options[@]}" : \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
'-V[Print version]' \
'--version[Print version]' \
":: :_hh-shared_commands" \
"*::: :->hh-shared" \
&& ret=0
    case $state in
    (hh-shared)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:hh-shared-command-$line[1]:"
        case $line[1] in
            (inspect)
_arguments "${_arguments_options[@]}" : \
'--keys=[List so many keys at most]:N:_default' \
'--json[As JSON, with all keys]' \
'--quick[Read the key table only, not the values\: no tags]' \
'-h[Print help]' \
'--help[Print help]' \
'-V[Print version]' \
'--version[Print version]' \
':file -- A file that Ancient.attach or Ancient.open_file made:_files' \
&& ret=0
;;
(verify)
_arguments "${_arguments_options[@]}" : \
'-q[Say nothing if it is good]' \
'--quiet[Say nothing if it is good]' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
'-V[Print version]' \
'--version[Print version]' \
':file -- A file that Ancient.attach or Ancient.open_file made:_files' \
&& ret=0
;;
(dump)
_arguments "${_arguments_options[@]}" : \
'--depth=[Show blocks within blocks, so many at most]:N:_default' \
'--width=[Show so many fields or elements of a block at most, and 4 times as many bytes of a string]:N:_default' \
'--blocks=[Show so many blocks in all at most]:N:_default' \
'--name[KEY is a name, though it looks like a number]' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
'-V[Print version]' \
'--version[Print version]' \
':file -- A file that Ancient.attach or Ancient.open_file made:_files' \
':key -- A number, or a name:_default' \
&& ret=0
;;
(map)
_arguments "${_arguments_options[@]}" : \
'--svg=[Where the picture goes; "-" is the standard output]:OUT:_files' \
'-h[Print help]' \
'--help[Print help]' \
'-V[Print version]' \
'--version[Print version]' \
':file -- A file that Ancient.attach or Ancient.open_file made:_files' \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
":: :_hh-shared__subcmd__help_commands" \
"*::: :->help" \
&& ret=0

    case $state in
    (help)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:hh-shared-help-command-$line[1]:"
        case $line[1] in
            (inspect)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(verify)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(dump)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(map)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
        esac
    ;;
esac
;;
        esac
    ;;
esac
}

(( $+functions[_hh-shared_commands] )) ||
_hh-shared_commands() {
    local commands; commands=(
'inspect:Say what a file holds\: keys, sizes, blocks by tag, OCaml version, address, free space' \
'verify:Check all of a file\: every checksum, every block, every pointer' \
'dump:Show the value of a key as OCaml would write it' \
'map:Draw a file\: which places its keys have, and what is free' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'hh-shared commands' commands "$@"
}
(( $+functions[_hh-shared__subcmd__dump_commands] )) ||
_hh-shared__subcmd__dump_commands() {
    local commands; commands=()
    _describe -t commands 'hh-shared dump commands' commands "$@"
}
(( $+functions[_hh-shared__subcmd__help_commands] )) ||
_hh-shared__subcmd__help_commands() {
    local commands; commands=(
'inspect:Say what a file holds\: keys, sizes, blocks by tag, OCaml version, address, free space' \
'verify:Check all of a file\: every checksum, every block, every pointer' \
'dump:Show the value of a key as OCaml would write it' \
'map:Draw a file\: which places its keys have, and what is free' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'hh-shared help commands' commands "$@"
}
(( $+functions[_hh-shared__subcmd__help__subcmd__dump_commands] )) ||
_hh-shared__subcmd__help__subcmd__dump_commands() {
    local commands; commands=()
    _describe -t commands 'hh-shared help dump commands' commands "$@"
}
(( $+functions[_hh-shared__subcmd__help__subcmd__help_commands] )) ||
_hh-shared__subcmd__help__subcmd__help_commands() {
    local commands; commands=()
    _describe -t commands 'hh-shared help help commands' commands "$@"
}
(( $+functions[_hh-shared__subcmd__help__subcmd__inspect_commands] )) ||
_hh-shared__subcmd__help__subcmd__inspect_commands() {
    local commands; commands=()
    _describe -t commands 'hh-shared help inspect commands' commands "$@"
}
(( $+functions[_hh-shared__subcmd__help__subcmd__map_commands] )) ||
_hh-shared__subcmd__help__subcmd__map_commands() {
    local commands; commands=()
    _describe -t commands 'hh-shared help map commands' commands "$@"
}
(( $+functions[_hh-shared__subcmd__help__subcmd__verify_commands] )) ||
_hh-shared__subcmd__help__subcmd__verify_commands() {
    local commands; commands=()
    _describe -t commands 'hh-shared help verify commands' commands "$@"
}
(( $+functions[_hh-shared__subcmd__inspect_commands] )) ||
_hh-shared__subcmd__inspect_commands() {
    local commands; commands=()
    _describe -t commands 'hh-shared inspect commands' commands "$@"
}
(( $+functions[_hh-shared__subcmd__map_commands] )) ||
_hh-shared__subcmd__map_commands() {
    local commands; commands=()
    _describe -t commands 'hh-shared map commands' commands "$@"
}
(( $+functions[_hh-shared__subcmd__verify_commands] )) ||
_hh-shared__subcmd__verify_commands() {
    local commands; commands=()
    _describe -t commands 'hh-shared verify commands' commands "$@"
}

if [ "$funcstack[1]" = "_hh-shared" ]; then
    _hh-shared "$@"
else
    compdef _hh-shared hh-shared
fi
