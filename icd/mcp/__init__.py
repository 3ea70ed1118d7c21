"""The memory as tools of the Model Context Protocol (extra ``mcp``): under the server's keys, each for its own tenant."""
