# What running jails use at this moment. rctl(8) tells where the kernel counts (kern.racct.enable=1 in loader.conf(5));
# elsewhere ps(1) does: its pcpu is an average over about a minute, its rss counts shared pages in every process.
if [ "$(sysctl -in kern.racct.enable 2>/dev/null)" = 1 ]; then
	jls name 2>/dev/null | while read -r name; do
		ask rctl "$name" rctl -u "jail:$name"
	done
fi
ask ps '' ps -ax -o jid= -o pcpu= -o rss=
