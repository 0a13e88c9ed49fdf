# Removes the lines in REMOVE from [Interface], then adds those in ADD that are not there, each after the last line of
# its kind (PostUp, PostDown) or at the end of the section.
function plain(text) { sub(/\r$/, "", text); sub(/[ \t]+$/, "", text); return text }
BEGIN {
	n = split(ENVIRON["REMOVE"], list, "\n"); for (i = 1; i <= n; i++) unwanted[list[i]] = 1
	adds = split(ENVIRON["ADD"], add, "\n")
}
{
	text = $0; gsub(/[ \t\r]/, "", text)
	if (text ~ /^\[/) {
		name = tolower(text); sub(/#.*/, "", name)
		inside = (name == "[interface]")
		if (inside) sections++
	} else if (inside && plain($0) in unwanted) next
	line[++count] = $0
	if (!inside) next
	if (text != "" && text !~ /^#/) last = count
	key = tolower(text); sub(/=.*/, "", key)
	last_of[key] = count
	there[plain($0)] = 1
}
END {
	if (sections != 1) { print "there must be one [Interface] section" > "/dev/stderr"; exit 24 }
	for (i = 1; i <= adds; i++) {
		if (add[i] in there) continue
		there[add[i]] = 1
		key = tolower(add[i]); gsub(/[ \t]/, "", key); sub(/=.*/, "", key)
		at = (key in last_of) ? last_of[key] : last
		after[at] = after[at] add[i] (line[at] ~ /\r$/ ? "\r" : "") "\n"
	}
	for (n = 1; n <= count; n++) {
		printf "%s", line[n]
		if (n in after) {
			text = after[n]
			if (n == count && ENVIRON["NO_NEWLINE"] != "") sub(/\n$/, "", text)
			printf "\n%s", text
		} else if (n < count || ENVIRON["NO_NEWLINE"] == "") printf "\n"
	}
}
