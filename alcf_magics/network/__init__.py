"""The way out of this machine: proxies and certificates, and what is wrong with them in words."""
