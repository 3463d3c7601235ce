"""Ways to reach a host. Each obeys the port in `leuko.hosts.port` and passes the same contract test."""
