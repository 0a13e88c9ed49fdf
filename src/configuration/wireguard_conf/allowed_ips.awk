# Sets the AllowedIPs of the peers in EDITS ("KEY PREFIX,PREFIX" lines); entries that stay keep their place and spelling.
function bare(text) { sub(/#.*/, "", text); gsub(/[ \t\r]/, "", text); return text }
function fail(what) { print what > "/dev/stderr"; failed = 1; exit 24 }
# The words of a hexadecimal group as a number, -1 when it is none.
function hex(text,    i, digit, number) {
	if (text !~ /^[0-9a-f]+$/ || length(text) > 4) return -1
	for (i = 1; i <= length(text); i++) {
		digit = index("0123456789abcdef", substr(text, i, 1)) - 1
		number = number * 16 + digit
	}
	return number + 0
}
# One spelling for each prefix, host bits cleared as wg(8) does; empty when it is none.
function canonical(text,    address, bits, all, group, count, i, half, left, right, l, r, kept, value, result) {
	text = tolower(bare(text))
	address = text; sub(/\/.*/, "", address)
	bits = ""; if (index(text, "/")) { bits = text; sub(/^[^\/]*\//, "", bits); if (bits !~ /^[0-9]+$/) return "" }
	if (index(address, ":")) {
		all = 128; half = 16
		if (address ~ /:::/ || address ~ /::.*::/ || address ~ /[.]/) return ""
		i = index(address, "::")
		if (i) {
			l = split(substr(address, 1, i - 1), left, ":")
			r = split(substr(address, i + 2), right, ":")
			if (l + r > 7) return ""
			for (count = 1; count <= 8; count++) group[count] = 0
			for (count = 1; count <= l; count++) group[count] = hex(left[count])
			for (count = 1; count <= r; count++) group[8 - r + count] = hex(right[count])
			count = 8
		} else {
			count = split(address, left, ":")
			for (i = 1; i <= count; i++) group[i] = hex(left[i])
		}
		if (count != 8) return ""
	} else {
		all = 32; half = 8
		count = split(address, group, ".")
		if (count != 4) return ""
		for (i = 1; i <= 4; i++) {
			if (group[i] !~ /^[0-9]+$/ || group[i] > 255) return ""
			group[i] += 0
		}
	}
	if (bits == "") bits = all
	bits += 0
	if (bits > all) return ""
	for (i = 1; i <= count; i++) {
		if (group[i] < 0) return ""
		kept = bits - (i - 1) * half
		if (kept < 0) kept = 0
		if (kept > half) kept = half
		value = 2 ^ (half - kept)
		result = result ":" (group[i] - group[i] % value)
	}
	return all result "/" bits
}
{
	line[NR] = $0
	end[NR] = ""
	if (sub(/\r$/, "", line[NR])) end[NR] = "\r"
	text = bare(line[NR])
	if (text ~ /^\[/) { section = (tolower(text) == "[peer]") ? ++peers : 0; next }
	if (!section) next
	key = tolower(text); sub(/=.*/, "", key)
	value = text; sub(/^[^=]*=/, "", value)
	if (key == "publickey") { peer[section] = value; key_line[section] = NR }
	if (key == "allowedips") entry_line[section, ++entry_lines[section]] = NR
}
# The entries of line n that are wanted, as its new text; sets kept and lost.
function reduce(n,    body, comment, head, tail, parts, count, i, spelled, list) {
	body = line[n]; comment = ""
	if (i = index(body, "#")) { comment = substr(body, i); body = substr(body, 1, i - 1) }
	i = index(body, "=")
	head = substr(body, 1, i); body = substr(body, i + 1)
	if (match(body, /^[ \t]+/)) { head = head substr(body, 1, RLENGTH); body = substr(body, RLENGTH + 1) }
	tail = ""
	if (match(body, /[ \t]+$/)) { tail = substr(body, RSTART); body = substr(body, 1, RSTART - 1) }
	kept = 0; lost = 0; list = ""
	count = split(body, parts, ",")
	for (i = 1; i <= count; i++) {
		if (bare(parts[i]) == "") continue
		spelled = canonical(parts[i])
		if (spelled == "") fail("an AllowedIPs entry is not understood")
		if (spelled in wanted) {
			if (kept++) list = list "," parts[i]
			else { sub(/^[ \t]+/, "", parts[i]); list = parts[i] }
			present[spelled] = 1
		} else lost++
	}
	line_head[n] = head; line_list[n] = list; line_tail[n] = tail comment; line_comment[n] = comment
}
function edit_peer(s, list,    parts, count, i, n, spelled, add, first, host, lines) {
	split("", wanted); split("", present)
	count = split(list, parts, ",")
	for (i = 1; i <= count; i++) {
		spelled = canonical(parts[i])
		if (spelled == "") fail("a wanted prefix is not understood")
		wanted[spelled] = 1
	}
	lines = entry_lines[s] + 0
	host = 0
	for (i = 1; i <= lines; i++) {
		n = entry_line[s, i]
		reduce(n)
		line_kept[n] = kept; line_lost[n] = lost
		if (kept && !host) host = n
	}
	if (!host && lines) host = entry_line[s, 1]
	add = ""
	for (i = 1; i <= count; i++) {
		spelled = canonical(parts[i])
		if (!(spelled in present)) { add = add (add == "" ? "" : ", ") parts[i]; present[spelled] = 1 }
	}
	for (i = 1; i <= lines; i++) {
		n = entry_line[s, i]
		list = line_list[n]
		if (n == host && add != "") list = list (list == "" ? "" : ", ") add
		else if (!line_lost[n]) continue
		if (list != "") line[n] = line_head[n] list line_tail[n]
		else if (line_comment[n] != "") line[n] = line_comment[n]
		else gone[n] = 1
	}
	if (!lines && add != "") {
		n = key_line[s]
		first = line[n]; sub(/[^ \t].*$/, "", first)
		after[n] = first "AllowedIPs = " add end[n]
	}
}
END {
	if (failed) exit 24
	edits = split(ENVIRON["EDITS"], edit, "\n")
	for (e = 1; e <= edits; e++) {
		split(edit[e], pair, " ")
		found = 0
		for (s = 1; s <= peers; s++) if (peer[s] == pair[1]) { found++; at = s }
		if (found != 1) fail(found ? "a peer is there more than once" : "a peer is missing")
		edit_peer(at, pair[2])
	}
	for (n = 1; n <= NR; n++) {
		newline = (n == NR && ENVIRON["NO_NEWLINE"] != "") ? "" : "\n"
		if (n in after) printf "%s%s\n%s%s", line[n], end[n], after[n], newline
		else if (!(n in gone)) printf "%s%s%s", line[n], end[n], newline
	}
}
