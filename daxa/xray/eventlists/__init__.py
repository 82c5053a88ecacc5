"""Event lists of any telescope: what their headers, columns and tables say."""
