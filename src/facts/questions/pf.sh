# Of pf.conf only what declares tables and brings in other files; a line that goes on after a backslash counts as one.
pf_declarations() {
	awk '
		{ sub(/\r$/, "") }
		sub(/\\$/, "") { held = held $0 " "; next }
		{ line = held $0; held = ""; sub(/^[ \t]+/, "", line) }
		line ~ /^(table|include|load)[ \t]/ { print line }' "$1"
}
# `table <T> persist file "F"` as `T F`.
pf_table_files() { sed -n 's/^table[[:space:]]*<[[:space:]]*\([A-Za-z0-9_-]*\)[[:space:]]*>.*[[:space:]]file[[:space:]]*"\([^"]*\)".*/\1 \2/p'; }
# The first entries of such a file: lists of strangers can be long.
pf_table_lines() { sed -e 's/#.*//' "$1" | head -n 2000; }
