"""What the screens show, as data: no widget, no thread. Pure."""
