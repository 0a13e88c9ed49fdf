# Reads what mtree(8) writes with -c: every entry becomes one line with its whole path and all its keywords, in one of 256
# files that its path decides. So two listings that differ are told apart by the digests of few of these.
# With `digests` set it reads sha256(1), -r, instead, and adds those to the same files.
function part(path,    hash, i, length_of_it) {
	length_of_it = length(path)
	hash = length_of_it
	for (i = length_of_it > 40 ? length_of_it - 39 : 1; i <= length_of_it; i++)
		hash = (hash * 31 + index(letters, substr(path, i, 1))) % 65521
	return hash % 256
}
function put(line, path) {
	print line > (parts "." part(path))
}
BEGIN {
	letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/+@%=:,~"
	keywords = split("type uid gid mode flags size time link device sha256digest", keyword, " ")
}
digests {
	path = "." substr($0, 66 + length(at))
	print path " sha256digest=" substr($0, 1, 64) >> (parts "." part(path))
	next
}
{
	# An entry goes on behind a backslash at the end of a line; in names and in targets of links one stands as \134.
	while (sub(/ \\$/, "") && (getline more) > 0)
		$0 = $0 more
}
NF == 0 || $1 ~ /^#/ {
	next
}
$1 == "/set" {
	for (i = 2; i <= NF; i++) {
		equals = index($i, "=")
		common[substr($i, 1, equals - 1)] = substr($i, equals + 1)
	}
	next
}
$1 == ".." {
	sub(/\/[^\/]*$/, "", folder)
	next
}
{
	split("", own)
	for (i = 2; i <= NF; i++) {
		equals = index($i, "=")
		own[substr($i, 1, equals - 1)] = substr($i, equals + 1)
	}
	type = "type" in own ? own["type"] : common["type"]
	path = folder == "" ? "." : folder "/" $1
	if (type == "dir")
		folder = path
	line = path
	for (i = 1; i <= keywords; i++) {
		if (keyword[i] in own)
			line = line " " keyword[i] "=" own[keyword[i]]
		else if (keyword[i] in common)
			line = line " " keyword[i] "=" common[keyword[i]]
	}
	put(line, path)
	entries++
	if (type == "file") {
		# A sample leaves out what a shell would have to be protected from.
		wanted = !sample || part(path) % 16 == 0 && path ~ /^[A-Za-z0-9._\/+@%=:,-]+$/
		if (wanted) {
			files++
			bytes += own["size"]
		}
		if (wanted && sample)
			print at substr(path, 2) > chosen
	}
}
END {
	if (!digests)
		printf "total %d %.0f %.0f %.0f\n", number, entries, files, bytes >> totals
}
