"""What tests share: a Hub on loopback, homes, headers, machines, a scripted engine."""
