"""The missions that daxa brings, one module each: every module here is a mission, without further registration."""
