# Runs pieces of code in one shell, for service/worker/context/frame.h. Descriptor 3 leads to the
# worker: code comes in, each piece ends with a NUL; frames go out. Output goes to 1 and 2 as ever.
#
# A piece is sourced, at the top level, so that what it declares stays. SIGINT ends it by `return`, from
# the function that runs, and then, by the trap of DEBUG, from all that called it. `exit` would end the
# shell: the trap of EXIT puts a new one in its place, in the same process, and hands over what the old
# one knew; so it ends the piece alone.
__aisbx_runner=$BASH_EXECUTION_STRING
__aisbx_busy=

# Descriptors 50 and 51 are out of the way of pieces, which run with them closed.
__aisbx_done() {
	local byte
	printf -v byte '\\x%02x' "$1"
	printf "D\4\0\0\0$byte\0\0\0" >&50
}

# What $? is when a piece begins.
__aisbx_again() {
	return "$__aisbx_status"
}

__aisbx_state() {
	printf 'cd -- %q\n' "$PWD"
	declare -p
	declare -f
	alias -p
	trap -p
	shopt -p
	set +o
}

__aisbx_on_exit() {
	__aisbx_status=$?
	[[ $BASHPID == "$$" && -n $__aisbx_busy ]] || return
	trap - EXIT DEBUG
	exec "$BASH" --norc --noprofile -c "$__aisbx_runner" bash "$__aisbx_status" 51< <(__aisbx_state 2>/dev/null)
}

__aisbx_unwind() {
	set -T
	__aisbx_interrupted=1
	trap '((${#BASH_SOURCE[@]} == 0)) || return 130' DEBUG
}

if [[ -z ${1-} ]]; then
	exec 50<&3 3<&-
	shopt -s expand_aliases
	__aisbx_status=0
	printf 'H\0\0\0\0' >&50
else
	. /dev/fd/51 2>/dev/null
	for __aisbx_code in {51..63}; do
		eval "exec $__aisbx_code<&-"
	done
	__aisbx_status=$1
	__aisbx_done "$1"
	set --
fi
__aisbx_busy=
trap __aisbx_on_exit EXIT
while :; do
	trap '((${#BASH_SOURCE[@]} == 0)) || { __aisbx_unwind; return 130; }' INT
	if ! IFS= read -r -d '' -u 50 __aisbx_code; then
		(($? > 128)) && continue
		trap - EXIT
		exit 0
	fi
	__aisbx_interrupted=
	__aisbx_busy=1
	[[ $- == *e* ]] || __aisbx_again
	. /dev/fd/51 51< <(printf '%s\n' "$__aisbx_code") 50<&-
	__aisbx_status=$?
	__aisbx_busy=
	if [[ -n $__aisbx_interrupted ]]; then
		trap - DEBUG
		set +T
	fi
	__aisbx_done "$__aisbx_status"
done
