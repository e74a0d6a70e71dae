# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_hh_shared_global_optspecs
    string join \n h/help V/version
end

function __fish_hh_shared_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_hh_shared_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_hh_shared_using_subcommand
    set -l cmd (__fish_hh_shared_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c hh-shared -n "__fish_hh_shared_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c hh-shared -n "__fish_hh_shared_needs_command" -s V -l version -d 'Print version'
complete -c hh-shared -n "__fish_hh_shared_needs_command" -f -a "inspect" -d 'Say what a file holds: keys, sizes, blocks by tag, OCaml version, address, free space'
complete -c hh-shared -n "__fish_hh_shared_needs_command" -f -a "verify" -d 'Check all of a file: every checksum, every block, every pointer'
complete -c hh-shared -n "__fish_hh_shared_needs_command" -f -a "dump" -d 'Show the value of a key as OCaml would write it'
complete -c hh-shared -n "__fish_hh_shared_needs_command" -f -a "map" -d 'Draw a file: which places its keys have, and what is free'
complete -c hh-shared -n "__fish_hh_shared_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c hh-shared -n "__fish_hh_shared_using_subcommand inspect" -l keys -d 'List so many keys at most' -r
complete -c hh-shared -n "__fish_hh_shared_using_subcommand inspect" -l json -d 'As JSON, with all keys'
complete -c hh-shared -n "__fish_hh_shared_using_subcommand inspect" -l quick -d 'Read the key table only, not the values: no tags'
complete -c hh-shared -n "__fish_hh_shared_using_subcommand inspect" -s h -l help -d 'Print help'
complete -c hh-shared -n "__fish_hh_shared_using_subcommand inspect" -s V -l version -d 'Print version'
complete -c hh-shared -n "__fish_hh_shared_using_subcommand verify" -s q -l quiet -d 'Say nothing if it is good'
complete -c hh-shared -n "__fish_hh_shared_using_subcommand verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c hh-shared -n "__fish_hh_shared_using_subcommand verify" -s V -l version -d 'Print version'
complete -c hh-shared -n "__fish_hh_shared_using_subcommand dump" -l depth -d 'Show blocks within blocks, so many at most' -r
complete -c hh-shared -n "__fish_hh_shared_using_subcommand dump" -l width -d 'Show so many fields or elements of a block at most, and 4 times as many bytes of a string' -r
complete -c hh-shared -n "__fish_hh_shared_using_subcommand dump" -l blocks -d 'Show so many blocks in all at most' -r
complete -c hh-shared -n "__fish_hh_shared_using_subcommand dump" -l name -d 'KEY is a name, though it looks like a number'
complete -c hh-shared -n "__fish_hh_shared_using_subcommand dump" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c hh-shared -n "__fish_hh_shared_using_subcommand dump" -s V -l version -d 'Print version'
complete -c hh-shared -n "__fish_hh_shared_using_subcommand map" -l svg -d 'Where the picture goes; "-" is the standard output' -r -F
complete -c hh-shared -n "__fish_hh_shared_using_subcommand map" -s h -l help -d 'Print help'
complete -c hh-shared -n "__fish_hh_shared_using_subcommand map" -s V -l version -d 'Print version'
complete -c hh-shared -n "__fish_hh_shared_using_subcommand help; and not __fish_seen_subcommand_from inspect verify dump map help" -f -a "inspect" -d 'Say what a file holds: keys, sizes, blocks by tag, OCaml version, address, free space'
complete -c hh-shared -n "__fish_hh_shared_using_subcommand help; and not __fish_seen_subcommand_from inspect verify dump map help" -f -a "verify" -d 'Check all of a file: every checksum, every block, every pointer'
complete -c hh-shared -n "__fish_hh_shared_using_subcommand help; and not __fish_seen_subcommand_from inspect verify dump map help" -f -a "dump" -d 'Show the value of a key as OCaml would write it'
complete -c hh-shared -n "__fish_hh_shared_using_subcommand help; and not __fish_seen_subcommand_from inspect verify dump map help" -f -a "map" -d 'Draw a file: which places its keys have, and what is free'
complete -c hh-shared -n "__fish_hh_shared_using_subcommand help; and not __fish_seen_subcommand_from inspect verify dump map help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
