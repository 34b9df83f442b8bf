"""Test beds made of real parts: a PostgreSQL server, boards in network namespaces, a proxy that spoils a link."""
