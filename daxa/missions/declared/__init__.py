"""The missions that daxa brings, one module each: a module here is a mission, and nothing else makes it one."""
