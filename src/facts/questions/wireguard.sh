# Only public keys, prefixes and the names of harmless keys leave the host, and only when they look like it;
# and lines of ours, whole.
public_part() {
	awk '
		/^PostUp = route -q -n add [0-9A-Za-z:.\/ -]*( [|][|] :)? # jailferry [A-Za-z0-9_-]+\r?$/ {
			line = $0; sub(/\r$/, "", line); sub(/^PostUp = /, "", line); print "ours=" line
		}
		{ sub(/\r$/, ""); sub(/[ \t]*#.*$/, ""); gsub(/^[ \t]+|[ \t]+$/, "") }
		/^\[/ { section = tolower($0); if (section == "[interface]" || section == "[peer]") print section; next }
		{
			at = index($0, "=")
			if (at == 0) next
			key = tolower(substr($0, 1, at - 1)); value = substr($0, at + 1)
			gsub(/[ \t]/, "", key); gsub(/[ \t]/, "", value)
			if (key == "publickey" && length(value) == 44 && value ~ /^[A-Za-z0-9+\/]+=$/) print key "=" value
			else if (key == "allowedips" && value ~ /^[0-9A-Fa-f.:\/,]*$/) print key "=" value
			else if (key == "saveconfig" && tolower(value) ~ /^(true|false)$/) print key "=" tolower(value)
			else if (key == "table" && value ~ /^[A-Za-z0-9]+$/) print key "=" tolower(value)
			else if (key ~ /^(address|dns|mtu|table|preup|postup|predown|postdown)$/) print key
		}' "$1"
}
