// Package collector takes the log lines of containers from Docker's syslog
// driver, on loopback, and holds which request ids were logged, how often and
// by which container. Compared with a load's report it tells what the client's
// side alone cannot: requests that were done twice, and answers that no
// replica gave.
package collector
