# start.sh postgres|redis: the server itself as the container's first process.
set -e
case $1 in
postgres)
	test -s "$PGDATA/PG_VERSION" || initdb --no-sync --auth=trust --username=postgres >/dev/null
	echo 'host all all all trust' >"$PGDATA/pg_hba.conf"
	exec postgres -c listen_addresses='*' -c unix_socket_directories= -c max_connections=200
	;;
redis)
	exec redis-server --bind 0.0.0.0 --protected-mode no --dir /data --appendonly yes
	;;
esac
