"""The customer record: tables, queries and migrations. The only room with SQL."""
