# What is at a path; a link to nothing is told apart from nothing.
kind() {
	if [ -f "$1" ]; then echo file
	elif [ -d "$1" ]; then echo directory
	elif [ -e "$1" ]; then echo other
	elif [ -L "$1" ]; then echo link
	else echo absent
	fi
}
# A text file with its digest, mode and owner.
ask_file() {
	ask path "$1" kind "$1"
	[ -f "$1" ] || return 0
	ask file "$1" cat "$1"
	ask digest "$1" sha256 -q "$1"
	ask mode "$1" stat -L -f '%Lp %u %g' "$1"
}
