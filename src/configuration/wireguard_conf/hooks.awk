# Removes the lines in REMOVE from [Interface], then adds those in ADD that are not there, each after the last line of
# its kind (PostUp, PostDown) or at the end of the section. Lines of ours that make the same route are the same line.
function plain(text) { sub(/\r$/, "", text); sub(/[ \t]+$/, "", text); return text }
# What a line does: the route of a line of ours, in whatever form and for whichever jail; else the line itself.
function deed(text) {
	text = plain(text)
	if (text !~ /^PostUp = route -q -n add .* # jailferry [^ ]+$/) return text
	sub(/ # jailferry [^ ]+$/, "", text); sub(/ [|][|] :$/, "", text)
	sub(/ add -inet6 /, " add ", text); sub(/ add -inet /, " add ", text)
	return text
}
BEGIN {
	n = split(ENVIRON["REMOVE"], list, "\n"); for (i = 1; i <= n; i++) unwanted[deed(list[i])] = 1
	adds = split(ENVIRON["ADD"], add, "\n")
}
{
	text = $0; gsub(/[ \t\r]/, "", text)
	if (text ~ /^\[/) {
		name = tolower(text); sub(/#.*/, "", name)
		inside = (name == "[interface]")
		if (inside) sections++
	} else if (inside && deed($0) in unwanted) next
	line[++count] = $0
	if (!inside) next
	if (text != "" && text !~ /^#/) last = count
	key = tolower(text); sub(/=.*/, "", key)
	last_of[key] = count
	there[deed($0)] = count
}
END {
	if (sections != 1) { print "there must be one [Interface] section" > "/dev/stderr"; exit 24 }
	for (i = 1; i <= adds; i++) {
		what = deed(add[i])
		if (what in there) {
			at = there[what]
			# An earlier form of it could fail, and take the interface with it.
			if (at && plain(line[at]) != add[i]) line[at] = add[i] (line[at] ~ /\r$/ ? "\r" : "")
			continue
		}
		there[what] = 0
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
