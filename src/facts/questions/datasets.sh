# The GUIDs of the snapshots that a tree's datasets are clones of.
ask_origins() {
	zfs list -Hp -r -t filesystem,volume -o origin "$1" 2>/dev/null | sort -u | while read -r origin; do
		[ "$origin" = - ] || ask origin "$origin" zfs get -Hp -o value guid "$origin"
	done
}
# The snapshots of a pool that have a GUID.
with_guid() {
	all=$(zfs list -Hp -r -t snapshot -o guid,name "$1") || return
	printf '%s\n' "$all" | sed -n "s/^$2	//p"
}
# Properties that came with a stream, also those that were set or taken back since.
with_stream() {
	all=$(zfs get -Hp -r -t filesystem,volume -o name,property,received all "$1") || return
	printf '%s\n' "$all" | awk -F '\t' 'NF == 3 && $3 != "-" { print $1 "\t" $2 }'
}
# A tree of datasets with its snapshots and properties.
ask_datasets() {
	ask datasets "$1" zfs list -Hp -r -t filesystem,volume -o name "$1"
	zfs list -H -o name "$1" >/dev/null 2>&1 || return 0
	ask snapshots "$1" zfs list -Hp -r -t snapshot -s createtxg -o name,guid,createtxg,userrefs,written "$1"
	ask properties "$1" zfs get -Hp -r -t filesystem,volume -s local,received -o name,property,value,source all "$1"
	ask received "$1" with_stream "$1"
	ask native "$1" zfs get -Hp -r -t filesystem,volume -o name,property,value,source "$native_properties" "$1"
}
