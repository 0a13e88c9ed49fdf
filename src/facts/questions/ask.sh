# ask LABEL SUBJECT COMMAND...: prints one frame: label, exit status, lengths; subject and output; length and text of
# the errors. Lengths are in bytes (LC_ALL=C), so that nothing a command prints can pass for another frame.
ask() {
	label=$1 subject=$2
	shift 2
	errors=$( {
		answer=$(status=0; "$@" 3>&- </dev/null || status=$?; printf '.%s' "$status")
		status=${answer##*.}
		answer=${answer%.*}
		printf '%s %s %s %s\n%s%s\n' "$label" "$status" "${#subject}" "${#answer}" "$subject" "$answer" >&3
	} 2>&1 )
	printf '%s\n%s\n' "${#errors}" "$errors"
}
exec 3>&1
# The login shell may have printed something, perhaps without a newline at its end.
printf '\njailferry facts 1\n'
